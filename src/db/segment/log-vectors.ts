import { RowMatrix } from '../../ann/row-matrix.ts'
import { Bitset } from '../../core/bitset.ts'
import { distancesFrom } from '../../core/metric.ts'
import type { VectorSpec } from '../../core/schema.ts'
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
    const few = rows.length <= k + TIE_SLACK
    if (few || rows.length * spec.dimension < KERNEL_COMPONENTS_MIN) return measured(rows, query)
    const matrix = this.#matrixOf(log, spec)
    const allowed = Bitset.from(matrix.capacity, numbers)
    const found = matrix.nearest(vector, k + TIE_SLACK, allowed)
    const { distances } = found
    // As far as the k-th, and perhaps more beyond: the ids of them all decide.
    if (distances[distances.length - 1] === distances[k - 1]) return measured(rows, query)
    return measured(
      [...found.rows].map((number) => log.rowAt(number) as LogRow),
      query,
    )
  }

  #matrixOf(log: LogRows, { dimension, metric }: VectorSpec): RowMatrix {
    let matrix = this.#matrix
    if (matrix?.dimension !== dimension || matrix.metric !== metric) {
      matrix = new RowMatrix(dimension, metric)
      this.#matrix = matrix
    } else if (this.#history !== log.history) {
      matrix.clear()
    }
    this.#history = log.history
    matrix.append(log.vectorsFrom(matrix.rows))
    return matrix
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
  // More than k only where several are as far as the last of them: their ids decide.
  const farthest = Float64Array.from(distances).sort()[k - 1] ?? Number.NaN
  return rows.flatMap((row, i) => {
    const distance = distances[i] as number
    return distance > farthest ? [] : [{ row, distance }]
  })
}
