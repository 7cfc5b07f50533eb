import { distancesFrom, type Metric, normOf } from '../core/metric.ts'
import { SCRATCH_ROWS } from './kernel/layout.ts'
import { FLOAT32_MAX } from './kernel-index.ts'
import { type MeasuredRows, NearestRows } from './nearest-rows.ts'
import type { RowHits, RowSearch, VectorIndex } from './vector-index.ts'

/** The least number above zero that float32 holds. */
const FLOAT32_MIN = 2 ** -149

/** A scan in float32, and what its rows came to in float64. */
export interface Scanned {
  readonly metric: Metric
  readonly query: Float32Array
  /** No row has a larger norm. */
  readonly normMax: number
  readonly hits: RowHits
  /** Of the rows of `hits`. */
  readonly distances: Float64Array
}

/**
 * Whether no row that a scan left out is as near, by float64, as the `count`-th of those it found.
 *
 * Rows that were left out are as far as the last one found, but for what float32 rounds: n
 * additions and a product are off by at most (n + 1) × 2⁻²⁴ of the sum of absolute products
 * (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, §3.1), here taken twice over,
 * with room for the factors of a cosine. Distances of tiny rows are below what float32 holds.
 */
export function isCertain(scanned: Scanned, count: number): boolean {
  const { metric, query, normMax, hits, distances } = scanned
  const last = hits.distances[hits.distances.length - 1]
  const kth = Float64Array.from(distances).sort()[count - 1]
  if (last === undefined || kth === undefined || Math.abs(last) >= FLOAT32_MAX) return false
  const rounding = (query.length + 16) * 2 ** -23
  if (metric === 'cosine') return kth < last - rounding
  const norm = normOf(query)
  const scale = metric === 'dot' ? norm * normMax : (norm + normMax) ** 2
  return kth < last - rounding * scale - FLOAT32_MIN
}

/** Float64 distances of some rows: the bits of exactDistance. */
export const measuredRows = (
  index: VectorIndex,
  query: Float32Array,
  rows: Uint32Array,
): Float64Array =>
  index.distances?.(query, rows) ??
  distancesFrom(index.metric, query, rows.length, (at) => index.vector(rows[at] as number))

/**
 * Of a scan in float32 the `count` rows that are nearest by float64, and all that are as far as the
 * last of them. Where float32 cannot tell, every row is measured in float64.
 */
export function exactRows(
  index: VectorIndex,
  { query, allowed }: RowSearch,
  hits: RowHits,
  count: number,
): MeasuredRows & { readonly evaluated: number } {
  const nearest = new NearestRows(count)
  const distances = measuredRows(index, query, hits.rows)
  const matching = allowed?.count() ?? index.rows
  const { metric, normMax } = index
  const isWhole = hits.rows.length >= matching
  if (isWhole || isCertain({ metric, query, normMax, hits, distances }, count)) {
    nearest.add({ rows: hits.rows, distances })
    return { ...nearest.result(), evaluated: hits.evaluated }
  }
  const piece = new Uint32Array(SCRATCH_ROWS)
  let filled = 0
  const measure = (): void => {
    const rows = piece.subarray(0, filled)
    nearest.add({ rows, distances: measuredRows(index, query, rows) })
    filled = 0
  }
  for (const row of allowed ?? everyRow(index.rows)) {
    piece[filled++] = row
    if (filled === piece.length) measure()
  }
  if (filled > 0) measure()
  return { ...nearest.result(), evaluated: hits.evaluated + matching }
}

export function* everyRow(rows: number): Iterable<number> {
  for (let row = 0; row < rows; row++) yield row
}
