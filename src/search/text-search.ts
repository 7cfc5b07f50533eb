import type { Bitset } from '../core/bitset.ts'
import { limits } from '../core/limits.ts'
import { log } from '../core/log.ts'
import { AkidbError } from '../errors/errors.ts'
import type { Postings, TextIndex } from './text-index.ts'
import { tokenize } from './tokenizer.ts'

/** One segment to be searched. */
export interface TextSegment {
  readonly index: TextIndex
  /** Rows that count in the statistics: those that no tombstone hides. */
  readonly alive: Bitset
  /** Rows that may be found; all alive ones where it is absent. */
  readonly allowed?: Bitset | undefined
}

export interface TextQuery {
  readonly segments: readonly TextSegment[]
  readonly query: string
  readonly k: number
}

/** One found row. */
export interface TextHit {
  /** Place in the list of segments. */
  readonly segment: number
  readonly row: number
  /** BM25, above 0. */
  readonly score: number
}

export interface TextResult {
  /** At most k, best first; equal scores by segment, then row. */
  readonly hits: readonly TextHit[]
  /** Rows with at least one term of the query. */
  readonly matched: number
}

const K1 = 1.2
const B = 0.75

/** Postings of a query that stay decoded between counting and scoring (8 bytes each). */
const KEPT_POSTINGS_MAX = 2 ** 23

/**
 * The k alive and allowed rows with the highest BM25 score, exactly.
 *
 * Rows, lengths and document frequencies are those of all alive rows of all segments, so that
 * scores do not depend on how rows are spread over segments, or on `allowed`. A token that stands
 * twice in the query counts twice. Same bits on every machine.
 * @throws LIMIT where the query is longer than limits.queryTextBytesMax
 * Source: Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009),
 * with the never negative ln(1 + (N − df + ½) / (df + ½)) and without the constant factor k1 + 1.
 */
export function searchText({ segments, query, k }: TextQuery): TextResult {
  checkQuery(query)
  const terms = countTokens(query)
  const statistics = measure(segments)
  if (terms.size === 0 || statistics.tokens === 0) return { hits: [], matched: 0 }
  const averageLength = statistics.tokens / statistics.rows
  const source = new PostingsSource(segments)
  const weights = new Map<string, number>()
  for (const [term, repeats] of terms) {
    const df = source.documents(term)
    if (df > 0) weights.set(term, repeats * log(1 + (statistics.rows - df + 0.5) / (df + 0.5)))
  }
  const best = new BestHits(k)
  const scores = new SegmentScores(Math.max(...segments.map((segment) => segment.index.rows)))
  let matched = 0
  for (const [i, segment] of segments.entries()) {
    for (const [term, weight] of weights) {
      const postings = source.postings(i, term)
      if (postings !== undefined) scores.add(segment, postings, { weight, averageLength })
    }
    matched += scores.drain((row, score) => best.offer({ segment: i, row, score }))
  }
  return { hits: best.sorted(), matched }
}

function checkQuery(query: string): void {
  const bytes = Buffer.byteLength(query, 'utf8')
  if (bytes > limits.queryTextBytesMax) {
    throw new AkidbError('LIMIT', `The text of a query has ${bytes} bytes.`, {
      hint: `Shorten it to ${limits.queryTextBytesMax} bytes.`,
      details: { limit: 'queryTextBytesMax', max: limits.queryTextBytesMax },
    })
  }
}

/** Distinct tokens in the order of their first place, and how often each stands there. */
function countTokens(query: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const token of tokenize(query)) counts.set(token, (counts.get(token) ?? 0) + 1)
  return counts
}

/** Alive rows and their tokens. */
function measure(segments: readonly TextSegment[]): { rows: number; tokens: number } {
  let rows = 0
  let tokens = 0
  for (const { index, alive } of segments) {
    const aliveRows = alive.count()
    rows += aliveRows
    tokens += index.tokens
    if (aliveRows === index.rows) continue
    const lengths = index.lengths()
    for (const row of alive.clone().not()) tokens -= lengths[row] as number
  }
  return { rows, tokens }
}

/** Looks postings up once where memory allows it, and again where it does not. */
class PostingsSource {
  readonly #segments: readonly TextSegment[]
  readonly #kept: Map<string, Postings | undefined>[]
  #left = KEPT_POSTINGS_MAX

  constructor(segments: readonly TextSegment[]) {
    this.#segments = segments
    this.#kept = segments.map(() => new Map())
  }

  /** Alive rows with the term. */
  documents(term: string): number {
    let documents = 0
    for (const [i, { index, alive }] of this.#segments.entries()) {
      const postings = index.postings(term)
      this.#keep(i, term, postings)
      if (postings === undefined) continue
      const { rows, count } = postings
      for (let j = 0; j < count; j++) if (alive.has(rows[j] as number)) documents++
    }
    return documents
  }

  #keep(segment: number, term: string, postings: Postings | undefined): void {
    const size = postings?.rows.length ?? 0
    if (size > this.#left) return
    this.#left -= size
    this.#kept[segment]?.set(term, postings)
  }

  postings(segment: number, term: string): Postings | undefined {
    const kept = this.#kept[segment]
    return kept?.has(term) ? kept.get(term) : this.#segments[segment]?.index.postings(term)
  }
}

interface TermWeight {
  readonly weight: number
  readonly averageLength: number
}

/** Scores of the rows of one segment after the other. */
class SegmentScores {
  readonly #scores: Float64Array
  readonly #touched: Uint32Array
  #count = 0

  constructor(rowsMax: number) {
    this.#scores = new Float64Array(rowsMax)
    this.#touched = new Uint32Array(rowsMax)
  }

  add(segment: TextSegment, postings: Postings, { weight, averageLength }: TermWeight): void {
    const { index, alive, allowed } = segment
    const lengths = index.lengths()
    for (let i = 0; i < postings.count; i++) {
      const row = postings.rows[i] as number
      if (!alive.has(row) || (allowed !== undefined && !allowed.has(row))) continue
      const count = postings.counts[i] as number
      const norm = K1 * (1 - B + (B * (lengths[row] as number)) / averageLength)
      const before = this.#scores[row] as number
      if (before === 0) this.#touched[this.#count++] = row
      this.#scores[row] = before + (weight * count) / (count + norm)
    }
  }

  /** Visits every row with a score, forgets them, and returns how many there were. */
  drain(visit: (row: number, score: number) => void): number {
    const count = this.#count
    for (let i = 0; i < count; i++) {
      const row = this.#touched[i] as number
      visit(row, this.#scores[row] as number)
      this.#scores[row] = 0
    }
    this.#count = 0
    return count
  }
}

/** The k best hits, kept as a heap with the worst on top. */
class BestHits {
  readonly #k: number
  readonly #heap: TextHit[] = []

  constructor(k: number) {
    this.#k = k
  }

  offer(hit: TextHit): void {
    const heap = this.#heap
    if (heap.length < this.#k) {
      heap.push(hit)
      this.#rise(heap.length - 1)
    } else if (heap[0] !== undefined && compareHits(hit, heap[0]) < 0) {
      heap[0] = hit
      this.#sink()
    }
  }

  sorted(): TextHit[] {
    return this.#heap.toSorted(compareHits)
  }

  #rise(start: number): void {
    const heap = this.#heap
    for (let i = start; i > 0; ) {
      const parent = (i - 1) >>> 1
      if (compareHits(heap[i] as TextHit, heap[parent] as TextHit) <= 0) return
      this.#swap(i, parent)
      i = parent
    }
  }

  #sink(): void {
    const heap = this.#heap
    for (let i = 0; ; ) {
      let worst = i
      for (const child of [2 * i + 1, 2 * i + 2]) {
        const hit = heap[child]
        if (hit !== undefined && compareHits(hit, heap[worst] as TextHit) > 0) worst = child
      }
      if (worst === i) return
      this.#swap(i, worst)
      i = worst
    }
  }

  #swap(i: number, j: number): void {
    const hit = this.#heap[i] as TextHit
    this.#heap[i] = this.#heap[j] as TextHit
    this.#heap[j] = hit
  }
}

/** Negative where a comes before b. */
const compareHits = (a: TextHit, b: TextHit): number =>
  b.score - a.score || a.segment - b.segment || a.row - b.row
