import { parentPort } from 'node:worker_threads'
import type { CodesMeasure } from '../core/schema.ts'
import { canBuildGraph, finishGraph, measureBuilt, prepareBuild } from './build-index.ts'
import { Segment, type SharedSegment } from './segment.ts'
import { describeError, type SentError } from './task-messages.ts'

/** A step of a build that the pool asks of one worker. Steps of one worker run in order. */
export interface BuildStep {
  readonly kind: 'prepare' | 'build' | 'finish'
  readonly segment: SharedSegment
  /** Number of this worker, and how many build together. */
  readonly worker: number
  readonly workers: number
}

/** What a step left. `bytes`: codes of 'prepare', links of 'finish'. */
export type StepResult =
  | {
      readonly ok: true
      readonly bytes?: Uint8Array
      readonly wantsGraph?: boolean
      readonly measured?: CodesMeasure
    }
  | { readonly ok: false; readonly error: SentError }

parentPort?.on('message', (step: BuildStep) => {
  const result = runStep(step)
  const bytes = result.ok ? result.bytes : undefined
  parentPort?.postMessage(result, bytes === undefined ? [] : [bytes.buffer as ArrayBuffer])
})

function runStep({ kind, segment: shared, worker, workers }: BuildStep): StepResult {
  try {
    const segment = new Segment(shared, worker)
    if (kind === 'prepare') {
      const bytes = prepareBuild(segment)
      const measured = measureBuilt(segment)
      const wantsGraph = canBuildGraph(segment)
      return { ok: true, bytes, wantsGraph, ...(measured === undefined ? {} : { measured }) }
    }
    if (kind === 'finish') return { ok: true, bytes: finishGraph(segment) }
    segment.exports.build(segment.plan.index, segment.context.address, worker, workers)
    return { ok: true }
  } catch (error) {
    return { ok: false, error: describeError(error) }
  }
}
