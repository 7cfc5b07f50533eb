import { isCertain } from '../../ann/exact-search.ts'
import { NearestRows } from '../../ann/nearest-rows.ts'
import { RowMatrix } from '../../ann/row-matrix.ts'
import { Bitset } from '../../core/bitset.ts'
import { limits } from '../../core/limits.ts'
import { distancesFrom } from '../../core/metric.ts'
import type { VectorSpec } from '../../core/schema.ts'
import { hasCode } from '../../errors/errors.ts'
import type { LogRow, LogRows } from './log-rows.ts'

export interface LogVectorQuery {
  readonly spec: VectorSpec
  readonly vector: Float32Array
  readonly k: number
  /** Whether a row may be returned. */
  readonly allows: (row: LogRow) => boolean
}

/** A row of the log and its float64 distance (see exactDistance). */
export interface NearLogRow {
  readonly row: LogRow
  readonly distance: number
}

/** Fewer components than this are compared here sooner than the kernel is asked. */
const KERNEL_COMPONENTS_MIN = 16_384
/** As for segments: the kernel ranks in float32. */
const TIE_SLACK = 8

/** The vectors of one collection's open log, each read once for all searches. */
export class LogVectors {
  #history: object | undefined
  #matrix: RowMatrix | undefined

  /**
   * Rows among which are the k nearest, in no order. Nothing is awaited: other searches share what
   * is kept here.
   */
  nearest(log: LogRows, query: LogVectorQuery): NearLogRow[] {
    const { spec, vector, k, allows } = query
    const rows: LogRow[] = []
    const numbers: number[] = []
    for (let number = 0; number < log.changes; number++) {
      const row = log.rowAt(number)
      if (row?.vector === undefined || !allows(row)) continue
      rows.push(row)
      numbers.push(number)
    }
    const candidates = k + TIE_SLACK
    const few = rows.length <= candidates || candidates > limits.searchCountMax
    if (few || rows.length * spec.dimension < KERNEL_COMPONENTS_MIN) return measured(rows, query)
    const matrix = this.#matrixOf(log, spec)
    if (matrix === undefined) return measured(rows, query)
    const found = matrix.nearest(vector, candidates, Bitset.from(matrix.capacity, numbers))
    const near = measured(
      [...found.rows].map((number) => log.rowAt(number) as LogRow),
      query,
    )
    const scanned = { metric: spec.metric, query: vector, normMax: matrix.normMax, hits: found }
    const distances = Float64Array.from(near, ({ distance }) => distance)
    return isCertain({ ...scanned, distances }, k) ? near : measured(rows, query)
  }

  /** Undefined where there is no memory for it, or rows too many: then they are compared here. */
  #matrixOf(log: LogRows, { dimension, metric }: VectorSpec): RowMatrix | undefined {
    let matrix = this.#matrix
    if (matrix?.dimension !== dimension || matrix.metric !== metric) {
      matrix = new RowMatrix(dimension, metric)
      this.#matrix = matrix
    } else if (this.#history !== log.history) {
      matrix.clear()
    }
    this.#history = log.history
    try {
      matrix.append(log.vectorsFrom(matrix.rows))
      return matrix
    } catch (error) {
      if (!hasCode(error, 'LIMIT', 'NO_SPACE')) throw error
      this.#matrix = undefined
      return undefined
    }
  }
}

/** Distances of all; only those that may be among the k nearest are kept. */
function measured(rows: readonly LogRow[], { spec, vector, k }: LogVectorQuery): NearLogRow[] {
  const distances = distancesFrom(
    spec.metric,
    vector,
    rows.length,
    (number) => rows[number]?.vector as Float32Array,
  )
  const nearest = new NearestRows(k)
  nearest.add({ rows: Uint32Array.from(rows.keys()), distances })
  const found = nearest.result()
  return Array.from(found.rows, (number, i) => ({
    row: rows[number] as LogRow,
    distance: found.distances[i] as number,
  }))
}
