/**
 * SEGv1, the one file format of blobs. Little endian throughout.
 *
 *   offset  bytes  type   meaning
 *   0       4      ascii  magic "SEGv"
 *   4       2      u16    format version, 1
 *   6       2      u16    role, index in BLOB_ROLES
 *   8       2      u16    codec: 0 raw, 1 zstd pages
 *   10      2      u16    requires bits; an unknown bit refuses the file
 *   12      4      u32    sections
 *   16      8      u64    records
 *   24      4      u32    dimension, 0 without vectors
 *   28      4      u32    chunkBytes of the chunk list
 *   32      8      u64    offset of the section table, 64
 *   40      8      u64    body length: everything before the chunk list
 *   48      16     -      zero
 *   64      32·n   -      sections: name (8, ascii, zero-padded), u64 offset, u64 bytes, u64 zero
 *   …              -      sections, each at a multiple of 64, zeros between
 *   body    32·c   -      chunk list: SHA-256 of each chunkBytes of the body
 *   end−32  32     -      tail: u64 body, u32 chunks, u32 chunkBytes, u64 file, "SEGv", u32 1
 */
import { createHash } from 'node:crypto'
import { sha256, sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { ChunkHasher } from './chunk-hasher.ts'
import { chunkLayout, chunkRoot, HASH_BYTES, TAIL_BYTES } from './chunks.ts'
import { BLOB_ROLES, type BlobRef, type BlobRole } from './manifest.ts'

export const HEADER_BYTES = 64
export const SECTION_ENTRY_BYTES = 32
export const ALIGN_BYTES = 64
export const SEG_MAGIC = 0x76474553
export const SEG_VERSION = 1
/** Section of a segment's stored vectors. */
export const VECTORS_SECTION = 'vec'
/** Sections of one blob; we write at most a dozen. */
export const SECTIONS_MAX = 64

/** Codecs by their number in the header: payload pages are zstd frames, all else stands raw. */
export const BLOB_CODECS = ['raw', 'zstd-pages'] as const

export interface SectionInput {
  /** 1–8 characters of ASCII. */
  readonly name: string
  /** Total length of the pieces. */
  readonly bytes: number
  readonly pieces: Iterable<Uint8Array>
}

export interface BlobInput {
  readonly role: BlobRole
  readonly records: number
  readonly dimension: number
  readonly sections: readonly SectionInput[]
}

export interface DecodedBlob {
  readonly role: BlobRole
  readonly records: number
  readonly dimension: number
  readonly sections: ReadonlyMap<string, Uint8Array>
}

const codecOf = (role: BlobRole): number =>
  BLOB_CODECS.indexOf(role === 'payload' || role === 'pack' ? 'zstd-pages' : 'raw')

/** Chunk of the hash list of a role's blobs. */
export const chunkBytesOf = (role: BlobRole): number =>
  role === 'vectors' || role === 'payload' ? limits.chunkBytesSmall : limits.chunkBytesLarge

/** A section of bytes that are in memory. */
export const section = (name: string, bytes: Uint8Array): SectionInput => ({
  name,
  bytes: bytes.byteLength,
  pieces: [bytes],
})

/**
 * Writes one blob in a single pass, in pieces.
 *
 * @param write takes each piece in order; the piece may be reused after it resolves
 * @throws LIMIT over limits.blobBytesMax
 */
export async function encodeBlob(
  input: BlobInput,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<BlobRef> {
  const chunkBytes = chunkBytesOf(input.role)
  const layout = layoutOf(input)
  if (layout.bodyBytes > limits.blobBytesMax) {
    throw new AkidbError('LIMIT', `a blob of ${layout.bodyBytes} bytes is over blobBytesMax`)
  }
  const hasher = createBlobHasher(layout.bodyBytes, chunkBytes)
  const put = async (bytes: Uint8Array) => {
    hasher.body(bytes)
    await write(bytes)
  }
  await put(encodeHeader(input, layout, chunkBytes))
  let at = HEADER_BYTES + input.sections.length * SECTION_ENTRY_BYTES
  for (const [i, item] of input.sections.entries()) {
    const offset = layout.offsets[i] as number
    if (offset > at) await put(new Uint8Array(offset - at))
    let written = 0
    for (const piece of item.pieces) {
      await put(piece)
      written += piece.byteLength
    }
    if (written !== item.bytes) throw new Error(`section ${item.name}: ${written} of ${item.bytes}`)
    at = offset + written
  }
  if (layout.bodyBytes > at) await put(new Uint8Array(layout.bodyBytes - at))
  const end = hasher.finish()
  await write(end.trailer)
  return { ...end.ref, role: input.role }
}

interface BlobPlan {
  readonly offsets: readonly number[]
  readonly bodyBytes: number
}

const SECTION_NAME = /^[!-~]{1,8}$/

function layoutOf(input: BlobInput): BlobPlan {
  const names = new Set(input.sections.map(({ name }) => name))
  if (names.size !== input.sections.length || names.size > SECTIONS_MAX) {
    throw new Error(`a blob has at most ${SECTIONS_MAX} sections, each of another name`)
  }
  let at = HEADER_BYTES + input.sections.length * SECTION_ENTRY_BYTES
  const offsets: number[] = []
  for (const item of input.sections) {
    if (!SECTION_NAME.test(item.name)) throw new Error(`no section can be named "${item.name}"`)
    at = align(at)
    offsets.push(at)
    at += item.bytes
  }
  return { offsets, bodyBytes: align(at) }
}

const align = (offset: number): number => Math.ceil(offset / ALIGN_BYTES) * ALIGN_BYTES

function encodeHeader(input: BlobInput, plan: BlobPlan, chunkBytes: number): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + input.sections.length * SECTION_ENTRY_BYTES)
  bytes.writeUInt32LE(SEG_MAGIC, 0)
  bytes.writeUInt16LE(SEG_VERSION, 4)
  bytes.writeUInt16LE(BLOB_ROLES.indexOf(input.role), 6)
  bytes.writeUInt16LE(codecOf(input.role), 8)
  bytes.writeUInt32LE(input.sections.length, 12)
  bytes.writeBigUInt64LE(BigInt(input.records), 16)
  bytes.writeUInt32LE(input.dimension, 24)
  bytes.writeUInt32LE(chunkBytes, 28)
  bytes.writeBigUInt64LE(BigInt(HEADER_BYTES), 32)
  bytes.writeBigUInt64LE(BigInt(plan.bodyBytes), 40)
  for (const [i, item] of input.sections.entries()) {
    const at = HEADER_BYTES + i * SECTION_ENTRY_BYTES
    bytes.write(item.name, at, 8, 'ascii')
    bytes.writeBigUInt64LE(BigInt(plan.offsets[i] as number), at + 8)
    bytes.writeBigUInt64LE(BigInt(item.bytes), at + 16)
  }
  return bytes
}

/** Hashes a body as it goes by: chunk by chunk and whole. */
function createBlobHasher(bodyBytes: number, chunkBytes: number) {
  const whole = createHash('sha256')
  const list: Uint8Array[] = []
  const chunks = new ChunkHasher(chunkBytes, bodyBytes, (digest) => void list.push(digest))
  const body = (bytes: Uint8Array): void => {
    whole.update(bytes)
    chunks.update(bytes)
  }
  const finish = () => {
    const hashes = Buffer.concat(list)
    const fileBytes = bodyBytes + hashes.byteLength + TAIL_BYTES
    const trailer = Buffer.concat([
      hashes,
      encodeTail(bodyBytes, list.length, chunkBytes, fileBytes),
    ])
    const digest = whole.update(trailer).digest('hex')
    return { trailer, ref: { digest, bytes: fileBytes, chunkBytes, chunkRoot: chunkRoot(hashes) } }
  }
  return { body, finish }
}

function encodeTail(body: number, chunks: number, chunkBytes: number, file: number): Uint8Array {
  const tail = Buffer.alloc(TAIL_BYTES)
  tail.writeBigUInt64LE(BigInt(body), 0)
  tail.writeUInt32LE(chunks, 8)
  tail.writeUInt32LE(chunkBytes, 12)
  tail.writeBigUInt64LE(BigInt(file), 16)
  tail.writeUInt32LE(SEG_MAGIC, 24)
  tail.writeUInt32LE(SEG_VERSION, 28)
  return tail
}

/**
 * Opens a blob whose whole digest has been checked. Sections are views of `bytes`.
 *
 * @throws INTEGRITY where header, table or tail do not fit; FORMAT_VERSION for a newer version or
 *   requires bit
 */
export function decodeBlob(bytes: Uint8Array, ref: BlobRef): DecodedBlob {
  if (bytes.byteLength !== ref.bytes) throw damaged(ref, `${bytes.byteLength} bytes long`)
  const head = decodeBlobHead(bytes, ref)
  const sections = new Map<string, Uint8Array>()
  let end = HEADER_BYTES + head.sections.size * SECTION_ENTRY_BYTES
  for (const [name, range] of head.sections) {
    checkZeros(bytes, { from: end, to: range.offset }, ref)
    end = range.offset + range.bytes
    sections.set(name, bytes.subarray(range.offset, end))
  }
  const layout = chunkLayout(ref.bytes, ref.chunkBytes)
  if (layout === undefined) throw damaged(ref, 'its length fits no blob')
  checkZeros(bytes, { from: end, to: layout.bodyBytes }, ref)
  const tail = encodeTail(layout.bodyBytes, layout.chunkCount, ref.chunkBytes, ref.bytes)
  if (Buffer.compare(tail, bytes.subarray(ref.bytes - TAIL_BYTES)) !== 0) {
    throw damaged(ref, 'its tail is broken')
  }
  return { role: head.role, records: head.records, dimension: head.dimension, sections }
}

/** What lies between sections, and what is kept free, is zero: no bit of a blob is unchecked. */
function checkZeros(
  bytes: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
  ref: BlobRef,
): void {
  for (let at = from; at < to; at++) {
    if (bytes[at] !== 0) throw damaged(ref, `byte ${at} is not zero`)
  }
}

export interface BlobHead {
  readonly role: BlobRole
  readonly records: number
  readonly dimension: number
  readonly sections: ReadonlyMap<string, { readonly offset: number; readonly bytes: number }>
}

/**
 * The header and section table alone; `bytes` holds at least those.
 *
 * @throws INTEGRITY; FORMAT_VERSION for a newer version, codec or requires bit
 */
export function decodeBlobHead(bytes: Uint8Array, ref: BlobRef): BlobHead {
  const layout = chunkLayout(ref.bytes, ref.chunkBytes)
  if (layout === undefined) throw damaged(ref, 'its length fits no blob')
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength < HEADER_BYTES || view.readUInt32LE(0) !== SEG_MAGIC) {
    throw damaged(ref, 'no SEGv magic')
  }
  checkVersion(view, ref)
  const role = BLOB_ROLES[view.readUInt16LE(6)]
  if (role === undefined || role !== ref.role) {
    throw damaged(ref, `its role is ${role ?? 'unknown'}`)
  }
  if (view.readUInt16LE(8) !== codecOf(role)) throw damaged(ref, 'its codec is another')
  if (view.readUInt32LE(28) !== ref.chunkBytes || ref.chunkBytes !== chunkBytesOf(role)) {
    throw damaged(ref, 'its chunks are of another size')
  }
  if (view.readBigUInt64LE(40) !== BigInt(layout.bodyBytes)) throw damaged(ref, 'wrong body length')
  checkZeros(view, { from: 48, to: HEADER_BYTES }, ref)
  const records = Number(view.readBigUInt64LE(16))
  const dimension = view.readUInt32LE(24)
  if (!Number.isSafeInteger(records) || dimension > limits.dimensionMax) {
    throw damaged(ref, `it says ${records} records of dimension ${dimension}`)
  }
  return { role, records, dimension, sections: decodeSectionTable(view, layout.bodyBytes, ref) }
}

function checkVersion(view: Buffer, ref: BlobRef): void {
  const version = view.readUInt16LE(4)
  const newer = version !== SEG_VERSION || view.readUInt16LE(10) !== 0
  if (!newer && view.readUInt16LE(8) < BLOB_CODECS.length) return
  throw new AkidbError('FORMAT_VERSION', `blob ${ref.digest} is of a newer format`, {
    hint: 'Open it with a newer akidb.',
  })
}

/** Sections in the order of the table: each where the one before it ends, at the next multiple. */
function decodeSectionTable(view: Buffer, bodyBytes: number, ref: BlobRef): BlobHead['sections'] {
  const count = view.readUInt32LE(12)
  let end = HEADER_BYTES + count * SECTION_ENTRY_BYTES
  if (count > SECTIONS_MAX || view.readBigUInt64LE(32) !== BigInt(HEADER_BYTES)) {
    throw damaged(ref, 'its section table is broken')
  }
  if (view.byteLength < end || bodyBytes < end) throw damaged(ref, 'its section table is cut')
  const sections = new Map<string, { offset: number; bytes: number }>()
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * SECTION_ENTRY_BYTES
    const name = view.toString('latin1', at, at + 8).replace(/\0+$/, '')
    const offset = Number(view.readBigUInt64LE(at + 8))
    const length = Number(view.readBigUInt64LE(at + 16))
    if (!SECTION_NAME.test(name) || sections.has(name)) {
      throw damaged(ref, `section ${JSON.stringify(name)} has no name of its own`)
    }
    if (offset !== align(end) || offset + length > bodyBytes) {
      throw damaged(ref, `section ${JSON.stringify(name)} lies outside`)
    }
    checkZeros(view, { from: at + 24, to: at + SECTION_ENTRY_BYTES }, ref)
    sections.set(name, { offset, bytes: length })
    end = offset + length
  }
  if (align(end) !== bodyBytes) throw damaged(ref, 'bytes after its last section')
  return sections
}

/** @throws INTEGRITY unless the bytes are the blob that `ref` names. */
export function checkBlob(bytes: Uint8Array, ref: BlobRef): void {
  const digest = sha256Hex(bytes)
  if (digest !== ref.digest || bytes.byteLength !== ref.bytes) {
    throw damaged(ref, `its content hashes to ${digest}`)
  }
}

/** @throws INTEGRITY unless `list` (the hashes at the end of a blob) has the promised root. */
export function checkChunkList(list: Uint8Array, ref: BlobRef): void {
  const layout = chunkLayout(ref.bytes, ref.chunkBytes)
  if (list.byteLength !== layout?.listBytes || chunkRoot(list) !== ref.chunkRoot) {
    throw damaged(ref, 'its chunk list does not match')
  }
}

/**
 * @param digest of the chunk, where it is known
 * @throws INTEGRITY unless `chunk` is number `index` of the body that `list` describes.
 */
export function checkChunk(
  chunk: Uint8Array,
  index: number,
  list: Uint8Array,
  ref: BlobRef,
  digest: Uint8Array = sha256(chunk),
): void {
  const expected = list.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
  if (Buffer.compare(digest, expected) !== 0) throw damaged(ref, `its chunk ${index} is altered`)
}

const damaged = (ref: BlobRef, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `blob ${ref.digest} (${ref.role}) is damaged: ${what}`, {
    hint: 'Run akidb check --read-data, then akidb repair --from a bundle or copy that has it.',
    details: { key: blobKey(ref.digest), role: ref.role },
  })

/** Key of a blob in the store; domain "0" is the one without a key of its own. */
export const blobKey = (digest: string, domain = '0'): string =>
  `blobs/${domain}/${digest.slice(0, 2)}/${digest}`
