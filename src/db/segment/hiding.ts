import { Bitset } from '../../core/bitset.ts'
import { compareIdsOf, type IdTable } from '../../format/ids-section.ts'
import type { BlobRef, CollectionState, SegmentEntry } from '../../format/manifest.ts'
import { tombstoneBlob } from '../../format/tombstones.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { writeBlob } from '../states/blob-store.ts'
import type { WriterPin } from '../states/pins.ts'
import type { SegmentReader } from './segment-reader.ts'
import { deadRows } from './view.ts'

/** Look-ups one by one beat a merge of both lists where one is this many times shorter. */
const PROBE_RATIO = 16

/** Dead rows of the segments of one state, while a commit is being computed. */
export class DeadRows {
  readonly #store: ObjectStore
  readonly #dead = new Map<number, Bitset>()
  readonly #changed = new Set<number>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** The dead rows of a segment now, to be read only. */
  async of(entry: SegmentEntry): Promise<Bitset> {
    const known = this.#dead.get(entry.key)
    if (known !== undefined) return known
    const set = Bitset.from(entry.rows, await deadRows(this.#store, entry))
    this.#dead.set(entry.key, set)
    return set
  }

  /** Marks a row; false where it was dead already. */
  async kill(entry: SegmentEntry, row: number): Promise<boolean> {
    const set = await this.of(entry)
    if (set.has(row)) return false
    set.add(row)
    this.#changed.add(entry.key)
    return true
  }

  /**
   * Writes one tombstone blob for all segments that changed.
   *
   * @returns the segments with their new tombstones; those without a live row are left out
   */
  async apply(entries: readonly SegmentEntry[], pin: WriterPin): Promise<SegmentEntry[]> {
    const kept: SegmentEntry[] = []
    const tombstones = new Map<number, Uint32Array>()
    for (const entry of entries) {
      const dead = this.#changed.has(entry.key) ? await this.of(entry) : undefined
      if (dead?.count() === entry.rows) continue
      kept.push(entry)
      if (dead !== undefined) tombstones.set(entry.key, Uint32Array.from(dead))
    }
    if (tombstones.size === 0) return kept
    const ref: BlobRef = await writeBlob(this.#store, pin, tombstoneBlob(tombstones))
    return kept.map((entry) => {
      const rows = tombstones.get(entry.key)
      return rows === undefined ? entry : { ...entry, tombstones: { ...ref, count: rows.length } }
    })
  }
}

/** Row pairs of two segments with equal ids. */
export function forEachCommonId(
  a: IdTable,
  b: IdTable,
  visit: (rowA: number, rowB: number) => void,
): void {
  if (a.count > b.count) {
    forEachCommonId(b, a, (rowB, rowA) => visit(rowA, rowB))
    return
  }
  if (a.count === 0 || !overlap(a, b)) return
  if (a.count * PROBE_RATIO < b.count) {
    for (let row = 0; row < a.count; row++) {
      for (const other of b.rowsOf(a.idBytes(row))) visit(row, other)
    }
    return
  }
  let i = 0
  let j = 0
  while (i < a.count && j < b.count) {
    const rowA = a.sorted(i)
    const rowB = b.sorted(j)
    const order = compareIdsOf(a, rowA, b, rowB)
    if (order < 0) i++
    else if (order > 0) j++
    else {
      for (const other of b.rowsOf(a.idBytes(rowA))) visit(rowA, other)
      i++
    }
  }
}

const overlap = (a: IdTable, b: IdTable): boolean =>
  compareIdsOf(a, a.sorted(0), b, b.sorted(b.count - 1)) <= 0 &&
  compareIdsOf(b, b.sorted(0), a, a.sorted(a.count - 1)) <= 0

/** Told of every row that a newer row of the same id replaced. */
export type OnReplaced = (newerRow: number) => void

/** Kills all but the last row of every id within one segment. */
export async function killRepeats(
  entry: SegmentEntry,
  reader: SegmentReader,
  dead: DeadRows,
  onReplaced: OnReplaced,
): Promise<void> {
  const ids = await reader.ids()
  for (let place = 0; place + 1 < ids.count; place++) {
    const row = ids.sorted(place)
    const next = ids.sorted(place + 1)
    if (compareIdsOf(ids, row, ids, next) !== 0) continue
    if (await dead.kill(entry, row)) onReplaced(next)
  }
}

/** Kills the rows of `older` whose ids `newer` has too. */
export async function killReplaced(
  older: { entry: SegmentEntry; reader: SegmentReader },
  newer: SegmentReader,
  dead: DeadRows,
  onReplaced: OnReplaced,
): Promise<void> {
  const pairs: [number, number][] = []
  forEachCommonId(await newer.ids(), await older.reader.ids(), (row, old) => pairs.push([row, old]))
  for (const [row, old] of pairs) if (await dead.kill(older.entry, old)) onReplaced(row)
}

/** A state with other segments; `nextSegment` stays beyond every key. */
export const withSegments = (
  state: CollectionState,
  segments: readonly SegmentEntry[],
): CollectionState => ({
  ...state,
  nextSegment: Math.max(state.nextSegment, ...segments.map((segment) => segment.key + 1), 0),
  segments,
})
