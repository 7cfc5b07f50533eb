import { BLOCK_POSTINGS } from './posting-blocks.ts'
import type { RankedList } from './ranked-union.ts'
import type { FieldLengths, TextIndex } from './text-index.ts'
import type { TextPostings } from './text-postings.ts'

export const K1 = 1.2
export const B = 0.75

/** Weights of the fields of an index; undefined where all are 1. */
export type FieldWeights = Float64Array | undefined

/**
 * How often a term, or any of several, stands in its rows: block by block, rows ascending. Counts
 * are weighted by field; a row may have 0.
 */
export interface FrequencyList {
  readonly count: number
  readonly blocks: number
  lastRow(block: number): number
  /** At least every frequency of the block. */
  maxFrequency(block: number): number
  /** At most the weighted length of every row of the block. */
  minLength(block: number): number
  /** Decodes a block; returns how many postings it has. */
  open(block: number): number
  /** Of the open block. */
  readonly rows: Uint32Array
  readonly frequencies: Float64Array
}

/** Postings of one term with their counts weighted by field. */
export class WeightedPostings implements FrequencyList {
  readonly count: number
  readonly blocks: number
  rows: Uint32Array = new Uint32Array(0)
  readonly frequencies = new Float64Array(BLOCK_POSTINGS)
  readonly #postings: TextPostings
  readonly #weights: FieldWeights
  readonly #most: number
  readonly #least: number
  #open = -1

  constructor(postings: TextPostings, weights: FieldWeights) {
    this.count = postings.count
    this.blocks = postings.blocks
    this.#postings = postings
    this.#weights = weights
    this.#most = weights === undefined ? 1 : Math.max(...weights)
    this.#least = weights === undefined ? 1 : Math.min(...weights)
  }

  lastRow(block: number): number {
    return this.#postings.lastRow(block)
  }

  maxFrequency(block: number): number {
    return this.#most * this.#postings.maxCount(block)
  }

  minLength(block: number): number {
    return this.#least * this.#postings.minLength(block)
  }

  open(block: number): number {
    const found = this.#postings.open(block)
    const { count } = found
    if (this.#open === block) return count
    this.#open = block
    this.rows = found.rows
    const sums = this.frequencies
    sums.fill(0, 0, count)
    for (let slot = 0; slot < found.fields.length; slot++) {
      const weight = this.#weights?.[found.fields[slot] as number] ?? 1
      const counts = found.counts(slot)
      for (let i = 0; i < count; i++) {
        sums[i] = (sums[i] as number) + weight * (counts[i] as number)
      }
    }
    return count
  }
}

/** Several terms of an index that count as one: their frequencies add up. */
export class JoinedPostings implements FrequencyList {
  readonly count: number
  readonly blocks: number
  rows: Uint32Array = new Uint32Array(0)
  frequencies: Float64Array = new Float64Array(0)
  readonly #rows: Uint32Array
  readonly #frequencies: Float64Array
  readonly #maxFrequencies: Float64Array
  readonly #minLengths: Float64Array

  /** Takes memory of 8 bytes a row of the segment meanwhile. */
  constructor(lists: readonly FrequencyList[], lengths: RowLengths) {
    const sums = new Float64Array(lengths.rows)
    let count = 0
    for (const list of lists) {
      for (let block = 0; block < list.blocks; block++) {
        const postings = list.open(block)
        for (let i = 0; i < postings; i++) {
          const row = list.rows[i] as number
          if (sums[row] === 0 && (list.frequencies[i] as number) > 0) count++
          sums[row] = (sums[row] as number) + (list.frequencies[i] as number)
        }
      }
    }
    this.count = count
    this.blocks = Math.ceil(count / BLOCK_POSTINGS)
    this.#rows = new Uint32Array(count)
    this.#frequencies = new Float64Array(count)
    this.#maxFrequencies = new Float64Array(this.blocks)
    this.#minLengths = new Float64Array(this.blocks).fill(Infinity)
    for (let row = 0, at = 0; row < sums.length; row++) {
      const frequency = sums[row] as number
      if (frequency === 0) continue
      const block = Math.floor(at / BLOCK_POSTINGS)
      this.#rows[at] = row
      this.#frequencies[at++] = frequency
      if (frequency > (this.#maxFrequencies[block] as number)) {
        this.#maxFrequencies[block] = frequency
      }
      const length = lengths.of(row)
      if (length < (this.#minLengths[block] as number)) this.#minLengths[block] = length
    }
  }

  lastRow(block: number): number {
    return this.#rows[Math.min(this.count, (block + 1) * BLOCK_POSTINGS) - 1] as number
  }

  maxFrequency(block: number): number {
    return this.#maxFrequencies[block] as number
  }

  minLength(block: number): number {
    return this.#minLengths[block] as number
  }

  open(block: number): number {
    const start = block * BLOCK_POSTINGS
    const end = Math.min(this.count, start + BLOCK_POSTINGS)
    this.rows = this.#rows.subarray(start, end)
    this.frequencies = this.#frequencies.subarray(start, end)
    return end - start
  }
}

/** Weighted tokens of the rows of one index. */
export class RowLengths {
  readonly rows: number
  /** Where all weights are 1. */
  readonly plain: Uint32Array | undefined
  readonly #fields: readonly { readonly weight: number; readonly lengths: FieldLengths }[]

  constructor(index: TextIndex, weights: FieldWeights) {
    this.rows = index.rows
    this.plain = weights === undefined ? index.lengths() : undefined
    this.#fields = Array.from(weights ?? [], (weight, field) => ({
      weight,
      lengths: index.fieldLengths(field),
    })).filter(({ weight }) => weight !== 0)
  }

  of(row: number): number {
    if (this.plain !== undefined) return this.plain[row] as number
    let length = 0
    for (const { weight, lengths } of this.#fields) length += weight * (lengths[row] as number)
    return length
  }
}

/** Lengths whose norms are kept in a table. */
const TABLE_LENGTHS = 1_024

/** What a row's length adds below the fraction: k1 · (1 − b + b · length ÷ average). */
export class LengthNorms {
  readonly table: Float64Array
  readonly #average: number

  constructor(average: number) {
    this.#average = average
    this.table = Float64Array.from({ length: TABLE_LENGTHS }, (_, length) => this.of(length))
  }

  of(length: number): number {
    return K1 * (1 - B + (B * length) / this.#average)
  }
}

/** One term of a query in one segment: each row adds weight · f ÷ (f + norm of its length). */
export class TermScores implements RankedList {
  readonly blocks: number
  readonly magnitude: number
  readonly #list: FrequencyList
  readonly #weight: number
  readonly #norms: LengthNorms
  readonly #lengths: RowLengths
  readonly #scores = new Float64Array(BLOCK_POSTINGS)
  #open = -1
  #count = 0
  #scored = -1

  /** @param weight above 0 */
  constructor(
    list: FrequencyList,
    row: { readonly norms: LengthNorms; readonly lengths: RowLengths },
    weight: number,
  ) {
    this.#list = list
    this.#weight = weight
    this.#norms = row.norms
    this.#lengths = row.lengths
    this.blocks = list.blocks
    this.magnitude = weight
  }

  get rows(): Uint32Array {
    return this.#list.rows
  }

  lastRow(block: number): number {
    return this.#list.lastRow(block)
  }

  bound(block: number): number {
    const most = this.#list.maxFrequency(block)
    return (this.#weight * most) / (most + this.#norms.of(this.#list.minLength(block)))
  }

  open(block: number): number {
    if (this.#open !== block) {
      this.#open = -1
      this.#count = this.#list.open(block)
      this.#open = block
    }
    return this.#count
  }

  scores(): Float64Array {
    if (this.#scored === this.#open) return this.#scores
    const { rows, frequencies } = this.#list
    const { plain } = this.#lengths
    const { table } = this.#norms
    const scores = this.#scores
    const weight = this.#weight
    for (let i = 0; i < this.#count; i++) {
      const row = rows[i] as number
      const frequency = frequencies[i] as number
      const length = plain === undefined ? this.#lengths.of(row) : (plain[row] as number)
      const norm =
        plain !== undefined && length < TABLE_LENGTHS
          ? (table[length] as number)
          : this.#norms.of(length)
      scores[i] = (weight * frequency) / (frequency + norm)
    }
    this.#scored = this.#open
    return scores
  }

  scoreAt(place: number): number {
    if (this.#scored === this.#open) return this.#scores[place] as number
    const row = this.#list.rows[place] as number
    const frequency = this.#list.frequencies[place] as number
    return (this.#weight * frequency) / (frequency + this.#norms.of(this.#lengths.of(row)))
  }
}
