import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest, SegmentEntry } from '../../format/manifest.ts'
import { FilterCache } from '../segment/filter-cache.ts'
import type { LogRows } from '../segment/log-rows.ts'
import { LogVectors } from '../segment/log-vectors.ts'
import { PageCache } from '../segment/page-cache.ts'
import type { ForeignIndexLoader } from '../segment/segment-index.ts'
import { SegmentMemory } from '../segment/segment-memory.ts'
import { type ReaderShare, SegmentReader, segmentIdentity } from '../segment/segment-reader.ts'
import { laterView, openView, type View, vectorSpecOf } from '../segment/view.ts'
import type { Environment } from '../states/environment.ts'
import { commitsNoted, Fresh, noteCommit } from '../states/freshness.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import { type Hold, ReaderPins } from '../states/reader-pins.ts'
import { resolveState } from '../states/resolve.ts'
import { SharedLook } from '../states/shared-look.ts'
import type { LogSource } from './log-source.ts'

/** A collection that was read so lately will be read again. */
const BUSY_MS = 1_000
/** Segments kept open beside those of states that are read. */
const FORMER_READERS_MAX = 64

export interface CoreOptions {
  readonly environment: Environment
  readonly name: string
  /** The write-ahead log on top of the head; absent where the store has none. */
  readonly log?: LogSource
  readonly foreign?: ForeignIndexLoader
  /** Folder of its keys in the store; default: the collection's own. */
  readonly folder?: string
}

/** The last view of the head, and the log's state that it was made from. */
interface KeptView {
  readonly head: string
  readonly log: LogRows | undefined
  readonly changes: number
  readonly view: View
}

/** What requests that can be answered again have beside their question. */
interface Repeatable {
  readonly signal?: AbortSignal
  readonly offThread?: boolean
  readonly cached?: boolean
  readonly asOf?: string
}

/** How many commits of this process there were, and when. */
interface Moment {
  readonly commits: number
  readonly atMs: number
}

/** A state as it is read, held against collections of garbage until it is released. */
export interface HeldView {
  readonly view: View
  readonly hold: Hold
}

/** A collection's head, its open segments and its views: what every operation starts from. */
export class CollectionCore {
  readonly environment: Environment
  readonly name: string
  readonly manifests: ManifestStore
  readonly log: LogSource | undefined
  readonly filters = new FilterCache()
  readonly logVectors = new LogVectors()
  /** Opens vector indexes within the store's budget of memory. */
  readonly memory: SegmentMemory
  /** Searches under way, and all that there were. */
  searches = 0
  searchCount = 0
  #searchedMs = 0
  #closed = false
  readonly #readers = new Map<string, SegmentReader>()
  readonly #share: ReaderShare
  readonly #pins: ReaderPins
  readonly #fresh: Fresh<Manifest>
  readonly #shared = new SharedLook(() => this.head())
  #headView: KeptView | undefined
  /** Digest of the head at the last `lookAgain`. */
  #lookedAt: string | undefined

  constructor(options: CoreOptions) {
    this.environment = options.environment
    this.name = options.name
    const { environment } = options
    const { clock, headAgeMaxMs = 0 } = environment
    const ageMaxMs = (): number =>
      environment.followed === true
        ? Math.max(headAgeMaxMs, limits.followedHeadAgeMs)
        : headAgeMaxMs
    this.#fresh = new Fresh(clock, ageMaxMs, 'commits')
    this.manifests = new ManifestStore(options.environment.store, options.name, options.folder)
    this.manifests.onCommit = (manifest) => {
      if (manifest.state.dropped !== true) this.#fresh.set(manifest)
    }
    this.#pins = new ReaderPins(options.environment, this.manifests)
    this.#share = {
      pages: new PageCache(limits.payloadCacheBytesMax),
      workers: options.environment.workers,
    }
    this.memory = new SegmentMemory({
      name: options.name,
      budget: options.environment.memory,
      clock,
      contexts: () => options.environment.workers?.().contexts ?? 1,
      foreign: options.foreign,
    })
    this.log = options.log
  }

  /**
   * The newest manifest of a collection that exists. @throws NOT_FOUND where there is none or it
   * was dropped
   */
  async head(): Promise<Manifest> {
    const head = await this.manifests.newest()
    if (head === undefined || head.state.dropped === true) throw noCollection(this.name)
    return head
  }

  /** The same; many who ask at once look together. */
  sharedHead(): Promise<Manifest> {
    return this.#shared.get()
  }

  /** The same, but another process's commit is seen some milliseconds later, as searches see it. */
  recentHead(): Promise<Manifest> {
    return this.#fresh.get(() => this.head())
  }

  /**
   * Looks at the head now, because somebody else may have committed; what searches of another one
   * need is opened, where there were some lately.
   *
   * @returns whether it is another than at the last such look, be it known to searches already
   * @throws NOT_FOUND where there is none
   */
  async lookAgain(): Promise<boolean> {
    const before = this.#fresh.last?.digest
    const head = await this.#fresh.renew(() => this.head())
    if (head.digest !== before) await (await this.prepare(head))()
    const isOther = head.digest !== this.#lookedAt
    this.#lookedAt = head.digest
    return isOther
  }

  /** A segment's reader, shared by every state that names the same blobs. */
  reader(entry: SegmentEntry): SegmentReader {
    const key = segmentIdentity(entry)
    const open =
      this.#readers.get(key) ?? new SegmentReader(this.environment.store, entry, this.#share)
    this.#readers.delete(key)
    this.#readers.set(key, open)
    return open
  }

  /**
   * The state that a search sees, held until it is released: the head with its log rows, or an
   * older one (see resolveState).
   */
  async hold(asOf?: string): Promise<HeldView> {
    for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
      const held = asOf === undefined ? await this.#holdHead() : await this.#holdOlder(asOf)
      if (held !== undefined) return held
    }
    throw tooFast(this.name)
  }

  /** Reads a state and holds it meanwhile. */
  async read<T>(asOf: string | undefined, work: (view: View) => Promise<T>): Promise<T> {
    this.#searchedMs = this.environment.clock.nowMs()
    const { view, hold } = await this.hold(asOf)
    try {
      return await work(view)
    } catch (error) {
      // A machine that slept over it: what it read may have been collected meanwhile.
      if (!hold.isOld() || !hasCode(error, 'INTEGRITY', 'NOT_FOUND')) throw error
      await hold.renew()
      throw error
    } finally {
      await hold.release()
    }
  }

  async #holdOlder(asOf: string): Promise<HeldView | undefined> {
    const hold = await this.#pins.take(await resolveState(this, asOf), 'older')
    return hold === undefined ? undefined : await this.#viewing(hold, () => this.#open(hold))
  }

  /** Undefined where gc took the head, which is one no more, before it was pinned. */
  async #holdHead(): Promise<HeldView | undefined> {
    const { head, log } = await this.#headAndLog()
    // All at one moment: the log may grow, and others may read, while the view is being made.
    const kept = this.#headView
    const changes = log?.changes ?? 0
    const snapshot = log?.touched === 0 ? undefined : log?.snapshot()
    const hold = await this.#pins.take(head, 'head')
    if (hold === undefined) return undefined
    return await this.#viewing(hold, async () => {
      const same = kept?.head === head.digest && kept.log === log ? kept : undefined
      if (same?.changes === changes) return same.view
      const since = same === undefined ? undefined : log?.changedSince(same.changes)
      const later =
        same === undefined || since === undefined
          ? undefined
          : await laterView(same.view, snapshot, since)
      const view = later ?? (await this.#open(hold, snapshot))
      this.#headView = { head: head.digest, log, changes, view }
      return view
    })
  }

  async #viewing(hold: Hold, open: () => Promise<View>): Promise<HeldView> {
    try {
      return { view: await open(), hold }
    } catch (error) {
      await hold.release()
      throw error
    }
  }

  async #open({ manifest }: Hold, log?: LogRows): Promise<View> {
    const { store } = this.environment
    const view = await openView(store, manifest, (entry) => this.reader(entry), log)
    await this.#forgetReaders()
    return view
  }

  /**
   * A head with the log rows that belong to it: where the log was committed in between, the newer
   * head.
   */
  async #headAndLog(): Promise<{ head: Manifest; log: LogRows | undefined }> {
    let head = await this.recentHead()
    for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
      const log = await this.log?.rows(head)
      if (log !== 'stale') return { head, log }
      head = await this.head()
    }
    throw tooFast(this.name)
  }

  /**
   * The answer to a request, by an earlier one of the same state where there was one. Rows of an
   * open write-ahead log are in no state root: on top of those nothing is looked up.
   *
   * @param kind of the request: requests of another kind are others
   */
  async answer<T>(
    view: View,
    kind: string,
    request: Repeatable,
    make: () => Promise<T>,
  ): Promise<T> {
    const { results } = this.environment
    if (results === undefined || request.cached === false || view.log !== undefined) {
      return await make()
    }
    // What tells neither which records nor what of them. The state is named by its root.
    const { signal, offThread: _, cached: __, asOf: ___, ...question } = request
    signal?.throwIfAborted()
    const { stateRoot } = view.manifest.commit
    return await results.answer([this.name, stateRoot, kind, question], make)
  }

  /**
   * Opens what searches of a state that will be the head need, where there were some lately, and
   * holds it until what is returned is called. Never throws.
   */
  async prepare(manifest: Manifest): Promise<() => Promise<void>> {
    const idleMs = this.environment.clock.nowMs() - this.#searchedMs
    const isIdle = this.#closed || this.searchCount === 0 || idleMs > BUSY_MS
    if (isIdle) return async () => undefined
    try {
      const hold = await this.#pins.take(manifest, 'older')
      if (hold === undefined) return async () => undefined
      await this.#load(hold)
      return async () => {
        // Pinned as the head now, or given up.
        const head = this.#closed ? undefined : await this.hold().catch(() => undefined)
        await head?.hold.release()
        await hold.release()
        if (this.#closed) await this.#pins.close()
      }
    } catch {
      return async () => undefined
    }
  }

  async #load(hold: Hold): Promise<void> {
    try {
      await this.open(await this.#open(hold))
    } catch (error) {
      await hold.release()
      throw error
    }
  }

  /** Opens a view's vector indexes whole, one after the other. @throws as SegmentMemory.index */
  async open(view: View, signal?: AbortSignal): Promise<void> {
    if (vectorSpecOf(view.manifest.state.schema) === undefined) return
    for (const [number, { live }] of view.segments.entries()) {
      signal?.throwIfAborted()
      if (live > 0 && !this.#closed) await this.memory.index(view, number, true)
    }
  }

  /** For `announce`. */
  moment(): Moment {
    return { commits: commitsNoted(), atMs: this.environment.clock.nowMs() }
  }

  /**
   * Tells all of this process of a commit that was quiet. Where it committed something else since,
   * of this collection or another, the head is looked up.
   *
   * @param then when it was made
   */
  announce(manifest: Manifest, then: Moment): void {
    const isLatest = commitsNoted() === then.commits
    noteCommit()
    if (isLatest) this.#fresh.set(manifest, then.atMs)
  }

  /** Lets go of a state that is pinned only for the next read. */
  unpinIdle(): Promise<void> {
    return this.#pins.trim()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.memory.release(this.#readers.values())
    for (const reader of this.#readers.values()) reader.close()
    this.#readers.clear()
    this.filters.clear()
    await this.#pins.close()
    this.#headView = undefined
  }

  /** Closes segments of states that nobody reads any more, but for the latest. */
  async #forgetReaders(): Promise<void> {
    if (this.#readers.size <= FORMER_READERS_MAX) return
    const used = new Set<string>()
    for (const { state } of await this.#pins.inUse()) {
      for (const entry of state.segments) used.add(segmentIdentity(entry))
    }
    let excess = this.#readers.size - used.size - FORMER_READERS_MAX
    for (const [key, reader] of this.#readers) {
      if (excess <= 0) break
      if (used.has(key)) continue
      this.memory.release([reader])
      reader.close()
      this.#readers.delete(key)
      excess--
    }
  }
}

const tooFast = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `"${name}" is changing too fast to be read`)

export const noCollection = (name: string): AkidbError =>
  new AkidbError('NOT_FOUND', `there is no collection "${name}" in this store`, {
    hint: 'akidb list shows what there is.',
    details: { collection: name },
  })

/** Name of the lock that is held for one commit. */
export const commitLockName = (collectionId: string): string => collectionId
