import { scanCostNs, walkCostNs } from '../ann/cost.ts'
import type { ScanKind } from '../ann/vector-index.ts'

/**
 * What the choice depends on; all of it follows from the state and the query, so that plans repeat.
 */
export interface PlanInput {
  /** Rows of the segment that the search may return. */
  readonly matching: number
  readonly rows: number
  readonly dimension: number
  readonly k: number
  readonly ef: number
  readonly hasGraph: boolean
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
 * walk with the bitset inside. A walk that ends with fewer than k hits is finished by a scan inside
 * the index, so k hits come back where k rows match.
 */
export function planSegment(input: PlanInput): SegmentPlan {
  const { matching, rows, dimension, ef } = input
  if (matching === 0) return { kind: 'none', ef, reason: 'no row matches', estimatedNs: {} }
  const exactNs = Math.round(scanCostNs('scan-f32', matching, dimension))
  if (input.exact) {
    return { kind: 'scan-f32', ef, reason: 'exact', estimatedNs: { 'scan-f32': exactNs } }
  }
  const scanNs = Math.round(scanCostNs('scan-int8', matching, dimension))
  if (!input.hasGraph) {
    const estimatedNs = { 'scan-int8': scanNs }
    return { kind: 'scan-int8', ef, reason: 'no graph', estimatedNs }
  }
  const walkNs = Math.round(walkCostNs({ rows, matching, dimension, ef }))
  const estimatedNs = { graph: walkNs, 'scan-int8': scanNs }
  return scanNs <= walkNs
    ? { kind: 'scan-int8', ef, reason: 'scanning the matching rows is cheaper', estimatedNs }
    : { kind: 'graph', ef, reason: 'walking the graph is cheaper', estimatedNs }
}
