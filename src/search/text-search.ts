import type { Bitset } from '../core/bitset.ts'
import { limits } from '../core/limits.ts'
import { log } from '../core/log.ts'
import { BestRows, type RankedRow, type TieOrder } from './best-rows.ts'
import { lowerBound, rankUnion } from './ranked-union.ts'
import type { TextIndex } from './text-index.ts'
import { type TextQuery, tooLong } from './text-query.ts'
import { requiredRows } from './text-required.ts'
import {
  type FieldWeights,
  type FrequencyList,
  JoinedPostings,
  LengthNorms,
  RowLengths,
  TermScores,
  WeightedPostings,
} from './text-scores.ts'

/** One segment to be searched. */
export interface TextSegment {
  readonly index: TextIndex
  /** Rows that count in the statistics: those that no tombstone hides. */
  readonly alive: Bitset
  /** Rows that may be found; all alive ones where it is absent. */
  readonly allowed?: Bitset | undefined
  /**
   * How many alive rows have a word, as former searches of the same index with the same alive rows
   * counted it: a memory that only `searchText` writes and reads.
   */
  readonly documents?: Map<string, number> | undefined
}

export interface TextSearchRequest {
  readonly segments: readonly TextSegment[]
  readonly query: TextQuery
  readonly k: number
  /** Order of rows with equal scores; default: by segment, then row. */
  readonly ties?: TieOrder
}

export interface TextResult {
  /**
   * At most k, best first; scores are BM25, above 0. A phrase of the query is not yet sure in
   * segments without positions: there the rows have its words in one field.
   */
  readonly hits: readonly RankedRow[]
  /** Rows with a word of the query that were looked at; those passed over are not counted. */
  readonly matchedAtLeast: number
}

/** Words in `documents` of a segment; beyond that they are forgotten. */
const DOCUMENTS_KEPT_MAX = 10_000

/** Memory of lists that stay open between counting and scoring; others are opened twice. */
const KEPT_BYTES_MAX = 2 ** 28
/** About what one open list takes beside postings that it joins. */
const LIST_BYTES = 4_096
/** Of a joined posting. */
const JOINED_BYTES = 12

/**
 * The k alive and allowed rows with the highest BM25 score, exactly.
 *
 * Rows, lengths and document frequencies are those of all alive rows of all segments, so that
 * scores do not depend on how rows are spread over segments, or on `allowed`. A token that stands
 * twice in the query counts twice. Same bits on every machine, and the same as without pruning.
 *
 * With weights of fields, the counts of a term and the lengths of a row are sums over the fields
 * times their weights, before the one formula: a field of weight 2 is as good as one that is there
 * twice.
 * @throws LIMIT where the prefixes of the query begin more than queryPrefixTermsMax terms;
 *   INTEGRITY
 * Source: Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009),
 * with the never negative ln(1 + (N − df + ½) / (df + ½)) and without the constant factor k1 + 1;
 * weights as in Robertson, Zaragoza & Taylor, "Simple BM25 extension to multiple weighted fields"
 * (2004).
 */
export function searchText({ segments, query, k, ties }: TextSearchRequest): TextResult {
  const parts = segments.map((segment) => new SegmentText(segment, query))
  const statistics = measure(parts)
  const nothing = { hits: [], matchedAtLeast: 0 }
  if (query.words.size + query.prefixes.size === 0 || statistics.tokens === 0) return nothing
  const source = new ListSource(parts, query)
  const terms: { readonly key: TermKey; readonly weight: number }[] = []
  for (const key of source.keys) {
    const df = source.documents(key)
    if (df === 0) continue
    const weight = key.repeats * log(1 + (statistics.rows - df + 0.5) / (df + 0.5))
    terms.push({ key, weight })
  }
  const norms = new LengthNorms(statistics.tokens / statistics.rows)
  const rows = segments.reduce((sum, { index }) => sum + index.rows, 0)
  const best = new BestRows(Math.min(k, rows), ties)
  let matchedAtLeast = 0
  for (const [segment, part] of parts.entries()) {
    const lists = terms.flatMap(({ key, weight }) => {
      const list = source.list(segment, key)
      return list === undefined
        ? []
        : [new TermScores(list, { norms, lengths: part.lengths }, weight)]
    })
    const allowed = part.allowed(query)
    matchedAtLeast += rankUnion({ segment, rows: part.index.rows, lists, allowed }, best)
  }
  return { hits: best.sorted(), matchedAtLeast }
}

/** A segment with what one query needs of it. */
class SegmentText {
  readonly index: TextIndex
  readonly lengths: RowLengths
  /** Undefined where all rows are alive. */
  readonly dead: Uint32Array | undefined
  readonly weights: FieldWeights
  readonly #segment: TextSegment

  constructor(segment: TextSegment, { fields }: TextQuery) {
    this.#segment = segment
    this.index = segment.index
    this.weights =
      fields === undefined
        ? undefined
        : Float64Array.from(segment.index.fields, (field) => fields.get(field) ?? 0)
    this.lengths = new RowLengths(segment.index, this.weights)
    const alive = segment.alive.count()
    this.dead = alive === segment.index.rows ? undefined : deadRows(segment, alive)
  }

  /** Undefined where every row may be found. */
  allowed(query: TextQuery): Bitset | undefined {
    const { alive, allowed } = this.#segment
    const live = this.dead === undefined ? undefined : alive
    const required = requiredRows(this.index, query, this.weights)
    const sets = [live, allowed, required].filter((set) => set !== undefined)
    if (sets.length < 2) return sets[0]
    return sets.slice(1).reduce((both, set) => both.and(set), (sets[0] as Bitset).clone())
  }

  /** Alive rows of a list with a frequency above 0. */
  documents({ text, terms }: TermKey, list: FrequencyList): number {
    if (this.weights?.includes(0) === true) return countAlive(list, this.dead)
    if (this.dead === undefined) return list.count
    const kept = terms === undefined ? this.#segment.documents : undefined
    const known = kept?.get(text)
    if (known !== undefined) return known
    const documents = list.count - countDead(list, this.dead)
    if (kept !== undefined && kept.size >= DOCUMENTS_KEPT_MAX) kept.clear()
    kept?.set(text, documents)
    return documents
  }
}

const deadRows = ({ index, alive }: TextSegment, live: number): Uint32Array => {
  const dead = new Uint32Array(index.rows - live)
  let count = 0
  for (let row = 0; row < index.rows; row++) {
    if (row % 32 === 0 && alive.words[row >>> 5] === 0xffffffff) row += 31
    else if (!alive.has(row)) dead[count++] = row
  }
  return dead
}

/** Alive rows and their weighted tokens. */
function measure(parts: readonly SegmentText[]): { rows: number; tokens: number } {
  let rows = 0
  // Whole numbers, by field name: the same sum however rows are spread over segments.
  const tokens = new Map<string, { weight: number; count: number }>()
  for (const { index, dead, weights } of parts) {
    rows += index.rows - (dead?.length ?? 0)
    for (const [i, field] of index.fields.entries()) {
      const weight = weights?.[i] ?? 1
      if (weight === 0) continue
      const sum = tokens.get(field) ?? { weight, count: 0 }
      const lengths = index.fieldLengths(i)
      sum.count += index.fieldTokens[i] as number
      for (const row of dead ?? []) sum.count -= lengths[row] as number
      tokens.set(field, sum)
    }
  }
  let total = 0
  for (const { weight, count } of tokens.values()) total += weight * count
  return { rows, tokens: total }
}

/** A word of a query, or the beginning of words: `terms` are all that begin so, in any segment. */
interface TermKey {
  readonly text: string
  readonly repeats: number
  readonly terms: readonly string[] | undefined
}

/** Opens lists once where memory allows it, and again where it does not. */
class ListSource {
  readonly keys: readonly TermKey[]
  readonly #parts: readonly SegmentText[]
  readonly #kept: Map<TermKey, FrequencyList | undefined>[]
  #left = KEPT_BYTES_MAX

  constructor(parts: readonly SegmentText[], query: TextQuery) {
    this.#parts = parts
    this.#kept = parts.map(() => new Map())
    const words = Array.from(query.words, ([text, repeats]) => ({
      text,
      repeats,
      terms: undefined,
    }))
    const prefixes = Array.from(query.prefixes, ([text, repeats]) => ({
      text,
      repeats,
      terms: this.#termsFrom(text),
    }))
    this.keys = [...words, ...prefixes]
  }

  /** Alive rows with the term. */
  documents(key: TermKey): number {
    let documents = 0
    for (const [segment, part] of this.#parts.entries()) {
      const list = this.list(segment, key)
      if (list !== undefined) documents += part.documents(key, list)
    }
    return documents
  }

  list(segment: number, key: TermKey): FrequencyList | undefined {
    const kept = this.#kept[segment] as Map<TermKey, FrequencyList | undefined>
    if (kept.has(key)) return kept.get(key)
    const list = this.#open(segment, key)
    const bytes = LIST_BYTES + (key.terms === undefined ? 0 : JOINED_BYTES * (list?.count ?? 0))
    if (bytes <= this.#left) {
      this.#left -= bytes
      kept.set(key, list)
    }
    return list
  }

  #open(segment: number, { text, terms }: TermKey): FrequencyList | undefined {
    const { index, weights, lengths } = this.#parts[segment] as SegmentText
    const weighted = (term: string): WeightedPostings[] => {
      const postings = index.postings(term)
      return postings === undefined ? [] : [new WeightedPostings(postings, weights)]
    }
    if (terms === undefined) return weighted(text)[0]
    const lists = terms.flatMap(weighted)
    return lists.length === 0 ? undefined : new JoinedPostings(lists, lengths)
  }

  #termsFrom(prefix: string): string[] {
    const { queryPrefixTermsMax: max } = limits
    const terms = new Set<string>()
    for (const { index } of this.#parts) {
      for (const term of index.termsFrom(prefix, max + 1)) terms.add(term)
    }
    if (terms.size > max) {
      throw tooLong(`has "${prefix}*", with which many terms begin`, 'queryPrefixTermsMax')
    }
    return [...terms].sort()
  }
}

/** Dead rows of a list: only the blocks that can have one are decoded. */
function countDead(list: FrequencyList, dead: Uint32Array): number {
  let documents = 0
  for (let block = 0, at = 0; block < list.blocks && at < dead.length; block++) {
    const last = list.lastRow(block)
    if ((dead[at] as number) > last) continue
    const count = list.open(block)
    for (let i = 0; i < count && at < dead.length; i++) {
      const row = list.rows[i] as number
      while (at < dead.length && (dead[at] as number) < row) at++
      if (dead[at] === row) documents++
    }
    while (at < dead.length && (dead[at] as number) <= last) at++
  }
  return documents
}

function countAlive(list: FrequencyList, dead: Uint32Array | undefined): number {
  let documents = 0
  for (let block = 0; block < list.blocks; block++) {
    const count = list.open(block)
    for (let i = 0; i < count; i++) {
      if (list.frequencies[i] === 0) continue
      const row = list.rows[i] as number
      if (dead === undefined || dead[lowerBound(dead, dead.length, row)] !== row) documents++
    }
  }
  return documents
}
