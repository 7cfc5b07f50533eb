import type { Bounds } from './condition.ts'
import { damagedIndex } from './field-index-format.ts'
import type { CheckedNumbers } from './part-reader.ts'

/** Rows of this many entries are joined to one bitmap when all of them are first asked for. */
const BLOCK = 2 ** 16

interface Input {
  readonly count: number
  /** Where the rows of each value begin, count + 1; empty where each value has one row. */
  readonly starts: CheckedNumbers<Uint32Array>
  readonly rows: CheckedNumbers<Uint32Array>
  /** Rows of the segment. */
  readonly space: number
}

/**
 * The rows of ascending values, one value's behind another's. A long run of values costs a bitmap
 * a block of 65,536 entries (kept from its first use: an eighth of a byte a row), and single
 * entries at its ends alone.
 */
export class SortedRows {
  readonly #starts: CheckedNumbers<Uint32Array>
  readonly #rows: CheckedNumbers<Uint32Array>
  readonly #space: number
  readonly #blocks = new Map<number, Uint32Array>()

  /** @throws INTEGRITY where the lengths do not fit */
  constructor({ count, starts, rows, space }: Input) {
    this.#starts = starts
    this.#rows = rows
    this.#space = space
    const fits = starts.length === 0 ? rows.length === count : starts.length === count + 1
    if (!fits) throw damagedIndex('sorted rows have other lengths')
  }

  /** Entries of the values from…to: at least as many as rows. */
  count(from: number, to: number): number {
    const [first, end] = this.entries(from, to)
    return end - first
  }

  /** The entries of the values from…to. */
  entries(from: number, to: number): readonly [number, number] {
    if (to <= from) return [0, 0]
    if (this.#starts.length === 0) return [from, to]
    const first = this.#starts.at(from)
    const end = this.#starts.at(to)
    if (!(first <= end && end <= this.#rows.length)) throw damagedIndex('sorted rows are mixed up')
    return [first, end]
  }

  /** Adds the rows of the values from…to as bits. */
  add(from: number, to: number, bits: Uint32Array): void {
    const [first, end] = this.entries(from, to)
    const firstBlock = Math.ceil(first / BLOCK)
    const endBlock = Math.floor(end / BLOCK)
    if (firstBlock >= endBlock) {
      this.#addEntries(first, end, bits)
      return
    }
    this.#addEntries(first, firstBlock * BLOCK, bits)
    for (let block = firstBlock; block < endBlock; block++) {
      const words = this.#block(block)
      for (let i = 0; i < words.length; i++) bits[i] = (bits[i] as number) | (words[i] as number)
    }
    this.#addEntries(endBlock * BLOCK, end, bits)
  }

  /** Calls back with each row of one value. */
  forEach(value: number, visit: (row: number) => void): void {
    const [first, end] = this.entries(value, value + 1)
    const rows = this.#rows.range(first, end)
    for (let i = first; i < end; i++) {
      const row = rows[i] as number
      if (row >= this.#space) throw damagedIndex(`sorted rows name row ${row}`)
      visit(row)
    }
  }

  #block(block: number): Uint32Array {
    const known = this.#blocks.get(block)
    if (known !== undefined) return known
    const words = new Uint32Array(Math.ceil(this.#space / 32))
    this.#addEntries(block * BLOCK, (block + 1) * BLOCK, words)
    this.#blocks.set(block, words)
    return words
  }

  #addEntries(from: number, to: number, bits: Uint32Array): void {
    const rows = this.#rows.range(from, to)
    let most = 0
    for (let i = from; i < to; i++) {
      const row = rows[i] as number
      if (row > most) most = row
      // A row beyond the end is found after the loop; a typed array passes over it.
      bits[row >>> 5] = (bits[row >>> 5] as number) | (1 << (row & 31))
    }
    if (to > from && most >= this.#space) throw damagedIndex(`sorted rows name row ${most}`)
  }
}

/** How a value lies to a bound: below 0 before it, 0 at it, above 0 behind it. */
type Compare<T> = (index: number, bound: T) => number

/** The run [from, to) of `count` ascending values that the bounds let through. */
export function runWithin<T>(
  count: number,
  bounds: Bounds<T>,
  compare: Compare<T>,
): readonly [from: number, to: number] {
  const { gt, gte, lt, lte } = bounds
  const from = firstWhere(count, (i) => {
    return (gt === undefined || compare(i, gt) > 0) && (gte === undefined || compare(i, gte) >= 0)
  })
  const to = firstWhere(count, (i) => {
    return !(
      (lt === undefined || compare(i, lt) < 0) &&
      (lte === undefined || compare(i, lte) <= 0)
    )
  })
  return [from, Math.max(from, to)]
}

/** The first of the indexes below `count` that holds, where all behind one that holds do too. */
export function firstWhere(count: number, holds: (index: number) => boolean): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
