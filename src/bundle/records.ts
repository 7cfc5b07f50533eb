import { limits } from '../core/limits.ts'
import { literal, object, ShapeError } from '../core/shape.ts'
import { AkidbError } from '../errors/errors.ts'
import { chunkLayout } from '../format/chunks.ts'
import type { BlobRef } from '../format/manifest.ts'
import { blobShape } from '../format/manifest-shape.ts'

/** One blob of the complete set, and whether this bundle has its bytes. */
export interface BlobRecord {
  readonly ref: BlobRef
  readonly carried: boolean
}

/** The line of a record in its page; the one spelling that is taken. */
export const encodeRecord = ({ ref, carried }: BlobRecord): string =>
  `${JSON.stringify({
    digest: ref.digest,
    bytes: ref.bytes,
    chunkBytes: ref.chunkBytes,
    chunkRoot: ref.chunkRoot,
    role: ref.role,
    carried,
  })}\n`

/**
 * The pages of a complete set: at most limits.bundlePageRecordsMax lines each, all but the last
 * full.
 *
 * @param records strictly ascending by digest
 */
export function* encodePages(records: readonly BlobRecord[]): Generator<Uint8Array> {
  for (let at = 0; at < records.length; at += limits.bundlePageRecordsMax) {
    const lines = records.slice(at, at + limits.bundlePageRecordsMax).map(encodeRecord)
    yield Buffer.from(lines.join(''))
  }
}

const carriedShape = object({ carried: literal(true, false) }, true)

/**
 * Reads a page whose digest has been checked.
 *
 * @param after digest of the last record before this page, '' for none
 * @throws INTEGRITY where a line is not a record, is not after the one before it, or names a length
 *   that no blob has
 */
export function decodePage(bytes: Uint8Array, name: string, after: string): BlobRecord[] {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('utf8')
    .split('\n')
  if (lines.pop() !== '' || lines.length > limits.bundlePageRecordsMax) {
    throw broken(name, 'it does not end with a line end, or has too many lines')
  }
  let before = after
  return lines.map((line, i) => {
    const record = decodeRecord(line, `${name}, line ${i + 1}`)
    if (record.ref.digest <= before) throw broken(name, `line ${i + 1} is not in order`)
    before = record.ref.digest
    return record
  })
}

function decodeRecord(line: string, where: string): BlobRecord {
  try {
    const value: unknown = JSON.parse(line)
    const { carried } = carriedShape(value, 'record')
    const fields: Record<string, unknown> = { ...(value as object) }
    delete fields.carried
    const record = { ref: blobShape(fields, 'record'), carried }
    if (encodeRecord(record) !== `${line}\n`) throw new ShapeError('not in its one encoding')
    if (chunkLayout(record.ref.bytes, record.ref.chunkBytes) === undefined) {
      throw new ShapeError(`no blob is ${record.ref.bytes} bytes long`)
    }
    return record
  } catch (error) {
    throw broken(where, error instanceof ShapeError ? error.message : 'it is not JSON')
  }
}

const broken = (where: string, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `${where} is broken: ${what}`, {
    hint: 'Ask the sender for a new export.',
  })
