import { scanCostNs, walkCostNs } from '../ann/cost.ts'
import { filteredPassing } from '../ann/filtered-walk.ts'
import type { ScanKind } from '../ann/vector-index.ts'
import type { Quantization } from '../core/schema.ts'

/**
 * What the choice depends on; all of it follows from the state and the query, so that plans repeat.
 */
export interface PlanInput {
  /** Rows of the segment that the search may return. */
  readonly matching: number
  readonly rows: number
  readonly dimension: number
  /** Rows that the segment is asked for. */
  readonly k: number
  readonly ef: number
  readonly hasGraph: boolean
  /** Of the codes that are scanned; default int8. */
  readonly form?: Quantization
  /** The caller wants the exact answer. */
  readonly exact: boolean
}

/** How one segment is searched, and what that was estimated to cost. JSON-ready. */
export interface SegmentPlan {
  readonly kind: ScanKind | 'none'
  readonly ef: number
  readonly reason: string
  readonly estimatedNs: Readonly<Partial<Record<ScanKind, number>>>
}

/**
 * Chooses between a walk of the graph and a scan of the rows that match: few rows → scan, many →
 * walk with the bitset inside. A walk that ends with fewer than k hits, or comes upon hardly any of
 * the rows that match (see filteredWalk), is given up for a scan inside the index, so k hits come
 * back where k rows match; the plan does not say so, what was evaluated does.
 */
export function planSegment(input: PlanInput): SegmentPlan {
  const { matching, rows, dimension, ef } = input
  if (matching === 0) return { kind: 'none', ef, reason: 'no row matches', estimatedNs: {} }
  const exactNs = Math.round(scanCostNs('scan-f32', matching, dimension))
  if (input.exact) {
    return { kind: 'scan-f32', ef, reason: 'exact', estimatedNs: { 'scan-f32': exactNs } }
  }
  const codes = `scan-${input.form ?? 'int8'}` as const
  const scanNs = Math.round(scanCostNs(codes, matching, dimension))
  if (!input.hasGraph) {
    const estimatedNs = { [codes]: scanNs }
    return { kind: codes, ef, reason: 'no graph', estimatedNs }
  }
  const walkNs = Math.round(walkCostNs({ rows, matching, dimension, ef: filteredPassing(input) }))
  const estimatedNs = { graph: walkNs, [codes]: scanNs }
  return scanNs <= walkNs
    ? { kind: codes, ef, reason: 'scanning the matching rows is cheaper', estimatedNs }
    : { kind: 'graph', ef, reason: 'walking the graph is cheaper', estimatedNs }
}
