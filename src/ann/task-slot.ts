import { Worker } from 'node:worker_threads'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { RankedRows } from './ranked-search.ts'
import {
  type Attachment,
  reviveError,
  type SentSearch,
  type TaskAnswer,
  type TaskMessage,
} from './task-messages.ts'
import type { RowSearch, VectorIndex } from './vector-index.ts'

/** Bytes and the SHA-256 of each chunk of them, shape (chunks × 32,). */
export interface Digested {
  readonly digests: Uint8Array
  readonly bytes: Uint8Array
}

interface Settling<T> {
  readonly resolve: (value: T) => void
  readonly reject: (reason: unknown) => void
}

/** A search of one segment that waits for a worker or is in one. */
export interface SearchTask extends Settling<RankedRows> {
  readonly kind: 'search'
  readonly index: VectorIndex
  /** The pool's number of that index. */
  readonly number: number
  readonly request: RowSearch
  readonly costNs: number
}

/** Bytes that are hashed or wait for it. */
export interface DigestTask extends Settling<Digested> {
  readonly kind: 'digest'
  readonly bytes: Uint8Array
  readonly chunkBytes: number
}

/** What a slot tells its pool. */
export interface SlotEvents {
  /** It can take more. */
  readonly onFree: () => void
  /** Its worker is gone; what it had to do is rejected. */
  readonly onEnd: (slot: TaskSlot) => void
}

/** Groups of searches at one worker at once: one under way, and one so that it need not wait. */
const GROUPS_MAX = 2

/** Digests at one worker at once, as of groups. */
const DIGESTS_MAX = 2

/** One worker thread that searches and hashes, and what it has been asked. */
export class TaskSlot {
  readonly context: number
  readonly #worker: Worker
  readonly #events: SlotEvents
  readonly #tasks = new Map<number, SearchTask | DigestTask>()
  /** Indexes that the worker has, the one used last at the end. */
  readonly #attached = new Set<number>()
  #next = 0
  #groups = 0
  #digests = 0
  /** Why it was ended, where it did not end by itself. */
  #reason: unknown
  #failure: unknown
  #online = false

  /** @param context of each segment's memory that no other thread uses */
  constructor(context: number, module: URL, events: SlotEvents) {
    this.context = context
    this.#events = events
    this.#worker = new Worker(module)
    this.#worker.on('message', (answers: readonly TaskAnswer[]) => this.#settle(answers))
    this.#worker.on('error', (error) => {
      this.#failure ??= error
    })
    this.#worker.on('exit', () => this.#ended())
    this.#worker.unref()
  }

  /** Whether its worker runs: starting takes some 50 ms. */
  get online(): boolean {
    return this.#online
  }

  /** Groups of searches that it has not answered. */
  get groups(): number {
    return this.#groups
  }

  get takesSearches(): boolean {
    return this.#groups < GROUPS_MAX
  }

  get takesDigest(): boolean {
    return this.#digests < DIGESTS_MAX
  }

  get idle(): boolean {
    return this.#tasks.size === 0
  }

  /** Sends searches together: a message costs as much as a third of a search. */
  search(tasks: readonly SearchTask[]): void {
    const attach: Attachment[] = []
    const searches: SentSearch[] = []
    const components = tasks.reduce((sum, { request }) => sum + request.query.length, 0)
    const queries = new Float32Array(components)
    let to = 0
    for (const task of tasks) {
      try {
        const attachment = this.#attach(task)
        if (attachment !== undefined) attach.push(attachment)
        searches.push(this.#sent(task))
        queries.set(task.request.query, to)
        to += task.request.query.length
      } catch (error) {
        task.reject(error)
      }
    }
    if (searches.length === 0) return
    this.#groups++
    this.#post({ kind: 'search', attach, searches, queries }, [queries.buffer])
  }

  digest(task: DigestTask): void {
    const { bytes, chunkBytes } = task
    this.#digests++
    const number = this.#add(task)
    const { buffer } = bytes
    const isWhole = buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength
    const moved = isWhole ? [buffer] : []
    this.#post({ kind: 'digest', task: number, bytes, chunkBytes }, moved)
  }

  /** Lets go of an index that is closed. */
  detach(number: number): void {
    if (this.#attached.delete(number)) this.#post({ kind: 'detach', indexes: [number] })
  }

  /** Ends the worker, also inside the kernel; what it was asked rejects with `reason`. */
  async end(reason: unknown): Promise<void> {
    this.#reason ??= reason
    await this.#worker.terminate()
  }

  #attach({ number, index }: SearchTask): Attachment | undefined {
    const known = this.#attached.delete(number)
    const shared = known ? undefined : index.shared()
    if (!known && shared === undefined) throw new Error('this index is bound to its thread')
    this.#attached.add(number)
    for (const oldest of this.#attached) {
      if (this.#attached.size <= limits.workerSegmentsMax) break
      this.detach(oldest)
    }
    return shared === undefined ? undefined : { index: number, shared, context: this.context }
  }

  #sent(task: SearchTask): SentSearch {
    const { allowed, query, ...same } = task.request
    const words = allowed === undefined ? {} : { allowed: { ...allowed } }
    const components = query.length
    return { ...same, ...words, components, task: this.#add(task), index: task.number }
  }

  #add(task: SearchTask | DigestTask): number {
    if (this.idle) this.#worker.ref()
    const number = this.#next++
    this.#tasks.set(number, task)
    return number
  }

  #post(message: TaskMessage, moved: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, moved)
  }

  #settle(answers: readonly TaskAnswer[]): void {
    this.#online = true
    const kind = this.#tasks.get(answers[0]?.task ?? -1)?.kind
    if (kind === 'search') this.#groups--
    if (kind === 'digest') this.#digests--
    for (const answer of answers) this.#settleOne(answer)
    // One that is being ended keeps the process until it is: else a program that waits for nothing
    // but that would be over before.
    if (this.idle && this.#reason === undefined) this.#worker.unref()
    this.#events.onFree()
  }

  #settleOne({ task: number, ranked, digests, bytes, error }: TaskAnswer): void {
    const task = this.#tasks.get(number)
    this.#tasks.delete(number)
    if (task === undefined) return
    if (error !== undefined) task.reject(reviveError(`a ${task.kind} in a worker`, error))
    else if (task.kind === 'search' && ranked !== undefined) task.resolve(ranked)
    else if (task.kind === 'digest' && digests !== undefined) {
      task.resolve({ digests, bytes: bytes ?? task.bytes })
    }
  }

  #ended(): void {
    const reason = this.#reason ?? died(this.#failure)
    for (const task of this.#tasks.values()) task.reject(reason)
    this.#tasks.clear()
    this.#events.onEnd(this)
  }
}

const died = (cause: unknown): AkidbError =>
  new AkidbError('INTERNAL', 'a worker thread ended before it had answered', {
    hint: 'Ask again: another worker takes its place.',
    cause,
  })
