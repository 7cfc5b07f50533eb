import { limits } from '../../core/limits.ts'

/**
 * Pieces of vectors that are used again for the next segment: what is left to the garbage collector
 * comes back late, and memory would grow with the number of segments.
 */
export class PiecePool {
  #free: Float32Array[] = []
  #bytes = 0

  /** A piece of this many components; its content is whatever it held before. */
  take(components: number): Float32Array {
    const at = this.#free.findIndex((piece) => piece.length === components)
    if (at < 0) return new Float32Array(components)
    const [piece] = this.#free.splice(at, 1)
    this.#bytes -= components * 4
    return piece as Float32Array
  }

  /** Gives pieces back that nobody reads any more; at most one segment's are kept. */
  give(pieces: readonly Float32Array[]): void {
    for (const piece of pieces) {
      if (this.#bytes + piece.byteLength > limits.segmentBytesMax) return
      this.#free.push(piece)
      this.#bytes += piece.byteLength
    }
  }
}
