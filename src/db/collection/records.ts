import type { JsonObject } from '../../core/json.ts'
import type { Manifest } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import type { RecordSourceInfo, StoredRecord } from '../api/api.ts'
import type { SegmentReader } from '../segment/segment-reader.ts'
import { findPlace, type Place, payloadOf, type View, vectorSpecOf } from '../segment/view.ts'
import { allSources } from '../states/sources.ts'
import type { CollectionCore } from './collection-core.ts'

/** Which parts of a record are wanted beside its id. */
export interface Parts {
  readonly payload: boolean
  readonly vector: boolean
  readonly source: boolean
}

/** A record by id, or undefined. The write-ahead log is asked first. */
export async function getRecord(
  core: CollectionCore,
  view: View,
  id: string,
  parts: Parts,
): Promise<StoredRecord | undefined> {
  if (view.log?.has(id) === true) {
    const row = view.log.get(id)
    if (row === undefined) return undefined
    const { vector, payload } = row
    return { id, payload, ...(parts.vector && vector !== undefined ? { vector } : {}) }
  }
  const place = await findPlace(view, id)
  return place === undefined ? undefined : await recordAt(core, view, place, parts)
}

/** The record at a place of a view. */
export async function recordAt(
  core: CollectionCore,
  view: View,
  place: Place,
  parts: Parts,
): Promise<StoredRecord> {
  const id = (await readerAt(view, place).ids()).id(place.row)
  const payload = parts.payload ? await payloadAt(view, place) : new Map()
  const vector = parts.vector ? await vectorAt(view, place) : undefined
  const source = parts.source ? await sourceAt(core, view, place) : undefined
  return {
    id,
    payload,
    ...(vector === undefined ? {} : { vector }),
    ...(source === undefined ? {} : { source }),
  }
}

/** What is stored beside a vector: at once where it is in memory. */
export function payloadAt(view: View, place: Place): JsonObject | Promise<JsonObject> {
  const reader = readerAt(view, place)
  const bytes = reader.payloadNow(place.row)
  return bytes === undefined ? reader.payloadBytes(place.row).then(payloadOf) : payloadOf(bytes)
}

function readerAt(view: View, place: Place): SegmentReader {
  const segment = view.segments[place.segment]
  if (segment === undefined) throw new Error('a place outside its view')
  return segment.reader
}

/** A copy of a stored vector; undefined in a collection without. */
export async function vectorAt(view: View, place: Place): Promise<Float32Array | undefined> {
  const spec = vectorSpecOf(view.manifest.state.schema)
  const segment = view.segments[place.segment]
  if (spec === undefined || segment === undefined) return undefined
  return await segment.reader.vector(spec, place.row)
}

/** Which file and row a record came from; undefined where it came from none. */
export async function sourceAt(
  core: CollectionCore,
  view: View,
  place: Place,
): Promise<RecordSourceInfo | undefined> {
  const segment = view.segments[place.segment]
  if (segment === undefined) return undefined
  const origin = await segment.reader.origin()
  const local = origin.sources[place.row]
  if (local === undefined || local === NO_SOURCE) return undefined
  const ordinal = segment.entry.sources[local]
  const source = (await sourcesOf(core, view.manifest)).get(ordinal ?? -1)
  if (source === undefined) return undefined
  const row = Number(origin.rows[place.row])
  return { file: source.name, sha256: source.sha256, row }
}

type SourceMap = ReadonlyMap<number, { readonly name: string; readonly sha256: string }>
const sourceMaps = new WeakMap<Manifest, SourceMap>()

async function sourcesOf(core: CollectionCore, manifest: Manifest): Promise<SourceMap> {
  const known = sourceMaps.get(manifest)
  if (known !== undefined) return known
  const sources = await allSources(core.environment.store, manifest.state)
  const map = new Map(sources.map((source) => [source.ordinal, source]))
  sourceMaps.set(manifest, map)
  return map
}

/** All live records, segment by segment in row order, then those of the log. */
export async function* scanRecords(
  core: CollectionCore,
  view: View,
  options: {
    readonly parts: Parts
    readonly rowsOf: (segment: number) => Promise<Iterable<number>>
    readonly logMatches: (record: StoredRecord) => boolean
    readonly signal?: AbortSignal | undefined
    /** Called before each record of a segment: keeps the state held however long it takes. */
    readonly onRow: () => Promise<void> | undefined
  },
): AsyncIterable<StoredRecord> {
  for (let segment = 0; segment < view.segments.length; segment++) {
    for (const row of await options.rowsOf(segment)) {
      options.signal?.throwIfAborted()
      await options.onRow()
      yield await recordAt(core, view, { segment, row }, options.parts)
    }
  }
  for (const { id, vector, payload } of view.log?.rows() ?? []) {
    const whole = vector === undefined ? {} : { vector }
    const record = { id, payload, ...(options.parts.vector ? whole : {}) }
    if (options.logMatches(record)) yield record
  }
}
