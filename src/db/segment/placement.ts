import type { Placement } from '../../ann/vector-index.ts'
import { AkidbError } from '../../errors/errors.ts'
import { leastOf, type SegmentNeed } from './segment-need.ts'

/** Where the float32 rows of a state's segments go. */
export interface PlacementPlan {
  /** In the order of the state's segments. */
  readonly placements: readonly Placement[]
  /** What all of it takes. Bytes. */
  readonly bytes: number
  /** What it takes with all rows on disk that can stay there. Bytes. */
  readonly least: number
}

/**
 * Places the float32 rows of a state: in memory go those of the smallest segments, of equal ones
 * the newest first, until `room` is spent; a pure function of the two. What cannot stay on disk is
 * in memory whatever it takes.
 *
 * @param needs in the order of the state's segments, the newest last
 * @param room  bytes for all of it
 */
export function placeSegments(needs: readonly SegmentNeed[], room: number): PlacementPlan {
  const least = needs.reduce((sum, need) => sum + leastOf(need), 0)
  const placements: Placement[] = needs.map(({ movable }) => (movable ? 'disk' : 'memory'))
  const order = [...needs.entries()]
    .filter(([, { movable }]) => movable)
    .sort(([a, { vectors: x }], [b, { vectors: y }]) => x - y || b - a)
  let bytes = least
  for (const [at, { vectors }] of order) {
    if (bytes + vectors > room) break
    bytes += vectors
    placements[at] = 'memory'
  }
  return { placements, bytes, least }
}

/** @throws LIMIT where codes and links alone are over the budget, before anything is loaded */
export function checkLeast(name: string, least: number, budget: number): void {
  if (least <= budget) return
  const message =
    `searching "${name}" takes at least ${mebibytes(least)} of memory, ` +
    `the budget is ${mebibytes(budget)} (memory)`
  throw overBudget(message, least, budget)
}

/** @throws LIMIT where the index of one segment cannot be built within the budget */
export function checkBuild(rows: number, needed: number, budget: number): void {
  if (needed <= budget) return
  const message =
    `building the index of a segment of ${rows} rows takes ${mebibytes(needed)} of memory, ` +
    `the budget is ${mebibytes(budget)} (memory)`
  throw overBudget(message, needed, budget)
}

function overBudget(message: string, needed: number, budget: number): AkidbError {
  const least = Math.ceil(needed / MIB)
  return new AkidbError('LIMIT', message, {
    hint: `Use --memory ${least}MiB or more.`,
    details: { limit: 'memory', max: budget, needed: least * MIB },
  })
}

const MIB = 1024 * 1024
const mebibytes = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`
