/** Components of one piece of memory: 64 KiB. */
const PIECE_COMPONENTS = 16_384

/**
 * Memory for the vectors of rows, many in one piece: an ArrayBuffer of its own for each would keep
 * the garbage collector busier than the reading. Only good vectors take room, so that what is kept
 * of a file never holds on to more than its vectors and the rest of a piece.
 */
export class VectorRoom {
  #piece = new Float32Array(0)
  #used = 0

  /** Room for the next vector, given again until `keep` is called. */
  next(components: number): Float32Array {
    if (this.#used + components > this.#piece.length) {
      this.#piece = new Float32Array(Math.max(components, PIECE_COMPONENTS))
      this.#used = 0
    }
    return this.#piece.subarray(this.#used, this.#used + components)
  }

  /** The room given last holds a vector now. */
  keep(components: number): void {
    this.#used += components
  }
}
