/**
 * One record of the write-ahead log, little endian:
 *
 *   offset  bytes  type  meaning
 *   0       4      u32   length of the body
 *   4       8      -     first 8 bytes of the body's SHA-256
 *   12      1      u8    1 upsert, 2 delete, 3 begin of a group
 *   13      2      u16   bytes of the id
 *   15      4      u32   bytes of the payload (JSON text)
 *   19      4      u32   components of the vector
 *   23      …      -     id (UTF-8), payload (UTF-8), vector (f32)
 *
 * A group is what one fsync made durable. Its first record has no id and no vector, and as payload
 * the position (u64) where the group before it ended, then how many bytes (u32) and how many
 * records (u32) follow it. So a group that is missing shows, because the next one does not follow,
 * and one that is damaged is told from one that broke off, which is shorter than it says.
 */
import { sha256 } from '../../core/digest.ts'
import { stringifyJson } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { LogRow } from '../segment/log-rows.ts'
import { payloadObject } from '../segment/view.ts'

const HEADER_BYTES = 12
const BODY_HEADER_BYTES = 11
const CHECK_BYTES = 8
const UPSERT = 1
const DELETE = 2
const GROUP = 3
const GROUP_PAYLOAD_BYTES = 16

/** Bytes of the record that begins a group. */
export const GROUP_RECORD_BYTES = HEADER_BYTES + BODY_HEADER_BYTES + GROUP_PAYLOAD_BYTES

export type LogEntry =
  | { readonly kind: 'upsert'; readonly row: LogRow }
  | { readonly kind: 'delete'; readonly id: string }

/** @throws LIMIT over limits.rowBytesMax */
export function encodeLogEntry(entry: LogEntry): Uint8Array {
  if (entry.kind === 'delete') {
    return encodeRecord(DELETE, { id: entry.id, payload: new Uint8Array() })
  }
  const { id, vector, payload } = entry.row
  const text = Buffer.from(stringifyJson(payload), 'utf8')
  return encodeRecord(UPSERT, { id, payload: text, vector })
}

/**
 * @param after position where the group before ended; 0 for the first
 * @param entries the records that follow, at most 2^32 − 1 bytes in all
 */
export function encodeGroupRecord(after: number, entries: readonly Uint8Array[]): Uint8Array {
  const payload = Buffer.alloc(GROUP_PAYLOAD_BYTES)
  payload.writeBigUInt64LE(BigInt(after))
  payload.writeUInt32LE(
    entries.reduce((sum, { byteLength }) => sum + byteLength, 0),
    8,
  )
  payload.writeUInt32LE(entries.length, 12)
  return encodeRecord(GROUP, { id: '', payload })
}

interface RecordParts {
  readonly id: string
  readonly payload: Uint8Array
  readonly vector?: Float32Array | undefined
}

function encodeRecord(kind: number, parts: RecordParts): Uint8Array {
  const { payload, vector = new Float32Array() } = parts
  const id = Buffer.from(parts.id, 'utf8')
  const bodyBytes = BODY_HEADER_BYTES + id.byteLength + payload.byteLength + vector.byteLength
  if (bodyBytes > limits.rowBytesMax) {
    throw new AkidbError('LIMIT', `a record of ${bodyBytes} bytes is over rowBytesMax`)
  }
  const bytes = Buffer.alloc(HEADER_BYTES + bodyBytes)
  bytes.writeUInt32LE(bodyBytes, 0)
  bytes.writeUInt8(kind, 12)
  bytes.writeUInt16LE(id.byteLength, 13)
  bytes.writeUInt32LE(payload.byteLength, 15)
  bytes.writeUInt32LE(vector.length, 19)
  id.copy(bytes, 23)
  bytes.set(payload, 23 + id.byteLength)
  const at = 23 + id.byteLength + payload.byteLength
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i] as number, at + i * 4)
  bytes.set(sha256(bytes.subarray(HEADER_BYTES)).subarray(0, CHECK_BYTES), 4)
  return bytes
}

/** An entry with the position of its end in the log of its epoch. */
export interface PlacedEntry {
  readonly entry: LogEntry
  readonly end: number
}

/** What is whole of a group. */
export interface DecodedGroup {
  /** Position where the group before ended, as this one says. */
  readonly after: number
  readonly entries: readonly PlacedEntry[]
  readonly end: number
  /** Whether the log ends before the group says that it does. */
  readonly torn: boolean
  /** Whether the group is there in its full length, and does not hold what it says. */
  readonly damaged: boolean
}

/**
 * The groups of one piece of a log. A group may break off: then nothing of it was acknowledged,
 * unless a later group follows, which the caller sees from that one's `after`. What comes behind a
 * broken group is searched for groups.
 *
 * @param start position of the piece's first byte
 * @throws INTEGRITY for an entry that checks but contradicts itself
 */
export function decodeGroups(bytes: Uint8Array, start: number): DecodedGroup[] {
  const log = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const groups: DecodedGroup[] = []
  for (let at = nextGroup(log, 0); at !== undefined; ) {
    const group = decodeGroup(log, at, start)
    groups.push(group)
    at = nextGroup(log, group.end - start)
  }
  return groups
}

/**
 * Whether a piece goes on, after its last group or from its first byte, with a full group record
 * that is none. A write that broke off leaves less, or zeros.
 */
export function hasBrokenTail(bytes: Uint8Array, start: number, last?: DecodedGroup): boolean {
  if (last !== undefined && (last.torn || last.damaged)) return false
  const tail = bytes.subarray(last === undefined ? 0 : last.end - start)
  return tail.byteLength >= GROUP_RECORD_BYTES && tail.some((byte) => byte !== 0)
}

/** Where a group begins at or after `from`: at `from` itself but for damage. */
function nextGroup(log: Buffer, from: number): number | undefined {
  for (let at = from; at + GROUP_RECORD_BYTES <= log.byteLength; at++) {
    if (isGroup(log, at)) return at
  }
  return undefined
}

const isGroup = (log: Buffer, at: number): boolean =>
  log.readUInt8(at + HEADER_BYTES) === GROUP &&
  recordEnd(log, at) === at + GROUP_RECORD_BYTES &&
  log.readUInt32LE(at + 15) === GROUP_PAYLOAD_BYTES

function decodeGroup(log: Buffer, groupAt: number, start: number): DecodedGroup {
  const payloadAt = groupAt + HEADER_BYTES + BODY_HEADER_BYTES
  const after = Number(log.readBigUInt64LE(payloadAt))
  const count = log.readUInt32LE(payloadAt + 12)
  const entries: PlacedEntry[] = []
  let at = groupAt + GROUP_RECORD_BYTES
  const groupEnd = at + log.readUInt32LE(payloadAt + 8)
  while (at < groupEnd) {
    const end = recordEnd(log, at)
    if (end === undefined || log.readUInt8(at + HEADER_BYTES) === GROUP) break
    const entry = decodeBody(log.subarray(at + HEADER_BYTES, end))
    entries.push({ entry, end: start + end })
    at = end
  }
  const torn = groupEnd > log.byteLength
  const isWhole = at === groupEnd && entries.length === count
  return { after, entries, end: start + at, torn, damaged: !torn && !isWhole }
}

/** End of the record at `at`, where it is whole and its lengths and its check agree. */
function recordEnd(log: Buffer, at: number): number | undefined {
  if (at + HEADER_BYTES + BODY_HEADER_BYTES > log.byteLength) return undefined
  const bodyBytes = log.readUInt32LE(at)
  const end = at + HEADER_BYTES + bodyBytes
  if (bodyBytes > limits.rowBytesMax || end > log.byteLength) return undefined
  const components = log.readUInt32LE(at + 19)
  const parts = log.readUInt16LE(at + 13) + log.readUInt32LE(at + 15) + components * 4
  if (bodyBytes !== BODY_HEADER_BYTES + parts) return undefined
  const check = log.subarray(at + 4, at + 4 + CHECK_BYTES)
  const body = log.subarray(at + HEADER_BYTES, end)
  return check.equals(sha256(body).subarray(0, CHECK_BYTES)) ? end : undefined
}

/** @param body a record's body whose lengths and check hold */
function decodeBody(body: Buffer): LogEntry {
  const kind = body.readUInt8(0)
  const payloadAt = BODY_HEADER_BYTES + body.readUInt16LE(1)
  const vectorAt = payloadAt + body.readUInt32LE(3)
  const id = body.toString('utf8', BODY_HEADER_BYTES, payloadAt)
  if (kind === DELETE) return { kind: 'delete', id }
  if (kind !== UPSERT) {
    throw new AkidbError('INTEGRITY', `the write-ahead log holds a record of kind ${kind}`)
  }
  const payload = payloadObject(body.toString('utf8', payloadAt, vectorAt))
  const components = body.readUInt32LE(7)
  if (components === 0) return { kind: 'upsert', row: { id, vector: undefined, payload } }
  const vector = new Float32Array(components)
  for (let i = 0; i < components; i++) vector[i] = body.readFloatLE(vectorAt + i * 4)
  return { kind: 'upsert', row: { id, vector, payload } }
}
