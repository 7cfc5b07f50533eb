import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { section } from '../../format/blob.ts'
import type { CollectionState, SourceEntry } from '../../format/manifest.ts'
import { olderSourcesShape } from '../../format/manifest-shape.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { readBlob, writeBlob } from './blob-store.ts'
import type { WriterPin } from './pins.ts'

/** Sources left in a manifest when the others move to a blob. */
const SOURCES_KEPT = 128

export type NewSource = Omit<SourceEntry, 'ordinal'>

/**
 * A state with more sources. Beyond limits.manifestSourcesMax the older ones move to a blob of role
 * `sources` (section `json`: the list).
 */
export async function withSources(
  store: ObjectStore,
  pin: WriterPin,
  state: CollectionState,
  added: readonly NewSource[],
): Promise<CollectionState> {
  const entries = added.map((source, i) => ({ ordinal: state.nextSource + i, ...source }))
  const sources = [...state.sources, ...entries]
  const nextSource = state.nextSource + added.length
  if (sources.length <= limits.manifestSourcesMax) return { ...state, nextSource, sources }
  const moved = [...(await olderSources(store, state)), ...sources.slice(0, -SOURCES_KEPT)]
  const sourcesBlob = await writeBlob(store, pin, {
    role: 'sources',
    records: moved.length,
    dimension: 0,
    sections: [section('json', Buffer.from(JSON.stringify(moved)))],
  })
  return { ...state, nextSource, sources: sources.slice(-SOURCES_KEPT), sourcesBlob }
}

/** All sources of a state, oldest first. */
export async function allSources(
  store: ObjectStore,
  state: CollectionState,
): Promise<readonly SourceEntry[]> {
  return [...(await olderSources(store, state)), ...state.sources]
}

async function olderSources(
  store: ObjectStore,
  state: CollectionState,
): Promise<readonly SourceEntry[]> {
  if (state.sourcesBlob === undefined) return []
  const blob = await readBlob(store, state.sourcesBlob)
  const json = Buffer.from(blob.sections.get('json') ?? new Uint8Array()).toString('utf8')
  try {
    return olderSourcesShape(JSON.parse(json), 'sources')
  } catch (cause) {
    throw new AkidbError('INTEGRITY', 'the list of older sources is damaged', { cause })
  }
}
