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
}

/** Bytes that it takes. */
function needOf({ workers }: Environment, { schema, index, rows }: PlannedBuild): number {
  const spec = vectorSpecOf(schema)
  return spec === undefined ? 0 : buildNeed(rows, spec, index, workers?.().threads ?? 1)
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
