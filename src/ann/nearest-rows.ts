/** Rows that are kept beyond those that can still be among the nearest, before they are cut. */
const SLACK_ROWS = 4_096

/** Rows and their float64 distances, of one length. */
export interface MeasuredRows {
  readonly rows: Uint32Array
  readonly distances: Float64Array
}

/**
 * The k nearest of rows that come in pieces, and all that are as far as the last of those: which of
 * them come first is decided by ids, which are not known here.
 */
export class NearestRows {
  readonly #k: number
  #rows: number[] = []
  #distances: number[] = []
  /** No row beyond it can be among the k nearest. */
  #farthest = Infinity
  #room: number

  /** @param k at least 1 */
  constructor(k: number) {
    this.#k = k
    this.#room = 2 * k + SLACK_ROWS
  }

  add({ rows, distances }: MeasuredRows): void {
    for (let i = 0; i < rows.length; i++) {
      const distance = distances[i] as number
      if (distance > this.#farthest) continue
      this.#rows.push(rows[i] as number)
      this.#distances.push(distance)
    }
    if (this.#rows.length >= this.#room) this.#cut()
  }

  /** In the order in which they came. */
  result(): MeasuredRows {
    this.#cut()
    return { rows: Uint32Array.from(this.#rows), distances: Float64Array.from(this.#distances) }
  }

  #cut(): void {
    const kth = Float64Array.from(this.#distances).sort()[this.#k - 1]
    if (kth === undefined) return
    this.#farthest = kth
    const kept = this.#distances.map((distance) => distance <= kth)
    this.#rows = this.#rows.filter((_, i) => kept[i])
    this.#distances = this.#distances.filter((_, i) => kept[i])
    // Where many are as far as the last one, they are not cut again for each piece.
    this.#room = Math.max(this.#room, 2 * this.#rows.length)
  }
}
