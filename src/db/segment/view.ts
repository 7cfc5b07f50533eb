import { Bitset } from '../../core/bitset.ts'
import { type JsonObject, type JsonValue, parseJson } from '../../core/json.ts'
import { JsonReader } from '../../core/json-reader.ts'
import { limits } from '../../core/limits.ts'
import type { Schema, VectorSpec } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { CollectionState, Manifest, SegmentEntry } from '../../format/manifest.ts'
import { requiresOf } from '../../format/requires.ts'
import { decodeTombstones } from '../../format/tombstones.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { readBlob } from '../states/blob-store.ts'
import type { LogRows } from './log-rows.ts'
import type { SegmentReader } from './segment-reader.ts'

/** A segment as one state sees it. */
export interface ViewSegment {
  readonly entry: SegmentEntry
  readonly reader: SegmentReader
  /** Rows that are neither deleted nor hidden by a newer row. */
  readonly alive: Bitset
  readonly live: number
}

/** One pinned state: what a search sees, whatever writers do. */
export interface View {
  readonly manifest: Manifest
  readonly segments: readonly ViewSegment[]
  /** Rows of the write-ahead log on top of it; absent for an older state. */
  readonly log: LogRows | undefined
}

/** Place of a live record in a view. */
export interface Place {
  readonly segment: number
  readonly row: number
}

export const vectorSpecOf = ({ vectors }: Schema): VectorSpec | undefined =>
  vectors['']?.kind === 'dense' ? vectors[''] : undefined

/** Dead rows of a segment in a state. @throws INTEGRITY */
export async function deadRows(store: ObjectStore, entry: SegmentEntry): Promise<Uint32Array> {
  if (entry.tombstones === undefined) return new Uint32Array()
  const blob = await readBlob(store, entry.tombstones)
  return decodeTombstones(blob, entry.key, entry.tombstones.count, entry.rows)
}

/**
 * Opens a state: its tombstones, and the log rows that hide some of its rows. Segments open as they
 * are needed.
 */
export async function openView(
  store: ObjectStore,
  manifest: Manifest,
  reader: (entry: SegmentEntry) => SegmentReader,
  log?: LogRows,
): Promise<View> {
  const segments: ViewSegment[] = []
  for (const entry of manifest.state.segments) {
    const alive = Bitset.full(entry.rows)
    for (const row of await deadRows(store, entry)) alive.remove(row)
    const segment = reader(entry)
    if (log !== undefined && log.touched > 0) await hideLogged(segment, alive, log)
    segments.push({ entry, reader: segment, alive, live: alive.count() })
  }
  return { manifest, segments, log: log !== undefined && log.touched > 0 ? log : undefined }
}

async function hideLogged(segment: SegmentReader, alive: Bitset, log: LogRows): Promise<void> {
  const ids = await segment.ids()
  for (const id of log.touchedIds()) {
    for (const row of ids.rowsOf(Buffer.from(id, 'utf8'))) alive.remove(row)
  }
}

/**
 * The same state with later log rows: only what changed since is looked up. Undefined where a row
 * of the log was taken back, which may bring a hidden one back.
 *
 * @param log a copy that no longer changes
 * @param changed ids that changed since `view` was made
 */
export async function laterView(
  view: View,
  log: LogRows | undefined,
  changed: readonly string[],
): Promise<View | undefined> {
  const ids = new Set(changed)
  for (const id of ids) if (log?.has(id) !== true) return undefined
  const segments: ViewSegment[] = []
  for (const segment of view.segments) {
    const table = await segment.reader.ids()
    const alive = segment.alive.clone()
    for (const id of ids) {
      for (const row of table.rowsOf(Buffer.from(id, 'utf8'))) alive.remove(row)
    }
    segments.push({ ...segment, alive, live: alive.count() })
  }
  return { ...view, segments, log }
}

export const liveCount = (view: View): number =>
  view.segments.reduce((sum, segment) => sum + segment.live, view.log?.live ?? 0)

/**
 * Where a record is, newest segment first; undefined where no live row has that id (the log is
 * asked apart).
 */
export async function findPlace(view: View, id: string): Promise<Place | undefined> {
  const bytes = Buffer.from(id, 'utf8')
  for (let segment = view.segments.length - 1; segment >= 0; segment--) {
    const { reader, alive } = view.segments[segment] as ViewSegment
    for (const row of (await reader.ids()).rowsOf(bytes)) {
      if (alive.has(row)) return { segment, row }
    }
  }
  return undefined
}

/** A payload text as an object. @throws INTEGRITY where it is none */
export function payloadObject(text: string): JsonObject {
  let value: JsonValue
  try {
    value = parseJson(text)
  } catch (cause) {
    throw damagedPayload(cause)
  }
  if (value instanceof Map) return value
  throw damagedPayload()
}

/** Kept, since each has a work space of its own; it is done before it is used again. */
const payloads = new JsonReader(limits.payloadDepthMax)

/** The same of UTF-8 bytes that were checked. */
export function payloadOf(bytes: Buffer): JsonObject {
  let value: JsonValue
  try {
    value = payloads.parse(bytes)
  } catch (cause) {
    throw damagedPayload(cause)
  }
  if (value instanceof Map) return value
  throw damagedPayload()
}

const damagedPayload = (cause?: unknown): AkidbError =>
  new AkidbError('INTEGRITY', 'a stored payload is not a JSON object', { cause })

export const emptyState = (schema: Schema, index: CollectionState['index']): CollectionState => ({
  format: 'akidb-state/1',
  requires: requiresOf(schema),
  uses: [],
  schema,
  index,
  nextSegment: 0,
  nextSource: 0,
  segments: [],
  sources: [],
})
