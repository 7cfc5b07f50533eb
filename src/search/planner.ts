import { scanCostNs, walkCostNs } from '../ann/cost.ts'
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
  const codes = `scan-${input.form ?? 'int8'}` as const
  const scanNs = Math.round(scanCostNs(codes, matching, dimension))
  if (!input.hasGraph) {
    const estimatedNs = { [codes]: scanNs }
    return { kind: codes, ef, reason: 'no graph', estimatedNs }
  }
  const walkEf = filteredEf(input)
  const walkNs = Math.round(walkCostNs({ rows, matching, dimension, ef: walkEf }))
  const estimatedNs = { graph: walkNs, [codes]: scanNs }
  return scanNs <= walkNs
    ? { kind: codes, ef, reason: 'scanning the matching rows is cheaper', estimatedNs }
    : { kind: 'graph', ef: walkEf, reason: 'walking the graph is cheaper', estimatedNs }
}

/** Candidates of a filtered walk, in multiples of k, below which recall suffers. */
const FILTERED_EF_OF_K = 4

/**
 * Candidates that a walk keeps. Only rows that may be returned count as candidates, so that a walk
 * whose filter leaves a half of the rows sees twice as many for the same ef, and looks each of them
 * up in the filter. It takes ef × s√s for a share of s: it costs no more than a walk without a
 * filter, and still finds what is nearest among about as many rows. Not fewer than a few times k.
 */
function filteredEf({ matching, rows, k, ef }: PlanInput): number {
  if (matching >= rows) return ef
  const share = matching / rows
  return Math.min(ef, Math.max(Math.ceil(ef * share * Math.sqrt(share)), FILTERED_EF_OF_K * k))
}
