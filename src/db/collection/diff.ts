import type { Manifest } from '../../format/manifest.ts'
import type { DiffResult } from '../api/api.ts'
import { segmentIdentity } from '../segment/segment-reader.ts'
import { openView, type View, type ViewSegment, vectorSpecOf } from '../segment/view.ts'
import type { CollectionCore } from './collection-core.ts'

/** What changed between two states, by id. */
export async function diffVersions(
  core: CollectionCore,
  a: string,
  b: string,
  limit: number,
): Promise<DiffResult> {
  return await core.read(a, ({ manifest: from }) =>
    core.read(b, async ({ manifest: to }) => {
      const difference = await diffStates(core, from, to, limit)
      return { a: endOf(from), b: endOf(to), ...difference }
    }),
  )
}

const endOf = ({ commit: { version, stateRoot } }: Manifest): DiffResult['a'] => ({
  version,
  stateRoot,
})

type Difference = Omit<DiffResult, 'a' | 'b'>
type Change = DiffResult['changes'][number]

/**
 * Ids whose record differs. Segments that both states share cost nothing but their tombstones;
 * elsewhere records are compared by vector and payload, so that a merge alone shows as no change.
 *
 * @param limit changes listed, bytewise order of ids; all are counted
 */
export async function diffStates(
  core: CollectionCore,
  from: Manifest,
  to: Manifest,
  limit: number,
): Promise<Difference> {
  const open = (manifest: Manifest) =>
    openView(core.environment.store, manifest, (entry) => core.reader(entry))
  const [before, after] = [await open(from), await open(to)]
  const gone = await candidates(before, after)
  const come = await candidates(after, before)
  const changes: Change[] = []
  let [inserted, deleted, updated] = [0, 0, 0]
  for (const [id, place] of come) {
    const former = gone.get(id)
    if (former === undefined) {
      inserted++
      changes.push({ id, change: 'inserted' })
    } else if (!(await sameRecord([to, place], [from, former]))) {
      updated++
      changes.push({ id, change: 'updated' })
    }
  }
  for (const id of gone.keys()) {
    if (come.has(id)) continue
    deleted++
    changes.push({ id, change: 'deleted' })
  }
  changes.sort((x, y) => Buffer.compare(Buffer.from(x.id), Buffer.from(y.id)))
  return { inserted, deleted, updated, changes: changes.slice(0, limit) }
}

interface RowPlace {
  readonly segment: ViewSegment
  readonly row: number
}

/** Live rows of `view` that `other` does not hold in the very same segment and row. */
async function candidates(view: View, other: View): Promise<Map<string, RowPlace>> {
  const found = new Map<string, RowPlace>()
  const twins = new Map(other.segments.map((s) => [segmentIdentity(s.entry), s.alive]))
  for (const segment of view.segments) {
    const twin = twins.get(segmentIdentity(segment.entry))
    const rows = twin === undefined ? segment.alive : segment.alive.clone().andNot(twin)
    const ids = await segment.reader.ids()
    for (const row of rows) found.set(ids.id(row), { segment, row })
  }
  return found
}

type StatePlace = readonly [Manifest, RowPlace]

/** Each read as its own state says: a collection may have been dropped and made anew between. */
async function sameRecord([stateA, a]: StatePlace, [stateB, b]: StatePlace): Promise<boolean> {
  const [textA, textB] = [
    await a.segment.reader.payload(a.row),
    await b.segment.reader.payload(b.row),
  ]
  if (textA !== textB) return false
  const [vectorA, vectorB] = [await vectorAt(stateA, a), await vectorAt(stateB, b)]
  if (vectorA?.length !== vectorB?.length) return false
  if (vectorA === undefined || vectorB === undefined) return true
  return vectorA.every((value, i) => Object.is(value, vectorB[i]))
}

async function vectorAt(
  { state }: Manifest,
  { segment, row }: RowPlace,
): Promise<Float32Array | undefined> {
  const spec = vectorSpecOf(state.schema)
  return spec === undefined ? undefined : await segment.reader.vector(spec, row)
}
