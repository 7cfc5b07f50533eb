import type { IndexParameters, Schema } from '../../core/schema.ts'
import type { Environment } from '../states/environment.ts'
import { checkBuild } from './placement.ts'
import { buildNeed } from './segment-need.ts'
import { vectorSpecOf } from './view.ts'

/** An index that is to be built. */
export interface PlannedBuild {
  readonly schema: Schema
  readonly index: IndexParameters
  readonly rows: number
  /** Whether all rows are collected in memory first; absent: they are. */
  readonly collected?: boolean
}

/** Bytes that it takes. */
function needOf({ workers }: Environment, build: PlannedBuild): number {
  const { schema, index, rows, collected = true } = build
  const spec = vectorSpecOf(schema)
  if (spec === undefined) return 0
  const beside = collected ? rows * spec.dimension * 4 : 0
  return beside + buildNeed(rows, spec, index, workers?.().threads ?? 1)
}

/** Whether the store's budget of memory allows it. */
export const fitsBuild = (environment: Environment, build: PlannedBuild): boolean =>
  needOf(environment, build) <= (environment.memory?.bytes ?? Infinity)

/**
 * Has open segments make room for it.
 *
 * @throws LIMIT where the budget is too small for it alone, before anything is read
 */
export function reserveBuild(environment: Environment, build: PlannedBuild): void {
  const { memory } = environment
  if (memory === undefined) return
  const needed = needOf(environment, build)
  checkBuild(build.rows, needed, memory.bytes)
  memory.makeRoom(needed)
}
