import type { Bitset } from '../../core/bitset.ts'
import { limits } from '../../core/limits.ts'
import type { Filter } from '../../search/filter.ts'
import { selectRows } from './filter-rows.ts'
import type { SegmentReader } from './segment-reader.ts'
import type { ViewSegment } from './view.ts'

/** What a filter leaves of one segment in one state. */
export interface SelectedRows {
  /** Shared between searches: do not change it. */
  readonly rows: Bitset
  readonly count: number
  /** What the field index said without looking at rows. */
  readonly estimate: number
}

interface Kept {
  /** Of the live rows that it was made for: another state of the same segment has others. */
  readonly alive: number
  readonly selected: Promise<SelectedRows>
  readonly bytes: number
}

/** Bytes of an entry beside its rows and its key, measured. */
const ENTRY_BYTES = 600

/**
 * Results of the filters used last, by segment and filter text: the same filter is asked for with
 * many queries. Bounded by limits.filterCacheBytesMax.
 */
export class FilterCache {
  readonly #kept = new Map<string, Kept>()
  /** Of segments and of sets of live rows: entries must not keep those of older states alive. */
  readonly #numbers = new WeakMap<SegmentReader | Bitset, number>()
  #next = 0
  #bytes = 0

  /**
   * Live rows of a segment that pass a filter.
   *
   * @param text of the filter, which says all of it; filters without are not kept
   */
  select(segment: ViewSegment, filter: Filter, text: string | undefined): Promise<SelectedRows> {
    if (text === undefined || text.length > limits.filterCacheTextMax) return made(segment, filter)
    const key = `${this.#numberOf(segment.reader)}:${text}`
    const known = this.#kept.get(key)
    const alive = this.#numberOf(segment.alive)
    if (known?.alive === alive) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known.selected
    }
    this.#drop(key)
    const bytes = segment.alive.words.byteLength + 2 * key.length + ENTRY_BYTES
    const selected = made(segment, filter)
    this.#kept.set(key, { alive, selected, bytes })
    this.#bytes += bytes
    selected.catch(() => this.#kept.get(key)?.selected === selected && this.#drop(key))
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= limits.filterCacheBytesMax || this.#kept.size === 1) break
      this.#drop(oldest)
    }
    return selected
  }

  clear(): void {
    this.#kept.clear()
    this.#bytes = 0
  }

  #drop(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }

  #numberOf(thing: SegmentReader | Bitset): number {
    const known = this.#numbers.get(thing)
    if (known !== undefined) return known
    this.#numbers.set(thing, this.#next)
    return this.#next++
  }
}

async function made(segment: ViewSegment, filter: Filter): Promise<SelectedRows> {
  const rows = await selectRows(segment, filter)
  const index = await segment.reader.fields()
  return { rows, count: rows.count(), estimate: index.estimate(filter) }
}
