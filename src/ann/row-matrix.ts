import type { Bitset } from '../core/bitset.ts'
import { type Metric, normOf } from '../core/metric.ts'
import { KernelIndex } from './kernel-index.ts'
import { Segment } from './segment.ts'
import type { RowHits } from './vector-index.ts'

const FIRST_ROWS = 256

/**
 * Vectors that come one by one and are scanned by the kernel in float32, with the arithmetic of
 * segments. Memory doubles as it fills; rows have numbers from 0.
 */
export class RowMatrix {
  readonly dimension: number
  readonly metric: Metric
  #segment: Segment | undefined
  #index: KernelIndex | undefined
  #rows = 0
  #normMax = 0

  constructor(dimension: number, metric: Metric) {
    this.dimension = dimension
    this.metric = metric
  }

  get rows(): number {
    return this.#rows
  }

  /** Rows that a bit set of `nearest` has room for. */
  get capacity(): number {
    return this.#segment?.rows ?? 0
  }

  /** No row has a larger norm. */
  get normMax(): number {
    return this.#normMax
  }

  /** Forgets all rows; keeps the memory. */
  clear(): void {
    this.#rows = 0
    this.#normMax = 0
  }

  /**
   * Adds rows; one without a vector takes a number that is never to be searched.
   * @param vectors shape (dimension,) each, finite @throws LIMIT, NO_SPACE, BAD_INPUT
   */
  append(vectors: readonly (Float32Array | undefined)[]): void {
    if (vectors.length === 0) return
    const segment = this.#roomFor(this.#rows + vectors.length)
    const first = this.#rows
    for (const [i, vector] of vectors.entries()) {
      if (vector === undefined) continue
      segment.loadPiece(vector, first + i, 'BAD_INPUT')
      this.#normMax = Math.max(this.#normMax, normOf(vector))
    }
    segment.measure('BAD_INPUT', first, first + vectors.length)
    this.#rows += vectors.length
  }

  /** The k nearest of the allowed rows, by float32. @throws as VectorIndex.search */
  nearest(query: Float32Array, k: number, allowed: Bitset): RowHits {
    if (this.#index === undefined) throw new Error('there are no rows to search')
    return this.#index.search({ query, k, ef: k, kind: 'scan-f32', allowed })
  }

  #roomFor(rows: number): Segment {
    const former = this.#segment
    if (former !== undefined && former.rows >= rows) return former
    let capacity = former?.rows ?? FIRST_ROWS
    while (capacity < rows) capacity *= 2
    const { dimension, metric } = this
    const segment = Segment.create({ rows: capacity, dimension, metric, contexts: 1 })
    if (former !== undefined && this.#rows > 0) {
      const from = former.address('vectors')
      const bytes = this.#rows * former.plan.stride * 4
      segment.u8.set(former.u8.subarray(from, from + bytes), segment.address('vectors'))
      segment.measure('BAD_INPUT', 0, this.#rows)
    }
    this.#segment = segment
    this.#index = new KernelIndex(segment)
    return segment
  }
}
