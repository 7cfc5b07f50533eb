import { Bitset } from '../core/bitset.ts'
import { forEachCommonId } from '../db/hiding.ts'
import { SegmentReader } from '../db/segment-reader.ts'
import { deadRows, vectorSpecOf } from '../db/view.ts'
import { AkidbError } from '../errors/errors.ts'
import type { IdTable } from '../format/ids-section.ts'
import type { CollectionState, SegmentEntry } from '../format/manifest.ts'
import { NO_SOURCE } from '../format/origin-section.ts'
import type { ObjectStore } from '../storage/object-store.ts'

interface LiveIds {
  readonly ids: IdTable
  readonly dead: Bitset
}

/**
 * Compares a state that came from outside with its blobs before it is published: a signature says
 * who wrote it, not that its parts fit together. Segments are opened one after another; only their
 * ids stay in memory until the end.
 *
 * @throws INTEGRITY
 */
export async function checkState(store: ObjectStore, state: CollectionState): Promise<void> {
  if (state.dropped === true) throw broken('it is of a dropped collection')
  const earlier: LiveIds[] = []
  for (const entry of state.segments) {
    const live = await checkSegment(store, state, entry)
    for (const other of earlier) checkApart(live, other)
    earlier.push(live)
  }
}

async function checkSegment(
  store: ObjectStore,
  state: CollectionState,
  entry: SegmentEntry,
): Promise<LiveIds> {
  const reader = new SegmentReader(store, entry)
  try {
    const ids = await reader.ids()
    const dead = Bitset.from(entry.rows, await deadRows(store, entry))
    checkOnce({ ids, dead })
    for (const source of (await reader.origin()).sources) {
      if (source !== NO_SOURCE && source >= entry.sources.length) {
        throw broken('a row comes from a source that is not listed')
      }
    }
    await reader.fields()
    await reader.text()
    await reader.payload(0)
    const spec = vectorSpecOf(state.schema)
    if (spec !== undefined) {
      if (!(await reader.rawVectors(spec)).every(Number.isFinite)) {
        throw broken('a vector has a component that is no number')
      }
      await reader.vectorIndex(spec, state.index)
    }
    return { ids, dead }
  } finally {
    reader.close()
  }
}

/** Equal ids stand side by side in the order of ids: at most one of them is alive. */
function checkOnce({ ids, dead }: LiveIds): void {
  let last: Uint8Array | undefined
  for (let place = 0; place < ids.count; place++) {
    const row = ids.sorted(place)
    if (dead.has(row)) continue
    const id = ids.idBytes(row)
    if (last !== undefined && Buffer.compare(last, id) === 0) throw broken('an id is alive twice')
    last = id
  }
}

function checkApart(a: LiveIds, b: LiveIds): void {
  forEachCommonId(a.ids, b.ids, (rowA, rowB) => {
    if (!a.dead.has(rowA) && !b.dead.has(rowB)) throw broken('an id is alive in two segments')
  })
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the state does not fit its blobs: ${what}`, {
    hint: 'Nothing was published. Ask its origin to run akidb check and to export again.',
  })
