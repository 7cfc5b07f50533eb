import { limits } from '../core/limits.ts'
import { type FormCost, scanCostNs, walkCostNs, walkRowNs } from './cost.ts'

/** What a walk of a graph with a filter inside depends on. */
export interface FilteredShape {
  /** Rows of the segment. */
  readonly rows: number
  /** Rows that pass, 1…rows. */
  readonly matching: number
  /** Rows that are asked for. */
  readonly k: number
  readonly ef: number
}

/** How far a walk goes. Steps are rows whose links are followed, the nearest first. */
export interface WalkBounds {
  /** Rows that it keeps. */
  readonly ef: number
  /** With a filter it may end after so many steps… */
  readonly steps: number
  /** …of which so many pass. */
  readonly passing: number
  /** It is lost where fewer of the first `steps` pass. */
  readonly passingLeast: number
  /** It is given up beyond so many distances. */
  readonly budget: number
}

const UNBOUNDED = 0xffffffff
/** Steps that pass, beyond twice k, below which recall suffers. */
const PASSING_SLACK = 4
/** A walk is lost where so small a part of those that are expected to pass do. */
const LOST_BELOW = 0.05
/** A walk that was lost is begun again with so many times the rows kept… */
const WIDER = 4
/** …where a scan costs so many times as much as such a walk without a filter. */
const WIDER_WORTH = 4

/** How far a walk without a filter goes. */
export const plainWalk = (ef: number): WalkBounds => ({
  ...{ ef, steps: UNBOUNDED, passing: UNBOUNDED, passingLeast: 0, budget: UNBOUNDED },
})

/** Steps that pass of a walk with a filter, where the filter has nothing to do with the vectors. */
export function filteredPassing({ rows, matching, k, ef }: FilteredShape): number {
  const share = Math.min(1, matching / rows)
  const expected = Math.ceil(ef * share * share)
  return Math.min(ef, Math.max(expected, 2 * k + PASSING_SLACK))
}

/**
 * How far a walk goes that may return a share s of the rows. Without a filter it takes about ef
 * steps. With one that has nothing to do with the vectors it takes ef × s, so that it costs no more
 * although it looks up each row, or until a few times k pass. Where more pass, the rows that pass
 * are near the query, and it needs all its steps to tell them apart. Where fewer pass it goes on
 * until enough have, and where hardly any do it is lost: what passes is elsewhere, and what a walk
 * comes upon first is not what is nearest.
 */
export function filteredWalk(shape: FilteredShape, budget: number): WalkBounds {
  const passing = filteredPassing(shape)
  const steps = Math.ceil((passing * shape.rows) / shape.matching)
  const passingLeast = Math.ceil(passing * LOST_BELOW)
  return { ef: Math.min(shape.ef, steps), steps, passing, passingLeast, budget }
}

/**
 * The walk after one that was lost: it keeps more rows, and ends where none that it could still
 * find is as near. Undefined where scanning the rows that pass costs little more.
 */
export function widerWalk(
  form: FormCost,
  { rows, matching, ef, dimension }: FilteredShape & { readonly dimension: number },
): WalkBounds | undefined {
  const wider = Math.min(WIDER * ef, limits.searchEfMax)
  const walkNs = walkCostNs({ rows, matching: rows, dimension, ef: wider })
  const scanNs = scanCostNs(form, matching, dimension)
  if (scanNs < WIDER_WORTH * walkNs) return undefined
  return { ...plainWalk(wider), budget: Math.ceil(scanNs / 2 / walkRowNs(dimension)) }
}

/** Distances of a walk with a filter, which cost what scanning the rows that pass would. */
export const filteredBudget = (
  form: FormCost,
  { matching, dimension, ef }: Pick<FilteredShape, 'matching' | 'ef'> & { dimension: number },
): number =>
  Math.max(4 * ef, Math.ceil(scanCostNs(form, matching, dimension) / walkRowNs(dimension)))
