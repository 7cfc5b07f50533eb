import { Worker } from 'node:worker_threads'
import { limits } from '../core/limits.ts'
import type { IndexParameters } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import { type BuildOptions, createForBuild } from './build-index.ts'
import type { BuildStep, StepResult } from './build-worker.ts'
import type { KernelMemory } from './kernel/wasm.ts'
import type { Segment } from './segment.ts'
import { reviveError } from './task-messages.ts'
import type { BuiltIndex, IndexBuilder, StreamedVectors } from './vector-index.ts'

/** How a pool builds. */
export interface BuilderOptions extends BuildOptions {
  /** Threads that build together, 1…limits.buildThreadsMax. */
  readonly threads: number
  /** Module of the workers; default: build-worker beside this file. */
  readonly workerUrl?: URL
}

/**
 * Builds indexes on worker threads that share one copy of the vectors. Builds run one after the
 * other, in the order asked for; the bytes do not depend on the number of threads. Workers start
 * with the first build and keep the process alive only while one runs.
 *
 * `build` rejects with BAD_INPUT, LIMIT or NO_SPACE as buildIndexSync does, with the signal's
 * reason where that is aborted, and with a plain Error where a worker dies: the workers are then
 * replaced.
 */
export function createIndexBuilder(options: BuilderOptions): IndexBuilder {
  const { threads } = options
  if (!Number.isInteger(threads) || threads < 1 || threads > limits.buildThreadsMax) {
    const allowed = `1 to ${limits.buildThreadsMax} (buildThreadsMax)`
    const message = `${threads} build threads; ${allowed} are allowed`
    throw new AkidbError('LIMIT', message, { hint: 'Choose another --threads.' })
  }
  return new BuildPool(options)
}

class BuildPool implements IndexBuilder {
  readonly #options: BuilderOptions
  #crew: Crew | undefined
  /** Settles when the builds asked for so far have. */
  #last: Promise<unknown> = Promise.resolve()
  /** The last build's memory, used again by a build that follows soon. */
  #memory: KernelMemory | undefined
  #idle: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: BuilderOptions) {
    this.#options = options
  }

  build(
    vectors: StreamedVectors,
    parameters: IndexParameters,
    signal?: AbortSignal,
  ): Promise<BuiltIndex> {
    const turn = this.#last.then(() => this.#buildNow(vectors, parameters, signal))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idle)
    this.#memory = undefined
    const crew = this.#crew
    this.#crew = undefined
    await crew?.end(closedError())
    await this.#last
  }

  async #buildNow(
    vectors: StreamedVectors,
    parameters: IndexParameters,
    signal: AbortSignal | undefined,
  ): Promise<BuiltIndex> {
    this.#goOn(signal)
    clearTimeout(this.#idle)
    const memory = this.#memory
    this.#memory = undefined
    const segment = createForBuild(vectors, parameters, { ...this.#options, memory })
    await this.#load(segment, vectors, signal)
    const workers = segment.plan.contexts.length
    const crew = this.#crew === undefined || this.#crew.ended ? new Crew(this.#options) : this.#crew
    this.#crew = crew
    const abort = (): void => void crew.end(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    crew.hold(true)
    try {
      const step = { segment: segment.shared, workers }
      const prepared = await crew.run({ ...step, kind: 'prepare', worker: 0 })
      const { measured } = prepared
      const built = { codes: bytesOf(prepared), ...(measured === undefined ? {} : { measured }) }
      if (prepared.wantsGraph !== true) {
        this.#keep(segment.shared.memory)
        return built
      }
      const all = Array.from({ length: workers }, (_, worker) =>
        crew.run({ ...step, kind: 'build', worker }),
      )
      await Promise.all(all)
      const graph = bytesOf(await crew.run({ ...step, kind: 'finish', worker: 0 }))
      // Only now is it sure that no worker is inside; after a failure the memory is given up.
      this.#keep(segment.shared.memory)
      return { ...built, graph }
    } finally {
      signal?.removeEventListener('abort', abort)
      crew.hold(false)
      if (crew.ended && this.#crew === crew) this.#crew = undefined
    }
  }

  /** Copies rows into shared memory as they come. */
  async #load(
    segment: Segment,
    { pieces }: StreamedVectors,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let row = 0
    for await (const piece of pieces) {
      this.#goOn(signal)
      row += segment.loadPiece(piece, row, 'BAD_INPUT')
    }
    segment.checkLoaded(row, 'BAD_INPUT')
    this.#goOn(signal)
  }

  #goOn(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted()
    if (this.#closed) throw closedError()
  }

  /** A reference that the garbage collector may break is broken while workers still hold theirs. */
  #keep(memory: KernelMemory): void {
    this.#memory = memory
    this.#idle = setTimeout(() => {
      this.#memory = undefined
      const crew = this.#crew
      this.#crew = undefined
      void crew?.end(closedError())
    }, IDLE_MS).unref()
  }
}

/** A build that comes later than this finds neither memory nor workers waiting. */
const IDLE_MS = 10_000

type Success = Extract<StepResult, { readonly ok: true }>

interface Pending {
  readonly resolve: (result: Success) => void
  readonly reject: (reason: unknown) => void
}

/**
 * The workers of one pool. When one fails all end, because the others would wait for it for ever.
 */
class Crew {
  readonly #workers: readonly Worker[]
  readonly #pending = new Map<Worker, Pending>()
  #reason: unknown
  ended = false

  constructor({ threads, workerUrl = defaultWorkerUrl() }: BuilderOptions) {
    this.#workers = Array.from({ length: threads }, () => {
      const worker = new Worker(workerUrl)
      worker.on('message', (result: StepResult) => this.#settle(worker, result))
      worker.on('error', (error) => void this.end(error))
      worker.on('exit', () => void this.end(new Error('an index build worker ended early')))
      return worker
    })
  }

  /** Gives one worker a step; each has at most one at a time. */
  run(step: BuildStep): Promise<Success> {
    const worker = this.#workers[step.worker]
    if (worker === undefined || this.ended) {
      return Promise.reject(this.#reason ?? new Error(`there is no build worker ${step.worker}`))
    }
    return new Promise((resolve, reject) => {
      this.#pending.set(worker, { resolve, reject })
      worker.postMessage(step)
    })
  }

  /** Whether the process stays alive for the workers. It does while they are being ended. */
  hold(held: boolean): void {
    if (this.ended) return
    for (const worker of this.#workers) held ? worker.ref() : worker.unref()
  }

  /** Ends all workers, also those inside the kernel; steps under way reject with `reason`. */
  async end(reason: unknown): Promise<void> {
    if (this.ended) return
    this.ended = true
    this.#reason = reason
    for (const { reject } of this.#pending.values()) reject(reason)
    this.#pending.clear()
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #settle(worker: Worker, result: StepResult): void {
    const pending = this.#pending.get(worker)
    this.#pending.delete(worker)
    if (result.ok) {
      pending?.resolve(result)
      return
    }
    const error = reviveError('index build', result.error)
    pending?.reject(error)
    // Others may be waiting inside the kernel for the one that failed.
    if (this.#pending.size > 0) void this.end(error)
  }
}

/** Sources run as .ts, the package as .js; the worker stands beside this file in both. */
const defaultWorkerUrl = (): URL =>
  new URL(
    import.meta.url.endsWith('.ts') ? './build-worker.ts' : './build-worker.js',
    import.meta.url,
  )

function bytesOf(result: Success): Uint8Array {
  if (result.bytes === undefined) throw new Error('an index build step left no bytes')
  return result.bytes
}

const closedError = (): Error => new Error('this index builder is closed')
