import type { VectorSpec } from '../../core/schema.ts'
import type { SegmentReader } from './segment-reader.ts'

/** Vectors of one segment by rising row, read some ahead, in bounded memory. */
export interface RowCursor {
  /**
   * A row's vector, valid until the next call. Rows are asked for in rising order; some may be left
   * out. @throws INTEGRITY
   */
  at(row: number): Float32Array | Promise<Float32Array>
}

/** @throws INTEGRITY where the vectors' blob is missing or damaged */
export async function openRowCursor(reader: SegmentReader, spec: VectorSpec): Promise<RowCursor> {
  const rows = await reader.vectorRows(spec)
  const { dimension } = spec
  const step = Math.max(1, Math.floor(PIECE_BYTES / (dimension * 4)))
  let [first, last] = [0, -1]
  let vectors: Float32Array = new Float32Array(0)
  const here = (row: number): Float32Array =>
    vectors.subarray((row - first) * dimension, (row - first + 1) * dimension)
  return {
    at: (row) => {
      // Of rows far apart nothing between them is read.
      const count = row - last > NEAR_ROWS ? 1 : Math.min(step, reader.rows - row)
      last = row
      if (row >= first && (row - first) * dimension < vectors.length) return here(row)
      return rows.read(Array.from({ length: count }, (_, i) => row + i)).then((read) => {
        first = row
        vectors = read
        return here(row)
      })
    },
  }
}

const PIECE_BYTES = 1024 * 1024
const NEAR_ROWS = 16
