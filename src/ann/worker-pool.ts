import { limits } from '../core/limits.ts'
import type { IndexParameters } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import { AbortWatch } from './abort-watch.ts'
import { type BuilderOptions, createIndexBuilder } from './build-pool.ts'
import { type RankedRows, searchRanked } from './ranked-search.ts'
import { type Digested, type DigestTask, type SearchTask, TaskSlot } from './task-slot.ts'
import type {
  BuiltIndex,
  IndexBuilder,
  RowSearch,
  StreamedVectors,
  VectorIndex,
} from './vector-index.ts'

/** How a pool works. */
export interface PoolOptions extends Omit<BuilderOptions, 'workerUrl'> {
  /** Module of the workers that search and hash; default: task-worker beside this file. */
  readonly taskModule?: URL
  /** Module of the workers that build; default: build-worker beside this file. */
  readonly buildModule?: URL
  /** Workers that search end when idle for longer; default: ten seconds. */
  readonly idleMs?: number
  /** What the system gives this process; default: one more than `threads`. */
  readonly processors?: number
}

/** What one search of one segment is asked of the pool. */
export interface PoolSearch {
  readonly index: VectorIndex
  readonly request: RowSearch
  /** Its planned cost: cheap searches share a message. */
  readonly costNs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The worker threads of one store: index builds, searches and hashing.
 *
 * Searches and hashes share up to `threads` workers, and searches go first: a worker that hashes
 * looks for them every few milliseconds. Builds have up to `threads` workers of their own, since a
 * build holds its workers to its end (`buildModule` may give these a lower priority); so a search
 * never waits for a build. Workers start when they are first needed: as many as there are
 * processors beside the calling thread's (one at least), the others where these have had too much
 * to do for a while. They keep the process alive only while they have work, and end after ten idle
 * seconds.
 *
 * A worker that dies rejects what it had been asked with INTERNAL; another takes its place with the
 * next request. Results do not depend on the number of threads.
 */
export interface WorkerPool extends IndexBuilder {
  readonly threads: number
  /** Contexts that an index needs so that all threads can search it, the calling one included. */
  readonly contexts: number
  /** Whether a search would find a worker that runs already. */
  readonly ready: boolean
  /** Starts the workers that search and are needed first, where they do not run. */
  warm(): void
  /**
   * Does one of the searches that wait for a worker, on the calling thread: for a caller that
   * could only wait as well.
   * @returns false where none waits, and where the next would take the thread for long
   */
  help(): boolean
  /**
   * searchRanked in a worker; on the calling thread where the index is bound to it.
   * @throws as searchRanked; LIMIT over searchesWaitingMax; the signal's reason; INTERNAL where the
   *   worker dies
   */
  search(search: PoolSearch): Promise<RankedRows>
  /**
   * SHA-256 of each chunk of some bytes. Bytes in shared memory are hashed where they are; others
   * are moved to the worker and back. Do not touch them meanwhile, and use those that come back.
   * A chunk should be at most some MiB: searches wait for the one under way.
   * @throws LIMIT over digestsWaitingMax, INTERNAL where the worker dies
   */
  digests(bytes: Uint8Array, chunkBytes: number): Promise<Digested>
  /** Lets go of the memory of an index that nobody searches any more but those who do already. */
  forget(index: VectorIndex): void
}

/** @throws LIMIT for a number of threads outside 1…limits.buildThreadsMax */
export function createWorkerPool(options: PoolOptions): WorkerPool {
  return new Pool(options)
}

const IDLE_MS = 10_000
/** Groups of searches that may go before one digest. */
const PASSED_OVER_MAX = 16
/** Searches in one message, at most… */
const GROUP_MAX = 8
/** …and no more once their planned costs come to this. */
const GROUP_COST_NS = 2_000_000
/** Planned cost of searches that a calling thread takes upon itself. */
const HELP_NS_MAX = 1_000_000
/** What starting one more worker takes: where searches wait that are planned to take as long… */
const START_NS = 50_000_000
/** …or those that ran while others waited have taken five times as long, it is started. */
const BEHIND_NS = 250_000_000
/** About what SHA-256 does on one processor. */
const HASHED_BYTES_A_NS = 1

class Pool implements WorkerPool {
  readonly threads: number
  readonly #builder: IndexBuilder
  readonly #module: URL
  readonly #idleMs: number
  readonly #slots = new Map<number, TaskSlot>()
  readonly #searches: SearchTask[] = []
  readonly #digests: DigestTask[] = []
  readonly #aborts = new AbortWatch<SearchTask>((task, reason) => this.#abort(task, reason))
  readonly #numbers = new WeakMap<VectorIndex, number>()
  readonly #forgotten = new WeakSet<VectorIndex>()
  #next = 0
  #builds = 0
  /** Groups of searches that went before a digest that waits. */
  #passedOver = 0
  /** Workers that start as soon as they are needed. */
  readonly #startedFirst: number
  /** Planned cost of what workers were given while more waited, since one was started. */
  #behindNs = 0
  #idle: NodeJS.Timeout | undefined
  #closed = false

  constructor({ taskModule, buildModule, idleMs, processors, ...options }: PoolOptions) {
    const workerUrl = buildModule === undefined ? {} : { workerUrl: buildModule }
    this.#builder = createIndexBuilder({ ...options, ...workerUrl })
    this.threads = options.threads
    const others = (processors ?? options.threads + 1) - 1
    this.#startedFirst = Math.min(options.threads, Math.max(1, others))
    this.#idleMs = idleMs ?? IDLE_MS
    this.#module = taskModule ?? defaultModule()
  }

  get contexts(): number {
    return this.threads + 1
  }

  get ready(): boolean {
    for (const slot of this.#slots.values()) if (slot.online) return true
    return false
  }

  warm(): void {
    if (this.#closed) return
    for (let place = 1; place <= this.#startedFirst; place++) this.#slotAt(place)
    this.#rest()
  }

  help(): boolean {
    const [task] = this.#searches
    if (task === undefined || task.costNs > HELP_NS_MAX) return false
    this.#searches.shift()
    // Two threads are at it: another would take a processor from one of them.
    this.#behindNs = 0
    try {
      task.resolve(searchRanked(task.index, task.request))
    } catch (error) {
      task.reject(error)
    }
    return true
  }

  async build(
    vectors: StreamedVectors,
    parameters: IndexParameters,
    signal?: AbortSignal,
  ): Promise<BuiltIndex> {
    if (this.#builds > limits.buildsWaitingMax) throw tooMany('index builds', 'buildsWaitingMax')
    this.#builds++
    try {
      return await this.#builder.build(vectors, parameters, signal)
    } finally {
      this.#builds--
    }
  }

  async search({ index, request, costNs, signal }: PoolSearch): Promise<RankedRows> {
    signal?.throwIfAborted()
    if (this.#closed) throw closedError()
    const contexts = index.shared()?.contexts ?? 0
    if (contexts < this.contexts) return searchRanked(index, request)
    if (this.#searches.length >= limits.searchesWaitingMax) {
      throw tooMany('searches', 'searchesWaitingMax')
    }
    const number = this.#numbers.get(index) ?? this.#next++
    this.#numbers.set(index, number)
    const { promise, resolve, reject } = Promise.withResolvers<RankedRows>()
    const task = { kind: 'search', index, number, request, costNs, resolve, reject } as const
    if (signal !== undefined) this.#aborts.add(signal, task)
    try {
      this.#searches.push(task)
      this.#dispatch()
      return await promise
    } finally {
      if (signal !== undefined) this.#aborts.remove(signal, task)
      // A worker has it again.
      if (this.#forgotten.has(index)) this.forget(index)
    }
  }

  async digests(bytes: Uint8Array, chunkBytes: number): Promise<Digested> {
    if (this.#closed) throw closedError()
    if (this.#digests.length >= limits.digestsWaitingMax) {
      throw tooMany('digests', 'digestsWaitingMax')
    }
    return await new Promise((resolve, reject) => {
      this.#digests.push({ kind: 'digest', bytes, chunkBytes, resolve, reject })
      this.#dispatch()
    })
  }

  forget(index: VectorIndex): void {
    this.#forgotten.add(index)
    const number = this.#numbers.get(index)
    if (number === undefined) return
    for (const slot of this.#slots.values()) slot.detach(number)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idle)
    const reason = closedError()
    for (const { reject } of [...this.#searches, ...this.#digests]) reject(reason)
    this.#searches.length = 0
    this.#digests.length = 0
    const ends = Array.from(this.#slots.values(), (slot) => slot.end(reason))
    await Promise.all([...ends, this.#builder.close()])
  }

  /** It leaves the queue; where a worker has it, it is short, and its answer is lost. */
  #abort(task: SearchTask, reason: unknown): void {
    const place = this.#searches.indexOf(task)
    if (place >= 0) this.#searches.splice(place, 1)
    task.reject(reason)
  }

  #dispatch(): void {
    while (this.#searches.length > 0) {
      const slot = this.#freest((each) => each.takesSearches)
      if (slot === undefined) break
      const group = this.#group()
      slot.search(group)
      if (this.#searches.length > 0) this.#behindNs += costOf(group)
      if (this.#digests.length > 0) this.#passedOver++
    }
    while (this.#digests.length > 0 && this.#mayDigest) {
      this.#passedOver = 0
      const slot = this.#freest((each) => each.takesDigest)
      const task = slot === undefined ? undefined : this.#digests.shift()
      if (slot === undefined || task === undefined) break
      slot.digest(task)
      if (this.#digests.length > 0) this.#behindNs += task.bytes.length / HASHED_BYTES_A_NS
    }
    this.#rest()
  }

  /** Searches go first, but not for ever. */
  get #mayDigest(): boolean {
    return this.#searches.length === 0 || this.#passedOver >= PASSED_OVER_MAX
  }

  /** The next searches for one worker: its share of those that wait. */
  #group(): SearchTask[] {
    const share = Math.min(GROUP_MAX, Math.ceil(this.#searches.length / this.threads))
    let costNs = 0
    let count = 0
    while (count < share && costNs < GROUP_COST_NS) {
      costNs += this.#searches[count]?.costNs ?? 0
      count++
    }
    return this.#searches.splice(0, count)
  }

  /** The worker with the least to do; a new one where all have something and one is worth it. */
  #freest(takes: (slot: TaskSlot) => boolean): TaskSlot | undefined {
    let best: TaskSlot | undefined
    for (let place = 1; place <= this.threads; place++) {
      const slot = this.#slots.get(place)
      if (slot === undefined || !takes(slot)) continue
      if (best === undefined || weightOf(slot) < weightOf(best)) best = slot
    }
    if (best?.idle === true || !this.#mayStart) return best
    for (let place = 1; place <= this.threads; place++) {
      if (!this.#slots.has(place)) return this.#slotAt(place)
    }
    return best
  }

  get #mayStart(): boolean {
    if (this.#slots.size < this.#startedFirst) return true
    if (this.#slots.size >= this.threads) return false
    if (this.#behindNs < BEHIND_NS && !costsMore(this.#searches, START_NS)) return false
    this.#behindNs = 0
    return true
  }

  #slotAt(place: number): TaskSlot {
    const known = this.#slots.get(place)
    if (known !== undefined) return known
    const slot: TaskSlot = new TaskSlot(place, this.#module, {
      onFree: () => this.#dispatch(),
      onEnd: () => {
        if (this.#slots.get(place) === slot) this.#slots.delete(place)
        if (!this.#closed) this.#dispatch()
      },
    })
    this.#slots.set(place, slot)
    return slot
  }

  /** Lets the workers end, where nobody needs them any more for a while. */
  #rest(): void {
    if (this.#idle !== undefined) clearTimeout(this.#idle)
    this.#idle = undefined
    if (this.#slots.size === 0) return
    for (const slot of this.#slots.values()) if (!slot.idle) return
    this.#idle = setTimeout(() => {
      const idle = [...this.#slots.values()]
      this.#slots.clear()
      for (const slot of idle) void slot.end(closedError())
    }, this.#idleMs).unref()
  }
}

const costOf = (tasks: readonly SearchTask[]): number =>
  tasks.reduce((sum, { costNs }) => sum + costNs, 0)

/** Without a look at all of a long queue. */
function costsMore(tasks: Iterable<SearchTask>, limitNs: number): boolean {
  let sum = 0
  for (const { costNs } of tasks) {
    sum += costNs
    if (sum >= limitNs) return true
  }
  return false
}

/** Those that run come before those that start. */
const weightOf = (slot: TaskSlot): number =>
  slot.groups * 4 + (slot.online ? 0 : 2) + (slot.takesDigest ? 0 : 1)

/** Sources run as .ts, the package as .js; the worker stands beside this file in both. */
const defaultModule = (): URL =>
  new URL(
    import.meta.url.endsWith('.ts') ? './task-worker.ts' : './task-worker.js',
    import.meta.url,
  )

type QueueLimit = 'buildsWaitingMax' | 'searchesWaitingMax' | 'digestsWaitingMax'

const tooMany = (what: string, limit: QueueLimit): AkidbError =>
  new AkidbError('LIMIT', `too many ${what} wait for a thread: ${limits[limit]} (${limit})`, {
    hint: 'Wait for some of them before asking for more.',
    details: { limit, max: limits[limit] },
  })

const closedError = (): Error => new Error('these worker threads are closed')
