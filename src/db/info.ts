import type { CollectionInfo } from './api.ts'
import type { CollectionCore } from './collection-core.ts'
import { resolveState } from './resolve.ts'
import { allSources } from './sources.ts'
import { liveCount, openView, vectorSpecOf } from './view.ts'

/** What `show` and `list` say of a collection. */
export async function collectionInfo(core: CollectionCore, asOf?: string): Promise<CollectionInfo> {
  const view =
    asOf === undefined
      ? await core.view()
      : await openView(core.environment.store, await resolveState(core, asOf), (entry) =>
          core.reader(entry),
        )
  const { commit, state } = view.manifest
  const spec = vectorSpecOf(state.schema)
  const sources = await allSources(core.environment.store, state)
  const segments = []
  for (const { entry, reader } of view.segments) {
    const blobs: Record<string, number> = {}
    for (const blob of entry.blobs) blobs[blob.role] = (blobs[blob.role] ?? 0) + blob.bytes
    segments.push({
      rows: entry.rows,
      deleted: entry.tombstones?.count ?? 0,
      bytes: entry.blobs.reduce((sum, blob) => sum + blob.bytes, 0),
      graph: await reader.hasGraph(),
      blobs,
    })
  }
  const { origin } = commit
  return {
    collection: core.name,
    dimension: spec?.dimension ?? null,
    metric: spec?.metric ?? null,
    count: liveCount(view),
    manifestVersion: commit.version,
    stateRoot: commit.stateRoot,
    segments,
    sources: sources.map(({ name, sha256, rows, rejected }) => ({ name, sha256, rows, rejected })),
    schema: state.schema,
    index: state.index,
    bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
    ...(origin === undefined || origin.diverged === true ? {} : { following: origin.headDigest }),
  }
}
