import { limits } from '../core/limits.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { Manifest, SegmentEntry } from '../format/manifest.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import type { Environment } from './environment.ts'
import { Fresh } from './freshness.ts'
import type { LogRows } from './log-rows.ts'
import type { LogSource } from './log-source.ts'
import { ManifestStore } from './manifest-store.ts'
import { pinManifest } from './pins.ts'
import { resolveState } from './resolve.ts'
import { type ForeignIndexLoader, SegmentReader, segmentIdentity } from './segment-reader.ts'
import { laterView, openView, type View } from './view.ts'

/** Segments of older states kept open beside the head's. */
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

/** A collection's head, its open segments and its views: what every operation starts from. */
export class CollectionCore {
  readonly environment: Environment
  readonly name: string
  readonly manifests: ManifestStore
  readonly foreign: ForeignIndexLoader | undefined
  readonly log: LogSource | undefined
  readonly #readers = new Map<string, SegmentReader>()
  readonly #unpin = new Map<string, () => Promise<void>>()
  readonly #fresh: Fresh<Manifest>
  #headView: KeptView | undefined

  constructor(options: CoreOptions) {
    this.environment = options.environment
    this.name = options.name
    const { clock, headAgeMaxMs = 0 } = options.environment
    this.#fresh = new Fresh(clock, headAgeMaxMs)
    this.manifests = new ManifestStore(options.environment.store, options.name, options.folder)
    this.foreign = options.foreign
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

  /** A segment's reader, shared by every state that names the same blobs. */
  reader(entry: SegmentEntry): SegmentReader {
    const key = segmentIdentity(entry)
    const open = this.#readers.get(key) ?? new SegmentReader(this.environment.store, entry)
    this.#readers.delete(key)
    this.#readers.set(key, open)
    return open
  }

  /**
   * The state that a search sees: the head with its log rows, or an older one (see resolveState).
   */
  async view(asOf?: string): Promise<View> {
    if (asOf !== undefined) {
      const manifest = await resolveState(this, asOf)
      return await openView(this.environment.store, manifest, (entry) => this.reader(entry))
    }
    for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
      const view = await this.#viewOfHead()
      if (view !== undefined) return view
    }
    throw tooFast(this.name)
  }

  /** Undefined where gc took the head, which is one no more, before it was pinned. */
  async #viewOfHead(): Promise<View | undefined> {
    const { head, log } = await this.#headAndLog()
    // Both at one moment: the log may grow while the view is being made.
    const changes = log?.changes ?? 0
    const snapshot = log?.touched === 0 ? undefined : log?.snapshot()
    const kept = this.#headView
    if (kept?.head === head.digest && kept.log === log) {
      if (kept.changes === changes) return kept.view
      const next =
        log === undefined
          ? undefined
          : await laterView(kept.view, snapshot, log.changedSince(kept.changes))
      if (next !== undefined) {
        this.#headView = { ...kept, changes, view: next }
        return next
      }
    }
    if (!(await this.#pin(head))) return undefined
    const { store } = this.environment
    const view = await openView(store, head, (entry) => this.reader(entry), snapshot)
    this.#headView = { head: head.digest, log, changes, view }
    this.#forget(head)
    return view
  }

  /**
   * A head with the log rows that belong to it: where the log was committed in between, the newer
   * head.
   */
  async #headAndLog(): Promise<{ head: Manifest; log: LogRows | undefined }> {
    let head = await this.#fresh.get(() => this.head())
    for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
      const log = await this.log?.rows(head)
      if (log !== 'stale') return { head, log }
      head = await this.head()
    }
    throw tooFast(this.name)
  }

  async close(): Promise<void> {
    for (const reader of this.#readers.values()) reader.close()
    this.#readers.clear()
    for (const unpin of this.#unpin.values()) await unpin().catch(() => undefined)
    this.#unpin.clear()
    this.#headView = undefined
  }

  /**
   * Holds the head's closure while this process reads it, so that no collection of garbage takes it
   * away. @returns false where one did before
   */
  async #pin(head: Manifest): Promise<boolean> {
    const { mode, store, pinStore } = this.environment
    const pins = mode === 'write' ? store : pinStore?.()
    if (pins === undefined || this.#unpin.has(head.digest)) return true
    const unpin = await this.#tryPin(head, pins)
    if (unpin === undefined) return false
    const former = [...this.#unpin.values()]
    this.#unpin.clear()
    this.#unpin.set(head.digest, unpin)
    for (const release of former) await release().catch(() => undefined)
    return true
  }

  /** Where the disk is full or read only, reading goes on without a pin. */
  async #tryPin(head: Manifest, store: ObjectStore): Promise<(() => Promise<void>) | undefined> {
    try {
      return await pinManifest({ ...this.environment, store }, this.manifests, head)
    } catch (error) {
      if (!hasCode(error, 'NO_SPACE', 'AUTH')) throw error
      return async () => undefined
    }
  }

  #forget(head: Manifest): void {
    const current = new Set(head.state.segments.map((entry) => segmentIdentity(entry)))
    let excess = this.#readers.size - current.size - FORMER_READERS_MAX
    for (const [key, reader] of this.#readers) {
      if (excess <= 0) break
      if (current.has(key)) continue
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
