import { Bitset } from '../../core/bitset.ts'
import { AkidbError } from '../../errors/errors.ts'
import { compareIdsOf, type IdTable } from '../../format/ids-section.ts'
import type { CollectionState, SegmentEntry } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { forEachCommonId } from '../segment/hiding.ts'
import { SegmentReader } from '../segment/segment-reader.ts'
import { deadRows } from '../segment/view.ts'

/** The ids of a segment, and which of its rows are dead in a state. */
export interface LiveIds {
  readonly ids: IdTable
  readonly dead: Bitset
}

/** Gathers the live ids of a state's segments: no id is alive twice. Keeps the ids in memory. */
export class LiveIdCheck {
  readonly #segments: LiveIds[] = []
  #rows = 0

  /** Live rows of the segments so far. */
  get rows(): number {
    return this.#rows
  }

  /** @throws INTEGRITY where an id of this segment is alive twice, here or in an earlier one */
  add(live: LiveIds): void {
    checkOnce(live)
    for (const other of this.#segments) checkApart(live, other)
    this.#segments.push(live)
    this.#rows += live.ids.count - live.dead.count()
  }
}

/** @throws INTEGRITY where a state has an id alive twice, or a segment's ids cannot be read */
export async function checkLiveIds(store: ObjectStore, state: CollectionState): Promise<void> {
  const check = new LiveIdCheck()
  for (const entry of state.segments) {
    const reader = new SegmentReader(store, entry)
    try {
      check.add(await liveIds(store, entry, reader))
    } finally {
      reader.close()
    }
  }
}

/** @throws INTEGRITY */
export async function liveIds(
  store: ObjectStore,
  entry: SegmentEntry,
  reader: SegmentReader,
): Promise<LiveIds> {
  const ids = await reader.ids()
  return { ids, dead: Bitset.from(entry.rows, await deadRows(store, entry)) }
}

/** Equal ids stand side by side in the order of ids: at most one of them is alive. */
function checkOnce({ ids, dead }: LiveIds): void {
  let last: number | undefined
  for (let place = 0; place < ids.count; place++) {
    const row = ids.sorted(place)
    if (dead.has(row)) continue
    if (last !== undefined && compareIdsOf(ids, last, ids, row) === 0) {
      throw broken('an id is alive twice')
    }
    last = row
  }
}

function checkApart(a: LiveIds, b: LiveIds): void {
  forEachCommonId(a.ids, b.ids, (rowA, rowB) => {
    if (!a.dead.has(rowA) && !b.dead.has(rowB)) throw broken('an id is alive in two segments')
  })
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a state does not hold what it says: ${what}`)
