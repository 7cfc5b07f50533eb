import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import { closureOf } from '../../format/closure.ts'
import type { Manifest } from '../../format/manifest.ts'
import { decodeManifest } from '../../format/manifest-codec.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import { CollectionCore } from '../collection/collection-core.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import { ledgerBlobs } from '../ingest/ledger.ts'
import type { Environment } from '../states/environment.ts'
import { ManifestStore, manifestKey } from '../states/manifest-store.ts'
import { livePins } from '../states/pins.ts'
import { listSnapshots } from '../states/snapshots.ts'
import { logLength } from '../wal/log-file.ts'
import { outboxLength } from '../wal/outbox.ts'

/** A manifest that history need not keep, unless somebody names it. */
export interface OldManifest {
  readonly key: string
  readonly digest: string
  readonly collection: string
  readonly version: number
  readonly bytes: number
}

/**
 * What must stay, found in passes. Between two passes it only grows: a manifest that one pass found
 * worth keeping stays kept, so that a second pass reads no more than what is new.
 */
export class GcRoots {
  readonly #environment: Environment
  readonly #cutoffMs: number
  readonly #sweepPins: boolean
  readonly #blobs = new Set<string>()
  readonly #kept = new Set<string>()
  readonly #old = new Map<string, OldManifest>()
  readonly #logs = new Set<string>()
  #names: readonly string[] = []
  #passes = 0

  /** @param options.cutoffMs commits later than this stay, and the state that held then */
  constructor(environment: Environment, options: { cutoffMs: number; sweepPins: boolean }) {
    this.#environment = environment
    this.#cutoffMs = options.cutoffMs
    this.#sweepPins = options.sweepPins
  }

  /** Digests of blobs that somebody names. */
  get blobs(): ReadonlySet<string> {
    return this.#blobs
  }

  /** Ids of collections that are there, or were within the last hour: their logs stay. */
  get logs(): ReadonlySet<string> {
    return this.#logs
  }

  /** Of all collections that ever were. */
  get names(): readonly string[] {
    return this.#names
  }

  /** Manifests that may go, oldest first within each collection. */
  get old(): readonly OldManifest[] {
    return [...this.#old.values()]
  }

  /** Whether it may go still: nobody was found that names it. */
  isOld(manifest: OldManifest): boolean {
    return this.#old.has(manifest.key)
  }

  /** Says that a manifest is gone, so that the next pass does not look for it. */
  removed(manifest: OldManifest): void {
    this.#old.delete(manifest.key)
  }

  /**
   * Looks at everybody who names something. The order matters: a writer lets go of its pin, and an
   * ingest of its ledger, only after its manifest is there; so whoever is not seen in the first is
   * seen in the second.
   *
   * @throws INTEGRITY, FORMAT_VERSION where it cannot be known what is named: then nothing may go
   */
  async scan(): Promise<void> {
    const { state } = this.#environment
    const pinned = new Set<string>()
    for (const pin of await livePins(this.#environment, { sweep: this.#sweepPins })) {
      for (const digest of pin.blobs) this.#blobs.add(digest)
      for (const digest of pin.manifests) pinned.add(digest)
    }
    for await (const digest of ledgerBlobs(state)) this.#blobs.add(digest)
    const openActs = await this.#openActs()
    this.#names = await collectionNames(this.#environment)
    for (const name of this.#names) await this.#scanCollection(name, openActs)
    await this.#scanReplays()
    await this.#keepNamed(pinned)
    this.#passes++
  }

  /** Acts that have no outcome yet: whoever ends them looks for their manifests. */
  async #openActs(): Promise<ReadonlySet<string>> {
    const names = await this.#environment.locks.list('act-')
    return new Set(names.map((name) => name.slice('act-'.length)))
  }

  async #scanCollection(name: string, openActs: ReadonlySet<string>): Promise<void> {
    const manifests = new ManifestStore(this.#environment.store, name)
    const chain = new LogChain(this.#environment)
    const { isShared, store } = this.#environment
    // What was written after that moment, by the store's clock, stays where machines share it.
    const recentMs = (await store.nowMs()) - limits.gcSharedKeepMs
    const youngMs = isShared === true ? recentMs : Infinity
    let wasLately = true
    let [held, heldYoung] = [false, false]
    let isHead = true
    const old: OldManifest[] = []
    for await (const { version, modifiedMs } of manifests.listed()) {
      const key = manifestKey(name, version)
      if (this.#kept.has(key) || this.#old.has(key)) break
      const manifest = await manifests.find(version)
      if (manifest === undefined) continue
      const { commit, state } = manifest
      if (wasLately && state.dropped !== true) this.#logs.add(commit.collection)
      wasLately &&= modifiedMs > recentMs
      const inHistory = Date.parse(commit.committedAt) > this.#cutoffMs
      // The state that held at the cutoff is history too: it is what --as-of that time means.
      const heldAtCutoff = !inHistory && !held
      if (!inHistory) held = true
      const named = (await chain.holds(manifest, isHead)) || openActs.has(commit.actId)
      isHead = false
      // What a later pass finds was committed meanwhile.
      // A writer on another machine may stand on the state before a young one: its commit must
      // lose. And who looked up a head lately reads it, without a pin.
      const isYoung = modifiedMs > youngMs
      const wasHead = isYoung || !heldYoung
      if (!isYoung) heldYoung = true
      const isKept = inHistory || heldAtCutoff || named || (youngMs < Infinity && wasHead)
      if (isKept || this.#passes > 0) this.#keep(key, manifest)
      else old.push(await this.#oldManifest(key, manifest))
    }
    for (const manifest of old.reverse()) this.#old.set(manifest.key, manifest)
  }

  async #oldManifest(key: string, { digest, commit }: Manifest): Promise<OldManifest> {
    const info = await this.#environment.store.head(key)
    const bytes = info?.bytes ?? 0
    return { key, digest, collection: commit.name, version: commit.version, bytes }
  }

  #keep(key: string, manifest: Manifest): void {
    this.#kept.add(key)
    this.#old.delete(key)
    for (const digest of closureOf(manifest).keys()) this.#blobs.add(digest)
  }

  /** Replayed states are addressed from outside: nothing but `drop` removes them. */
  async #scanReplays(): Promise<void> {
    const { store } = this.#environment
    for await (const { key } of store.list('replays/')) {
      if (!key.endsWith('.json') || this.#kept.has(key)) continue
      const bytes = await read(store, key)
      if (bytes !== undefined) this.#keep(key, decodeManifest(bytes, key))
    }
  }

  async #keepNamed(pinned: ReadonlySet<string>): Promise<void> {
    const labelled = new Set<string>()
    for (const name of await collectionNames(this.#environment)) {
      const core = new CollectionCore({ environment: this.#environment, name })
      for (const { version } of await listSnapshots(core)) labelled.add(manifestKey(name, version))
    }
    for (const { key, digest } of this.old) {
      if (!labelled.has(key) && !pinned.has(digest)) continue
      const bytes = await read(this.#environment.store, key)
      if (bytes !== undefined) this.#keep(key, decodeManifest(bytes, key))
    }
  }
}

/**
 * The commits that a replay of an open write-ahead log compares: from the head back to the one
 * before the log's first open entry. Without them, log rows that lost to an append would come back.
 */
class LogChain {
  readonly #environment: Environment
  #head: Manifest | undefined
  #child: Manifest | undefined

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** Called for each manifest, newest first. */
  async holds(manifest: Manifest, isHead: boolean): Promise<boolean> {
    if (isHead) {
      const { state, isShared } = this.#environment
      const sent = await logLength(this.#environment, manifest.commit)
      const here = isShared === true ? await outboxLength(state, manifest.commit) : 0
      // A commit saw more than is to be seen from here: the rest lies on another machine.
      const seen = manifest.commit.log?.seen ?? 0
      const length = Math.max(sent, here, seen)
      if (length > foldedOf(manifest)) this.#head = manifest
      this.#child = this.#head
      return this.#head !== undefined
    }
    const head = this.#head
    const child = this.#child
    this.#child = manifest
    if (head === undefined || child === undefined) return false
    const follows =
      child.commit.version === manifest.commit.version + 1 &&
      manifest.commit.epoch === head.commit.epoch &&
      foldedOf(child) === foldedOf(head)
    if (!follows) this.#head = undefined
    return follows
  }
}

const foldedOf = (manifest: Manifest): number => manifest.commit.log?.folded ?? 0

async function read(store: Environment['store'], key: string): Promise<Uint8Array | undefined> {
  try {
    return await getBounded(store, key, limits.manifestBytesMax)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    throw error
  }
}
