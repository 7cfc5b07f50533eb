import type { Bitset } from '../core/bitset.ts'
import { BestRows, type RankedRow, type TieOrder } from './best-rows.ts'
import { BLOCK_POSTINGS } from './posting-blocks.ts'
import { type RankedList, rankUnion } from './ranked-union.ts'
import type { SparseIndex, SparsePostings } from './sparse-index.ts'
import { checkedSparse, type SparseVector } from './sparse-vector.ts'

/** One segment to be searched. */
export interface SparseSegment {
  readonly index: SparseIndex
  /** Rows that may be found: alive ones that pass the filter; all where it is absent. */
  readonly allowed?: Bitset | undefined
}

export interface SparseSearchRequest {
  readonly segments: readonly SparseSegment[]
  readonly query: SparseVector
  readonly k: number
  /** Order of rows with equal scores; default: by segment, then row. */
  readonly ties?: TieOrder
}

export interface SparseResult {
  /** At most k, best first; scores are dot products, which may be negative. */
  readonly hits: readonly RankedRow[]
  /** Rows that share a dimension with the query and were looked at; others were passed over. */
  readonly matchedAtLeast: number
}

/**
 * The k allowed rows with the greatest dot product with the query, exactly, of those that have a
 * value other than 0 in one of its dimensions. The same bits on every machine: products of f32 in
 * float64, summed in ascending order of indices.
 *
 * @throws BAD_INPUT, LIMIT for a query that is no sparse vector (see checkedSparse); INTEGRITY
 */
export function searchSparse(request: SparseSearchRequest): SparseResult {
  const { segments, k, ties } = request
  const query = checkedSparse(request.query)
  const rows = segments.reduce((sum, { index }) => sum + index.rows, 0)
  const best = new BestRows(Math.min(k, rows), ties)
  let matchedAtLeast = 0
  for (const [segment, { index, allowed }] of segments.entries()) {
    const lists: DimensionScores[] = []
    for (let i = 0; i < query.indices.length; i++) {
      const factor = query.values[i] as number
      const postings = factor === 0 ? undefined : index.postings(query.indices[i] as number)
      if (postings !== undefined) lists.push(new DimensionScores(postings, factor))
    }
    matchedAtLeast += rankUnion({ segment, rows: index.rows, lists, allowed }, best)
  }
  return { hits: best.sorted(), matchedAtLeast }
}

/**
 * The dot product of two checked vectors, with the bits that `searchSparse` gives; undefined where
 * they share no dimension in which both are other than 0. For rows that are in no index.
 */
export function sparseScore(query: SparseVector, vector: SparseVector): number | undefined {
  let score: number | undefined
  let at = 0
  for (let i = 0; i < query.indices.length && at < vector.indices.length; i++) {
    const index = query.indices[i] as number
    while (at < vector.indices.length && (vector.indices[at] as number) < index) at++
    if (vector.indices[at] !== index) continue
    const product = (query.values[i] as number) * (vector.values[at] as number)
    if (product !== 0) score = (score ?? 0) + product
  }
  return score
}

/** One dimension of a query in one segment. */
class DimensionScores implements RankedList {
  readonly blocks: number
  readonly magnitude: number
  readonly #postings: SparsePostings
  readonly #factor: number
  readonly #scores = new Float64Array(BLOCK_POSTINGS)
  #open = -1
  #count = 0
  #scored = -1

  constructor(postings: SparsePostings, factor: number) {
    this.#postings = postings
    this.#factor = factor
    this.blocks = postings.blocks
    let magnitude = 0
    for (let block = 0; block < this.blocks; block++) {
      const most = Math.max(postings.maxValue(block), -postings.minValue(block))
      if (most > magnitude) magnitude = most
    }
    this.magnitude = magnitude * Math.abs(factor)
  }

  get rows(): Uint32Array {
    return this.#postings.rows
  }

  lastRow(block: number): number {
    return this.#postings.lastRow(block)
  }

  bound(block: number): number {
    const factor = this.#factor
    return factor * (factor > 0 ? this.#postings.maxValue(block) : this.#postings.minValue(block))
  }

  open(block: number): number {
    if (this.#open !== block) {
      this.#open = -1
      this.#count = this.#postings.open(block)
      this.#open = block
    }
    return this.#count
  }

  scores(): Float64Array {
    if (this.#scored === this.#open) return this.#scores
    const { values } = this.#postings
    for (let i = 0; i < this.#count; i++) {
      this.#scores[i] = this.#factor * (values[i] as number)
    }
    this.#scored = this.#open
    return this.#scores
  }

  scoreAt(place: number): number {
    return this.#factor * (this.#postings.values[place] as number)
  }
}
