import { hasCode } from '../../errors/errors.ts'
import type { Manifest, SegmentEntry } from '../../format/manifest.ts'
import type { CollectionInfo, SegmentMemoryInfo } from '../api/api.ts'
import type { StatePlan } from '../segment/segment-memory.ts'
import { liveCount, vectorSpecOf } from '../segment/view.ts'
import { resolveState } from '../states/resolve.ts'
import { allSources } from '../states/sources.ts'
import type { CollectionCore } from './collection-core.ts'

/**
 * What `show` and `list` say of a collection. Where blobs are damaged it is said from the manifest
 * alone, with a warning: a collection that cannot be read can still be looked at and dropped.
 */
export async function collectionInfo(core: CollectionCore, asOf?: string): Promise<CollectionInfo> {
  const manifest = asOf === undefined ? await core.head() : await resolveState(core, asOf)
  const seen = await readable(core, () =>
    core.read(asOf, async (view) => ({ manifest: view.manifest, count: liveCount(view) })),
  )
  const { commit, state } = seen?.manifest ?? manifest
  const spec = vectorSpecOf(state.schema)
  const sources = (await readable(core, () => allSources(core.environment.store, state))) ?? []
  const segments = []
  const plan = core.memory.planFor(state)
  for (const [number, entry] of state.segments.entries()) {
    const memory = plan === undefined ? undefined : memoryInfo(plan, number)
    segments.push({ ...(await segmentInfo(core, entry)), ...(memory && { memory }) })
  }
  const { origin } = commit
  return {
    collection: core.name,
    dimension: spec?.dimension ?? null,
    metric: spec?.metric ?? null,
    count: seen?.count ?? manifestCount(manifest),
    manifestVersion: commit.version,
    stateRoot: commit.stateRoot,
    segments,
    sources: sources.map(({ name, sha256, rows, rejected }) => ({ name, sha256, rows, rejected })),
    schema: state.schema,
    index: state.index,
    bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
    ...memoryTotals(core, plan),
    ...(origin === undefined || origin.diverged === true ? {} : { following: origin.headDigest }),
  }
}

function memoryInfo(
  { placements, needs }: StatePlan,
  number: number,
): SegmentMemoryInfo | undefined {
  const [vectors, need] = [placements[number], needs[number]]
  if (vectors === undefined || need === undefined) return undefined
  const { vectors: vectorBytes, codes: codeBytes, links: linkBytes } = need
  return { vectors, vectorBytes, codeBytes, linkBytes }
}

function memoryTotals(
  { memory }: CollectionCore,
  plan: StatePlan | undefined,
): Pick<CollectionInfo, 'memory'> {
  const budget = memory.budgetBytes
  if (plan === undefined || budget === undefined) return {}
  return { memory: { budget, needed: plan.bytes, least: plan.least } }
}

async function segmentInfo(
  core: CollectionCore,
  entry: SegmentEntry,
): Promise<CollectionInfo['segments'][number]> {
  const blobs: Record<string, number> = {}
  for (const blob of entry.blobs) blobs[blob.role] = (blobs[blob.role] ?? 0) + blob.bytes
  return {
    rows: entry.rows,
    deleted: entry.tombstones?.count ?? 0,
    bytes: entry.blobs.reduce((sum, blob) => sum + blob.bytes, 0),
    graph: (await readable(core, () => core.reader(entry).hasGraph())) ?? false,
    blobs,
  }
}

/** Live rows by the manifest's own counts. */
export const manifestCount = ({ state }: Manifest): number =>
  state.segments.reduce((sum, entry) => sum + entry.rows - (entry.tombstones?.count ?? 0), 0)

/** Undefined, with a warning, where something is damaged. */
async function readable<T>(core: CollectionCore, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (!hasCode(error, 'INTEGRITY')) throw error
    core.environment.warn({ code: 'INTEGRITY', message: `"${core.name}": ${error.message}` })
    return undefined
  }
}
