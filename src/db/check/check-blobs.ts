import { createHash } from 'node:crypto'
import { hasCode } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { chunkLayout, chunkRoot, HASH_BYTES } from '../../format/chunks.ts'
import type { BlobRef } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'

/** What is wrong with a blob. */
export interface BlobFault {
  readonly code: 'MISSING' | 'INTEGRITY'
  readonly message: string
}

/** Whether a blob is there and as long as its manifest says; reads none of it. */
export async function lookAtBlob(store: ObjectStore, ref: BlobRef): Promise<BlobFault | undefined> {
  const info = await store.head(blobKey(ref.digest))
  if (info === undefined) return { code: 'MISSING', message: `blob (${ref.role}) is missing` }
  if (info.bytes === ref.bytes) return undefined
  const message = `blob (${ref.role}) is ${info.bytes} bytes long, not ${ref.bytes}`
  return { code: 'INTEGRITY', message }
}

/**
 * Reads a whole blob and compares its digest, its chunk list and the root of that with its name and
 * its manifest, where it really lies: copies of it count for nothing. Memory: one piece and the
 * chunk hashes (2 MiB for the largest blob).
 *
 * @param onBytes told of every piece that was read
 */
export async function readWholeBlob(
  store: ObjectStore,
  ref: BlobRef,
  onBytes: (bytes: number) => void,
): Promise<BlobFault | undefined> {
  const fault = await lookAtBlob(store, ref)
  if (fault !== undefined) return fault
  const layout = chunkLayout(ref.bytes, ref.chunkBytes)
  if (layout === undefined) return damaged(ref, `no blob is ${ref.bytes} bytes long`)
  const whole = createHash('sha256')
  const chunks = new ChunkHashes(ref.chunkBytes, layout.bodyBytes)
  const stored = Buffer.alloc(layout.listBytes)
  let at = 0
  const source = store.cache?.source ?? store
  try {
    for await (const piece of source.read(blobKey(ref.digest), { passing: true })) {
      whole.update(piece)
      const inBody = Math.max(0, Math.min(piece.byteLength, layout.bodyBytes - at))
      chunks.update(piece.subarray(0, inBody))
      const from = at + inBody - layout.listOffset
      if (from >= 0 && from < stored.byteLength)
        stored.set(fitting(piece, inBody, stored, from), from)
      at += piece.byteLength
      onBytes(piece.byteLength)
    }
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND', 'INTEGRITY')) throw error
    return damaged(ref, error.message)
  }
  const list = chunks.finish()
  const intact = whole.digest('hex') === ref.digest
  if (chunkRoot(stored) !== ref.chunkRoot) return damaged(ref, 'its chunk list is altered')
  const bad = firstDifference(list, stored)
  if (bad >= 0) return damaged(ref, `chunk ${bad} (of ${ref.chunkBytes} bytes) is altered`)
  return intact ? undefined : damaged(ref, 'its end is altered')
}

const damaged = (ref: BlobRef, what: string): BlobFault => ({
  code: 'INTEGRITY',
  message: `blob (${ref.role}) is damaged: ${what}`,
})

const fitting = (piece: Uint8Array, from: number, target: Uint8Array, at: number): Uint8Array =>
  piece.subarray(from, Math.min(piece.byteLength, from + target.byteLength - at))

function firstDifference(a: Buffer, b: Buffer): number {
  if (a.byteLength !== b.byteLength) return 0
  for (let at = 0; at < a.byteLength; at += HASH_BYTES) {
    if (a.compare(b, at, at + HASH_BYTES, at, at + HASH_BYTES) !== 0) return at / HASH_BYTES
  }
  return -1
}

/** SHA-256 of every chunk of a body that goes by in pieces. */
class ChunkHashes {
  readonly #chunkBytes: number
  #left: number
  readonly #list: Buffer[] = []
  #chunk = createHash('sha256')
  #inChunk = 0

  constructor(chunkBytes: number, bodyBytes: number) {
    this.#chunkBytes = chunkBytes
    this.#left = bodyBytes
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const take = Math.min(this.#chunkBytes - this.#inChunk, bytes.byteLength - at)
      this.#chunk.update(bytes.subarray(at, at + take))
      at += take
      this.#inChunk += take
      this.#left -= take
      if (this.#inChunk === this.#chunkBytes || this.#left === 0) this.#close()
    }
  }

  finish(): Buffer {
    return Buffer.concat(this.#list)
  }

  #close(): void {
    this.#list.push(this.#chunk.digest())
    this.#chunk = createHash('sha256')
    this.#inChunk = 0
  }
}
