import { isFiniteVector } from '../../core/metric.ts'
import { sparseFieldsOf, type VectorSpec } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import type { BlobRef, BlobRole, CollectionState, SegmentEntry } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { ChunkHashing } from '../segment/checked-blob.ts'
import { PageCache } from '../segment/page-cache.ts'
import { segmentNeed } from '../segment/segment-need.ts'
import { SegmentReader } from '../segment/segment-reader.ts'
import { payloadOf, vectorSpecOf } from '../segment/view.ts'
import { type LiveIds, liveIds } from './check-live-ids.ts'
import type { CheckProblems } from './check-problems.ts'

/** What makes a check of a segment cheaper. */
export interface CheckHelp {
  /** Hashes what is long; absent: this thread. */
  readonly hashing?: ChunkHashing | undefined
  /** Whether float32 rows were looked at already, chunks and components. */
  readonly isSound?: (rows: BlobRef) => boolean
}

/**
 * Opens every part of a segment whose blobs have the right digests, as a search would: a blob can
 * be intact and yet not hold what its role says, where a faulty or hostile program wrote it. Costs
 * one reading of all its blobs; of field and text indexes it sees that they can be opened and
 * belong to as many rows, not that they are those of the payloads.
 *
 * @returns its ids, where they can be read
 */
export async function checkSegment(
  store: ObjectStore,
  { entry, state }: { readonly entry: SegmentEntry; readonly state: CollectionState },
  problems: CheckProblems,
  help: CheckHelp = {},
): Promise<LiveIds | undefined> {
  const reader = new SegmentReader(store, entry, { pages: new PageCache(PAGES_BYTES_MAX) })
  const spec = vectorSpecOf(state.schema)
  const part = <T>(role: BlobRole, work: () => Promise<T>): Promise<T | undefined> =>
    problems.look(keyOf(entry, role), work)
  try {
    const ids = await part('ids', () => reader.ids())
    await part('origin', async () => checkOrigin((await reader.origin()).sources, entry))
    await part('fields', () => reader.fields())
    await part('text', () => checkText(reader, state.schema.text.fields))
    for (const number of sparseFieldsOf(state.schema).keys()) {
      await part('sparse', () => checkSparse(reader, number))
    }
    await part('payload', () => checkPayloads(reader, entry))
    if (spec !== undefined) await part('vectors', () => checkVectors(reader, spec, state, help))
    if (ids === undefined) return undefined
    const { tombstones } = entry
    const key = tombstones === undefined ? keyOf(entry, 'ids') : blobKey(tombstones.digest)
    return await problems.look(key, () => liveIds(store, entry, reader))
  } finally {
    reader.close()
  }
}

/** Rows are looked at in their order: no page is needed twice. */
const PAGES_BYTES_MAX = 0

/** Key of the blob that holds a part, for the message. */
function keyOf(entry: SegmentEntry, role: BlobRole): string {
  const ref =
    entry.blobs.find((blob) => blob.role === role) ??
    entry.blobs.find((blob) => blob.role === 'pack') ??
    entry.blobs[0]
  return ref === undefined ? '' : blobKey(ref.digest)
}

function checkOrigin(sources: Uint32Array, entry: SegmentEntry): void {
  for (const source of sources) {
    if (source !== NO_SOURCE && source >= entry.sources.length) {
      throw broken(`a row comes from source ${source} of ${entry.sources.length}`)
    }
  }
}

/** All goes by, where it need not be in memory together. */
async function checkVectors(
  reader: SegmentReader,
  spec: VectorSpec,
  { index: parameters }: CollectionState,
  { hashing, isSound }: CheckHelp,
): Promise<void> {
  const { movable } = segmentNeed(reader.entry, spec, parameters, 1)
  // Opening an index over rows in memory refuses those that are not finite.
  if (!movable) return void (await reader.vectorIndex(spec, parameters))
  await reader.checkIndex(spec, parameters, hashing)
  const rows = await reader.vectorRows(spec)
  const ref = reader.entry.blobs.find(({ role }) => role === 'vectors')
  if (ref !== undefined && rows.components !== undefined && isSound?.(ref) === true) return
  for await (const piece of rows.components?.(hashing) ?? rows.pieces()) {
    if (!isFiniteVector(piece)) throw broken('it has a vector that is not finite')
  }
}

/** A collection has its text fields from its creation on. */
async function checkText(reader: SegmentReader, fields: readonly string[]): Promise<void> {
  const index = await reader.text()
  const found = index?.fields ?? []
  if (found.length !== fields.length || !fields.every((field) => found.includes(field))) {
    throw broken(`it has a text index of ${found.length} fields, not of ${fields.length}`)
  }
  index?.lengths()
}

/** Every vector is looked at, as a search would. */
async function checkSparse(reader: SegmentReader, number: number): Promise<void> {
  const index = await reader.sparse(number)
  for (let row = 0; row < index.rows; row++) index.vector(row)
}

async function checkPayloads(reader: SegmentReader, entry: SegmentEntry): Promise<void> {
  let bytes = 0
  for (let row = 0; row < entry.rows; row++) {
    const text = reader.payloadNow(row) ?? (await reader.payloadBytes(row))
    payloadOf(text)
    bytes += text.byteLength
  }
  if (bytes !== entry.payloadBytes) {
    throw broken(`${bytes} bytes of payload, not ${entry.payloadBytes}`)
  }
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a segment does not hold what it says: ${what}`)
