import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { LogEntry } from './log-entry.ts'

/** Entries that are written together, and their bytes. */
export interface QueuedEntries {
  readonly entries: readonly LogEntry[]
  readonly encoded: readonly Uint8Array[]
  readonly bytes: number
}

interface Told {
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

type Waiting = QueuedEntries & Told
type Chore = Told & { readonly run: () => Promise<void> }

interface QueueOptions {
  readonly clock: Clock
  /** Least time from the beginning of one group to that of the next. */
  readonly groupMs: number
  /** Durable when it resolves. */
  readonly write: (group: readonly QueuedEntries[]) => Promise<void>
}

/**
 * What is to be written to a log, in the order of its coming: what waits at the same time goes into
 * one group. What else is done to the log's files is done between two groups.
 */
export class GroupQueue {
  readonly #options: QueueOptions
  #waiting: Waiting[] = []
  #chores: Chore[] = []
  /** When the last group began. */
  #groupMs = 0
  #writing: Promise<void> | undefined

  constructor(options: QueueOptions) {
    this.#options = options
  }

  get length(): number {
    return this.#waiting.length
  }

  add(entries: QueuedEntries): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ ...entries, done, failed })
      this.#writing ??= this.#pump()
    })
  }

  /** Runs work while no group is being written, before those that wait. */
  between(run: () => Promise<void>): Promise<void> {
    return new Promise((done, failed) => {
      this.#chores.push({ run, done, failed })
      this.#writing ??= this.#pump()
    })
  }

  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0 || this.#chores.length > 0) {
        const chore = this.#chores.shift()
        if (chore === undefined) await this.#nextGroup()
        else await chore.run().then(chore.done, chore.failed)
      }
    } finally {
      this.#writing = undefined
    }
  }

  async #nextGroup(): Promise<void> {
    // A clock that fails is no reason to leave anybody without an answer.
    await this.#pause().catch(() => undefined)
    const group = this.#waiting.splice(0, countOfGroup(this.#waiting))
    try {
      await this.#options.write(group)
      for (const waiting of group) waiting.done()
    } catch (error) {
      for (const waiting of group) waiting.failed(error)
    }
  }

  /** Where each group costs a request, those that come soon after one go together. */
  async #pause(): Promise<void> {
    const { clock, groupMs } = this.#options
    if (groupMs === 0) return
    const waitMs = this.#groupMs + groupMs - clock.nowMs()
    if (waitMs > 0) await clock.sleep(Math.min(waitMs, groupMs))
    this.#groupMs = clock.nowMs()
  }
}

/** How many of those that wait go into one group. */
function countOfGroup(waiting: readonly Pick<QueuedEntries, 'bytes'>[]): number {
  let count = 0
  let sum = 0
  for (const { bytes } of waiting) {
    sum += bytes
    if (count > 0 && sum > limits.logGroupBytesMax) break
    count++
  }
  return count
}
