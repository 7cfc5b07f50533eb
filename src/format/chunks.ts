import { merkleRootOfRecords } from '../core/merkle.ts'

/** Bytes of a hash in the chunk list, and of a blob's tail. */
export const HASH_BYTES = 32
export const TAIL_BYTES = 32

/** Where the parts of a blob lie: body, then the list of its chunks' hashes, then the tail. */
export interface ChunkLayout {
  readonly bodyBytes: number
  readonly chunkCount: number
  readonly listOffset: number
  readonly listBytes: number
}

/**
 * Layout that follows from a blob's length alone: chunkCount = ⌈body ÷ chunkBytes⌉, one SHA-256 a
 * chunk. Returns undefined where no body fits that length.
 */
export function chunkLayout(blobBytes: number, chunkBytes: number): ChunkLayout | undefined {
  const chunkCount = Math.ceil((blobBytes - TAIL_BYTES) / (chunkBytes + HASH_BYTES))
  const listBytes = chunkCount * HASH_BYTES
  const bodyBytes = blobBytes - TAIL_BYTES - listBytes
  if (bodyBytes < 64 || Math.ceil(bodyBytes / chunkBytes) !== chunkCount) return undefined
  return { bodyBytes, chunkCount, listOffset: bodyBytes, listBytes }
}

/**
 * SHA-256 of each chunk of bytes in shared memory, shape (chunks × 32,), by other threads;
 * undefined: none is there to do it.
 */
export type ChunkDigests = (
  bytes: Uint8Array,
  chunkBytes: number,
) => Promise<Uint8Array | undefined>

/** RFC 6962 root over a chunk list (n × 32 bytes, each hash the data of one leaf), hex. */
export const chunkRoot = (list: Uint8Array): string =>
  Buffer.from(merkleRootOfRecords(list, HASH_BYTES)).toString('hex')
