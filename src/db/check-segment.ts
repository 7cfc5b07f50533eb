import { AkidbError } from '../errors/errors.ts'
import { blobKey } from '../format/blob.ts'
import type { IdTable } from '../format/ids-section.ts'
import type { BlobRole, SegmentEntry } from '../format/manifest.ts'
import { NO_SOURCE } from '../format/origin-section.ts'
import type { NamedSegment } from './check-manifests.ts'
import type { CheckProblems } from './check-problems.ts'
import type { Environment } from './environment.ts'
import { SegmentReader } from './segment-reader.ts'
import { deadRows, payloadObject, vectorSpecOf } from './view.ts'

/**
 * Opens every part of a segment whose blobs have the right digests, as a search would: a blob can
 * be intact and yet not hold what its role says, where a faulty or hostile program wrote it.
 */
export async function checkSegment(
  environment: Environment,
  { entry, manifest }: NamedSegment,
  problems: CheckProblems,
): Promise<void> {
  const { store } = environment
  const reader = new SegmentReader(store, entry)
  const spec = vectorSpecOf(manifest.state.schema)
  const part = (role: BlobRole, work: () => Promise<unknown>) =>
    problems.look(keyOf(entry, role), work)
  try {
    await part('ids', async () => checkOrder(await reader.ids(), entry.rows))
    await part('origin', async () => checkOrigin((await reader.origin()).sources, entry))
    await part('fields', () => reader.fields())
    await part('text', () => reader.text())
    await part('payload', () => checkPayloads(reader, entry))
    if (spec !== undefined) {
      const parameters = manifest.state.index
      await part('vectors', () => reader.vectorIndex(spec, parameters))
    }
    if (entry.tombstones !== undefined) {
      const key = blobKey(entry.tombstones.digest)
      await problems.look(key, () => deadRows(store, entry))
    }
  } finally {
    reader.close()
  }
}

/** Key of the blob that holds a part, for the message. */
function keyOf(entry: SegmentEntry, role: BlobRole): string {
  const ref =
    entry.blobs.find((blob) => blob.role === role) ??
    entry.blobs.find((blob) => blob.role === 'pack') ??
    entry.blobs[0]
  return ref === undefined ? '' : blobKey(ref.digest)
}

/** Every row once, in bytewise order of the ids; of equal ids the lower row first. */
function checkOrder(ids: IdTable, rows: number): void {
  if (ids.count !== rows) throw broken(`${ids.count} ids for ${rows} rows`)
  for (let place = 1; place < rows; place++) {
    const before = ids.sorted(place - 1)
    const row = ids.sorted(place)
    const order = Buffer.compare(ids.idBytes(before), ids.idBytes(row))
    if (order > 0 || (order === 0 && before >= row)) throw broken('its ids are not in order')
  }
}

function checkOrigin(sources: Uint32Array, entry: SegmentEntry): void {
  for (const source of sources) {
    if (source !== NO_SOURCE && source >= entry.sources.length) {
      throw broken(`a row comes from source ${source} of ${entry.sources.length}`)
    }
  }
}

async function checkPayloads(reader: SegmentReader, entry: SegmentEntry): Promise<void> {
  let bytes = 0
  for (let row = 0; row < entry.rows; row++) {
    const text = await reader.payload(row)
    payloadObject(text)
    bytes += Buffer.byteLength(text)
  }
  if (bytes !== entry.payloadBytes) {
    throw broken(`${bytes} bytes of payload, not ${entry.payloadBytes}`)
  }
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a segment does not hold what it says: ${what}`)
