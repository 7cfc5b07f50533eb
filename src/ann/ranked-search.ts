import { exactRows, measuredRows } from './exact-search.ts'
import type { RowSearch, VectorIndex } from './vector-index.ts'

/** Rows of one segment with their final distances. */
export interface RankedRows {
  /** In the order of the kernel, which ranks in float32: not quite that of `distances`. */
  readonly rows: Uint32Array
  /** Shape (rows.length,): float64, as exactDistance gives them. */
  readonly distances: Float64Array
  /** Distances computed on the way. */
  readonly evaluated: number
}

/**
 * Searches one segment and computes the float64 distances of what was found, on the calling thread.
 * The bits are the same on every thread and machine. With `certain` these are the nearest, whatever
 * float32 made of them. Where the rows are on disk it finds the candidates alone, without
 * distances: whoever reads their vectors ranks them.
 *
 * @throws as VectorIndex.search
 */
export function searchRanked(index: VectorIndex, request: RowSearch): RankedRows {
  if (index.placement === 'disk') {
    const { rows, evaluated } = index.candidates(request)
    return { rows, distances: new Float64Array(0), evaluated }
  }
  const hits = index.search(request)
  if (request.certain !== undefined) return exactRows(index, request, hits, request.certain)
  const { rows, evaluated } = hits
  return { rows, distances: measuredRows(index, request.query, rows), evaluated }
}
