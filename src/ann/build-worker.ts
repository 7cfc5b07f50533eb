import { parentPort } from 'node:worker_threads'
import { AkidbError } from '../errors/errors.ts'
import type { ErrorCode } from '../errors/exit-codes.ts'
import { canBuildGraph, prepareBuild } from './build-index.ts'
import { encodeGraph } from './graph.ts'
import { Segment, type SharedSegment } from './segment.ts'

/** A step of a build that the pool asks of one worker. Steps of one worker run in order. */
export interface BuildStep {
  readonly kind: 'prepare' | 'build' | 'encode'
  readonly segment: SharedSegment
  /** Number of this worker, and how many build together. */
  readonly worker: number
  readonly workers: number
}

/** What a step left. `bytes`: codes of 'prepare', links of 'encode'. */
export type StepResult =
  | { readonly ok: true; readonly bytes?: Uint8Array; readonly wantsGraph?: boolean }
  | { readonly ok: false; readonly error: StepError }

/** An error as it crosses threads; without a code it is a bug. */
export interface StepError {
  readonly code?: ErrorCode
  readonly message: string
  readonly hint?: string
  readonly details?: AkidbError['details']
}

parentPort?.on('message', (step: BuildStep) => {
  const result = runStep(step)
  const bytes = result.ok ? result.bytes : undefined
  parentPort?.postMessage(result, bytes === undefined ? [] : [bytes.buffer as ArrayBuffer])
})

function runStep({ kind, segment: shared, worker, workers }: BuildStep): StepResult {
  try {
    const segment = new Segment(shared, worker)
    if (kind === 'prepare') {
      return { ok: true, bytes: prepareBuild(segment), wantsGraph: canBuildGraph(segment) }
    }
    if (kind === 'encode') return { ok: true, bytes: encodeGraph(segment) }
    segment.exports.build(segment.plan.index, segment.context.address, worker, workers)
    return { ok: true }
  } catch (error) {
    return { ok: false, error: describe(error) }
  }
}

function describe(error: unknown): StepError {
  if (!(error instanceof AkidbError)) return { message: String(error) }
  const { code, message, hint, details } = error
  return hint === undefined ? { code, message, details } : { code, message, hint, details }
}
