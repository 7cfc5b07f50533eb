import type { Bitset } from '../core/bitset.ts'
import type { BestRows } from './best-rows.ts'

/**
 * The postings of one term of a query with what each adds to the score of its row, block by block,
 * rows ascending. A posting that adds 0 is as good as absent.
 */
export interface RankedList {
  readonly blocks: number
  /** No posting of the list adds more than this, nor less than its negative. */
  readonly magnitude: number
  lastRow(block: number): number
  /** What a posting of this block adds at most, but for the last bits of rounding. */
  bound(block: number): number
  /** Decodes a block into `rows`; returns how many postings it has. Again the same: no work. */
  open(block: number): number
  /** Of the open block. */
  readonly rows: Uint32Array
  /** What each posting of the open block adds. */
  scores(): Float64Array
  /** What one posting of the open block adds: the same bits as in `scores`. */
  scoreAt(place: number): number
}

export interface UnionQuery {
  /** Place of the segment, for `best`. */
  readonly segment: number
  readonly rows: number
  /** A row's score is the sum over these in their order. */
  readonly lists: readonly RankedList[]
  /** Rows that may be found; all where it is absent. */
  readonly allowed?: Bitset | undefined
}

/** Rows that are scored together. */
const WINDOW_ROWS = 2_048

/**
 * Offers to `best` every row that can be among them, with the score that summing all lists in their
 * order gives, bit for bit: what is left out has a bound below the worst of a full `best`.
 *
 * Rows are taken in windows. In each, the blocks' bounds tell which lists can lift a row into the
 * best only together with others; those are not walked, but asked for the rows that the others
 * found. A window none of whose rows can be among the best is passed over undecoded.
 *
 * @returns rows that were seen in a list: at most those that are in one
 * Source: Turtle & Flood, "Query evaluation: strategies and optimizations" (1995), MaxScore; Ding &
 * Suel, "Faster top-k document retrieval using block-max indexes" (2011); the windows as in Lucene.
 */
export function rankUnion(query: UnionQuery, best: BestRows): number {
  if (query.lists.length === 0) return 0
  const scan = new UnionScan(query, best)
  let seen = 0
  for (let from = 0; from < query.rows; from += WINDOW_ROWS) {
    seen += scan.window(from, Math.min(query.rows, from + WINDOW_ROWS))
  }
  return seen
}

class UnionScan {
  readonly #query: UnionQuery
  readonly #best: BestRows
  readonly #lists: readonly RankedList[]
  /** Places of the lists, by ascending magnitude. */
  readonly #order: Uint32Array
  /** For each list its first block that reaches into the window. */
  readonly #blocks: Uint32Array
  /** Over `#order`: bounds of the first lists in this window, summed. */
  readonly #sums: Float64Array
  /** More than what rounding can make of a sum in any order. */
  readonly #slack: number
  readonly #scores = new Float64Array(WINDOW_ROWS)
  readonly #seen = new Uint8Array(WINDOW_ROWS)
  readonly #touched = new Uint32Array(WINDOW_ROWS)
  #count = 0

  constructor(query: UnionQuery, best: BestRows) {
    const { lists } = query
    this.#query = query
    this.#best = best
    this.#lists = lists
    this.#order = Uint32Array.from(lists.keys())
    this.#order.sort((a, b) => magnitudeOf(lists, a) - magnitudeOf(lists, b) || a - b)
    this.#blocks = new Uint32Array(lists.length)
    this.#sums = new Float64Array(lists.length + 1)
    const total = lists.reduce((sum, { magnitude }) => sum + magnitude, 0)
    this.#slack = (lists.length + 16) * 2 ** -51 * total
  }

  window(from: number, end: number): number {
    const { allowed } = this.#query
    if (allowed !== undefined && !anyRow(allowed, from, end)) return 0
    this.#bound(from, end)
    const optional = this.#optional()
    if (optional === this.#lists.length) return 0
    // In the order of the query where all are walked: then the sums have their last bits already.
    for (let i = optional; i < this.#lists.length; i++) {
      this.#walk(optional === 0 ? i : (this.#order[i] as number), from, end)
    }
    const seen = this.#count
    if (optional === 0) this.#offerSums(from)
    else this.#offerCandidates(from, optional)
    return seen
  }

  #bound(from: number, end: number): void {
    for (let i = 0; i < this.#lists.length; i++) {
      const place = this.#order[i] as number
      const list = this.#lists[place] as RankedList
      let block = this.#blocks[place] as number
      while (block < list.blocks && list.lastRow(block) < from) block++
      this.#blocks[place] = block
      let most = 0
      for (; block < list.blocks; block++) {
        const bound = list.bound(block)
        if (bound > most) most = bound
        if (list.lastRow(block) >= end - 1) break
      }
      this.#sums[i + 1] = (this.#sums[i] as number) + most
    }
  }

  /** How many lists, of the first in `#order`, cannot make a row one of the best by themselves. */
  #optional(): number {
    const least = this.#best.threshold - this.#slack
    let count = 0
    while (count < this.#lists.length && (this.#sums[count + 1] as number) < least) count++
    return count
  }

  /** Adds what a list has in the window. */
  #walk(place: number, from: number, end: number): void {
    const list = this.#lists[place] as RankedList
    const { allowed } = this.#query
    const words = allowed?.words
    const sums = this.#scores
    const seen = this.#seen
    for (let block = this.#blocks[place] as number; block < list.blocks; block++) {
      const count = list.open(block)
      const { rows } = list
      const last = list.lastRow(block)
      let i = (rows[0] as number) >= from ? 0 : lowerBound(rows, count, from)
      if (i < count && (rows[i] as number) < end) {
        const scores = list.scores()
        for (; i < count; i++) {
          const row = rows[i] as number
          if (row >= end) break
          const score = scores[i] as number
          if (score === 0) continue
          if (words !== undefined && (((words[row >>> 5] as number) >>> (row & 31)) & 1) === 0) {
            continue
          }
          const at = row - from
          if (seen[at] === 0) {
            seen[at] = 1
            this.#touched[this.#count++] = row
            sums[at] = score
          } else {
            sums[at] = (sums[at] as number) + score
          }
        }
      }
      if (last >= end - 1) return
    }
  }

  #offerSums(from: number): void {
    for (let i = 0; i < this.#count; i++) {
      const row = this.#touched[i] as number
      const score = this.#scores[row - from] as number
      this.#seen[row - from] = 0
      if (score >= this.#best.threshold) this.#best.offer(this.#query.segment, row, score)
    }
    this.#count = 0
  }

  #offerCandidates(from: number, optional: number): void {
    const all = this.#touched.subarray(0, this.#count)
    let least = this.#best.threshold - this.#slack
    let kept = 0
    const rest = this.#sums[optional] as number
    for (let i = 0; i < this.#count; i++) {
      const row = all[i] as number
      this.#seen[row - from] = 0
      if ((this.#scores[row - from] as number) + rest >= least) all[kept++] = row
    }
    this.#count = 0
    // Ascending, so that the other lists decode each of their blocks once.
    for (const row of all.subarray(0, kept).sort()) {
      if (!this.#mayBeBest(row, this.#scores[row - from] as number, { optional, least })) continue
      let score = 0
      for (let place = 0; place < this.#lists.length; place++) score += this.#scoreOf(place, row)
      this.#best.offer(this.#query.segment, row, score)
      least = this.#best.threshold - this.#slack
    }
  }

  /** Adds the lists that were not walked, the strongest first, for as long as there is hope. */
  #mayBeBest(
    row: number,
    found: number,
    { optional, least }: { readonly optional: number; readonly least: number },
  ): boolean {
    let sum = found
    for (let i = optional; i > 0; i--) {
      if (sum + (this.#sums[i] as number) < least) return false
      sum += this.#scoreOf(this.#order[i - 1] as number, row)
    }
    return sum >= least
  }

  #scoreOf(place: number, row: number): number {
    const list = this.#lists[place] as RankedList
    let block = this.#blocks[place] as number
    while (block < list.blocks && list.lastRow(block) < row) block++
    if (block === list.blocks) return 0
    const count = list.open(block)
    const at = lowerBound(list.rows, count, row)
    return at < count && list.rows[at] === row ? list.scoreAt(at) : 0
  }
}

const magnitudeOf = (lists: readonly RankedList[], place: number): number =>
  (lists[place] as RankedList).magnitude

/** Place of the first of `count` ascending rows that is not below `row`. */
export function lowerBound(rows: Uint32Array, count: number, row: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((rows[middle] as number) < row) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether a set has a row from `from` on that is below `end`. */
export function anyRow({ words }: Bitset, from: number, end: number): boolean {
  const first = from >>> 5
  const last = (end - 1) >>> 5
  for (let i = first; i <= last; i++) {
    let word = words[i] ?? 0
    if (i === first) word &= -1 << (from & 31)
    if (i === last) word &= -1 >>> (31 - ((end - 1) & 31))
    if (word !== 0) return true
  }
  return false
}
