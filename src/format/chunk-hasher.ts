import { createHash, type Hash, hash } from 'node:crypto'

/**
 * SHA-256 (FIPS 180-4) of each chunk of a body that goes by in pieces of any size. A chunk that
 * lies in one piece is hashed in one call, which is faster for small ones.
 */
export class ChunkHasher {
  readonly #chunkBytes: number
  readonly #bodyBytes: number
  readonly #onChunk: (digest: Buffer, index: number) => void
  #chunk: Hash | undefined
  #at = 0

  /**
   * @param onChunk told of each chunk's digest, in order; the last chunk ends where the body does
   */
  constructor(
    chunkBytes: number,
    bodyBytes: number,
    onChunk: (digest: Buffer, index: number) => void,
  ) {
    this.#chunkBytes = chunkBytes
    this.#bodyBytes = bodyBytes
    this.#onChunk = onChunk
  }

  /** Bytes of the body that went by. */
  get at(): number {
    return this.#at
  }

  /** The next bytes of the body. */
  update(piece: Uint8Array): void {
    for (let from = 0; from < piece.byteLength; ) {
      const inChunk = this.#at % this.#chunkBytes
      const end = Math.min(this.#at - inChunk + this.#chunkBytes, this.#bodyBytes)
      const bytes = Math.min(piece.byteLength - from, end - this.#at)
      if (bytes <= 0) throw new RangeError(`more than the ${this.#bodyBytes} bytes of a body`)
      this.#part(piece.subarray(from, from + bytes), inChunk === 0, this.#at + bytes === end)
      from += bytes
    }
  }

  #part(part: Uint8Array, isFirst: boolean, isLast: boolean): void {
    const index = Math.floor(this.#at / this.#chunkBytes)
    this.#at += part.byteLength
    if (isFirst && isLast) {
      this.#onChunk(hash('sha256', part, 'buffer'), index)
      return
    }
    if (isFirst || this.#chunk === undefined) this.#chunk = createHash('sha256')
    this.#chunk.update(part)
    if (isLast) this.#onChunk(this.#chunk.digest(), index)
  }
}
