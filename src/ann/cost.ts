/**
 * What searching costs, for the planner. Constants of the engine version, never measured at run
 * time, so that plans repeat on every machine; only their ratios matter. Taken on two Xeon cores
 * over 20,000 LaBSE vectors of 768 components, warm, and split into a part per component and a part
 * per row.
 */
export const SEARCH_COST = {
  /** One row of an f32 scan: nanoseconds, and nanoseconds per 1,000 components. */
  scanF32RowNs: 8,
  scanF32KilocomponentNs: 130,
  /** One row of an int8 scan. */
  scanInt8RowNs: 8,
  scanInt8KilocomponentNs: 53,
  /** One row of a binary scan: signs first, the full distance of few. */
  scanBinaryRowNs: 11,
  scanBinaryKilocomponentNs: 8,
  /** One row of a scan by product quantisation: one table entry for 8 components. */
  scanPqRowNs: 2,
  scanPqKilocomponentNs: 60,
  /** One row visited by a walk: int8 distance, link and heap work, cache misses. */
  walkRowNs: 50,
  walkKilocomponentNs: 66,
  /** Any search of one segment: query preparation, call, results. */
  searchNs: 5_000,
} as const

/** Nanoseconds a row, and a row and 1,000 components. */
const SCAN_NS = {
  'scan-f32': [SEARCH_COST.scanF32RowNs, SEARCH_COST.scanF32KilocomponentNs],
  'scan-int8': [SEARCH_COST.scanInt8RowNs, SEARCH_COST.scanInt8KilocomponentNs],
  'scan-binary': [SEARCH_COST.scanBinaryRowNs, SEARCH_COST.scanBinaryKilocomponentNs],
  'scan-pq': [SEARCH_COST.scanPqRowNs, SEARCH_COST.scanPqKilocomponentNs],
} as const

/** What a scan reads. */
export type FormCost = keyof typeof SCAN_NS

/** Nanoseconds to scan `rows` rows, in float32 or by codes with rescoring. */
export function scanCostNs(kind: FormCost, rows: number, dimension: number): number {
  const [rowNs, kilocomponentNs] = SCAN_NS[kind]
  return SEARCH_COST.searchNs + rows * (rowNs + (kilocomponentNs * dimension) / 1_000)
}

/** What a graph search depends on. */
export interface WalkShape {
  /** Rows of the segment. */
  readonly rows: number
  /** Rows that pass the filter (an estimate will do); `rows` without one. */
  readonly matching: number
  readonly dimension: number
  readonly ef: number
}

/** Rows that a walk looks at, about: eleven a candidate, more the fewer rows pass the filter. */
export function walkRows({ rows, matching, ef }: WalkShape): number {
  const selectivity = Math.min(1, Math.max(1, matching) / Math.max(1, rows))
  return Math.min(rows, (300 + 9 * ef) / selectivity)
}

/** Nanoseconds of a row that a walk looks at. */
export const walkRowNs = (dimension: number): number =>
  SEARCH_COST.walkRowNs + (SEARCH_COST.walkKilocomponentNs * dimension) / 1_000

/** Nanoseconds of a graph search with the filter inside the walk. */
export const walkCostNs = (shape: WalkShape): number =>
  SEARCH_COST.searchNs + walkRows(shape) * walkRowNs(shape.dimension)
