/**
 * One entry of the write-ahead log, little endian:
 *
 *   offset  bytes  type  meaning
 *   0       4      u32   length of the body
 *   4       8      -     first 8 bytes of the body's SHA-256
 *   12      1      u8    1 upsert, 2 delete
 *   13      2      u16   bytes of the id
 *   15      4      u32   bytes of the payload (JSON text)
 *   19      4      u32   components of the vector
 *   23      …      -     id (UTF-8), payload (UTF-8), vector (f32)
 */
import { sha256 } from '../../core/digest.ts'
import { stringifyJson } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { LogRow } from '../log-rows.ts'
import { payloadObject } from '../view.ts'

export const ENTRY_HEADER_BYTES = 12
const BODY_HEADER_BYTES = 11
const CHECK_BYTES = 8
const UPSERT = 1
const DELETE = 2

export type LogEntry =
  | { readonly kind: 'upsert'; readonly row: LogRow }
  | { readonly kind: 'delete'; readonly id: string }

/** @throws LIMIT over limits.rowBytesMax */
export function encodeLogEntry(entry: LogEntry): Uint8Array {
  const upsert = entry.kind === 'upsert' ? entry.row : undefined
  const id = Buffer.from(upsert?.id ?? (entry as { id: string }).id, 'utf8')
  const payload = Buffer.from(upsert === undefined ? '' : stringifyJson(upsert.payload), 'utf8')
  const vector = upsert?.vector ?? new Float32Array()
  const bodyBytes = BODY_HEADER_BYTES + id.byteLength + payload.byteLength + vector.byteLength
  if (bodyBytes > limits.rowBytesMax) {
    throw new AkidbError('LIMIT', `a record of ${bodyBytes} bytes is over rowBytesMax`)
  }
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + bodyBytes)
  bytes.writeUInt32LE(bodyBytes, 0)
  bytes.writeUInt8(upsert === undefined ? DELETE : UPSERT, 12)
  bytes.writeUInt16LE(id.byteLength, 13)
  bytes.writeUInt32LE(payload.byteLength, 15)
  bytes.writeUInt32LE(vector.length, 19)
  id.copy(bytes, 23)
  payload.copy(bytes, 23 + id.byteLength)
  const at = 23 + id.byteLength + payload.byteLength
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i] as number, at + i * 4)
  bytes.set(sha256(bytes.subarray(ENTRY_HEADER_BYTES)).subarray(0, CHECK_BYTES), 4)
  return bytes
}

export interface DecodedLog {
  readonly entries: readonly { readonly entry: LogEntry; readonly end: number }[]
  /** Bytes that hold whole entries; what follows is torn. */
  readonly wholeBytes: number
}

/**
 * Entries from the start of a log up to the first that is torn or does not check. Only the end of a log may be torn: a
 * group is acknowledged after its fsync, so nothing acknowledged lies behind a torn entry.
 */
export function decodeLog(bytes: Uint8Array): DecodedLog {
  const log = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: { entry: LogEntry; end: number }[] = []
  let at = 0
  while (at + ENTRY_HEADER_BYTES + BODY_HEADER_BYTES <= log.byteLength) {
    const bodyBytes = log.readUInt32LE(at)
    const end = at + ENTRY_HEADER_BYTES + bodyBytes
    if (bodyBytes < BODY_HEADER_BYTES || bodyBytes > limits.rowBytesMax) break
    if (end > log.byteLength) break
    const body = log.subarray(at + ENTRY_HEADER_BYTES, end)
    const check = log.subarray(at + 4, at + 4 + CHECK_BYTES)
    if (!check.equals(sha256(body).subarray(0, CHECK_BYTES))) break
    entries.push({ entry: decodeBody(body), end })
    at = end
  }
  return { entries, wholeBytes: at }
}

function decodeBody(body: Buffer): LogEntry {
  const idBytes = body.readUInt16LE(1)
  const payloadBytes = body.readUInt32LE(3)
  const components = body.readUInt32LE(7)
  const expected = BODY_HEADER_BYTES + idBytes + payloadBytes + components * 4
  if (expected !== body.byteLength) {
    throw new AkidbError('INTEGRITY', 'an entry of the write-ahead log contradicts itself')
  }
  const id = body.toString('utf8', BODY_HEADER_BYTES, BODY_HEADER_BYTES + idBytes)
  if (body.readUInt8(0) === DELETE) return { kind: 'delete', id }
  const at = BODY_HEADER_BYTES + idBytes
  const payload = payloadObject(body.toString('utf8', at, at + payloadBytes))
  if (components === 0) return { kind: 'upsert', row: { id, vector: undefined, payload } }
  const vector = new Float32Array(components)
  for (let i = 0; i < components; i++) vector[i] = body.readFloatLE(at + payloadBytes + i * 4)
  return { kind: 'upsert', row: { id, vector, payload } }
}
