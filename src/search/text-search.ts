import type { Bitset } from '../core/bitset.ts'
import { naturalLog } from '../core/log.ts'
import type { TextIndex } from './text-index.ts'
import { tokenize } from './tokenizer.ts'

/** Saturation and length normalisation of BM25. */
export const BM25_K1 = 1.2
export const BM25_B = 0.75

export interface TextSegment {
  readonly index: TextIndex
  /** Rows that count for the statistics. */
  readonly alive: Bitset
  /** Rows that may be returned, a part of `alive`; absent: all of them. */
  readonly allowed?: Bitset
}

export interface TextHit {
  readonly segment: number
  readonly row: number
  /** Above 0. */
  readonly score: number
}

/**
 * The k best rows by BM25, all fields of a row taken as one document. Document frequencies, lengths and the number of
 * documents are exact over the live rows of all segments; a term that the query repeats counts each time. Ties: lower
 * segment, then lower row. Sums run in the order of the query's terms, so scores are the same bits everywhere.
 *
 * Source: Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with
 * idf = ln(1 + (N − df + 0.5) ÷ (df + 0.5)).
 */
export function searchText(request: {
  readonly segments: readonly TextSegment[]
  readonly query: string
  readonly k: number
}): { readonly hits: readonly TextHit[]; readonly matched: number } {
  const repeats = new Map<string, number>()
  for (const term of tokenize(request.query)) repeats.set(term, (repeats.get(term) ?? 0) + 1)
  const { documents, averageLength, lengths } = statistics(request.segments)
  if (repeats.size === 0 || documents === 0) return { hits: [], matched: 0 }
  const scores = request.segments.map(({ index }) => new Float64Array(index.rows))
  for (const [term, times] of repeats) {
    const counts = request.segments.map((segment) => termCounts(segment, term))
    const frequency = counts.reduce((sum, rows) => sum + rows.size, 0)
    if (frequency === 0) continue
    const idf = naturalLog(1 + (documents - frequency + 0.5) / (frequency + 0.5))
    for (const [segment, rows] of counts.entries()) {
      const own = scores[segment] as Float64Array
      const length = lengths[segment] as Float64Array
      for (const [row, count] of rows) {
        const norm = BM25_K1 * (1 - BM25_B + (BM25_B * (length[row] as number)) / averageLength)
        own[row] = (own[row] as number) + (times * idf * count) / (count + norm)
      }
    }
  }
  return best(request.segments, scores, request.k)
}

function statistics(segments: readonly TextSegment[]): {
  readonly documents: number
  readonly averageLength: number
  readonly lengths: readonly Float64Array[]
} {
  let documents = 0
  let total = 0
  const lengths = segments.map(({ index, alive }) => {
    const sums = new Float64Array(index.rows)
    for (const field of index.fields) {
      for (let row = 0; row < index.rows; row++) {
        sums[row] = (sums[row] as number) + (field.lengths[row] as number)
      }
    }
    for (const row of alive) total += sums[row] as number
    documents += alive.count()
    return sums
  })
  return { documents, averageLength: total === 0 ? 1 : total / documents, lengths }
}

/** Live rows that hold a term, with its count over all fields. */
function termCounts({ index, alive }: TextSegment, term: string): Map<number, number> {
  const counts = new Map<number, number>()
  for (const field of index.fields) {
    field.forEach(term, (row, count) => {
      if (alive.has(row)) counts.set(row, (counts.get(row) ?? 0) + count)
    })
  }
  return counts
}

function best(
  segments: readonly TextSegment[],
  scores: readonly Float64Array[],
  k: number,
): { readonly hits: readonly TextHit[]; readonly matched: number } {
  const hits: TextHit[] = []
  for (const [segment, own] of scores.entries()) {
    const { allowed } = segments[segment] as TextSegment
    for (let row = 0; row < own.length; row++) {
      const score = own[row] as number
      if (score > 0 && (allowed === undefined || allowed.has(row))) {
        hits.push({ segment, row, score })
      }
    }
  }
  hits.sort((a, b) => b.score - a.score || a.segment - b.segment || a.row - b.row)
  return { hits: hits.slice(0, k), matched: hits.length }
}
