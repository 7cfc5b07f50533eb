import { AkidbError, hasCode } from '../errors/errors.ts'
import type {
  CheckResult,
  Collection,
  CollectionInfo,
  CreateOptions,
  GcResult,
  OpenOptions,
  StatusOptions,
  Store,
} from './api/api.ts'
import { checkOpenOptions } from './api/check-call.ts'
import { checkStore } from './check/check.ts'
import { repairStore } from './check/repair.ts'
import { CollectionCore } from './collection/collection-core.ts'
import { collectionInfo, manifestCount } from './collection/info.ts'
import {
  checkName,
  collectionNames,
  createCollection,
  dropCollection,
} from './collection/lifecycle.ts'
import { checkOutcomes, recoverActs } from './collection/recover.ts'
import { OpenCollection } from './collection.ts'
import { storeStatus } from './doctor/status.ts'
import { collectGarbage } from './gc/gc.ts'
import { logSource } from './log-view.ts'
import { type OpenEnvironment, openEnvironment } from './open/open-environment.ts'
import { checkPlace } from './open/place.ts'
import { placeOf } from './open/store-place.ts'
import { foreignIndexes } from './segment/hnswlib-cache.ts'
import { listReplays, parseReplayName, removeReplay, replayFolder } from './states/replays.ts'
import { withReserve } from './states/reserve.ts'
import { upgradeStore } from './upgrade.ts'
import { OwnerHost } from './wal/owner-host.ts'

/** Stores that this process has open, by folder and mode; a second openStore shares the first. */
const openStores = new Map<string, { store: Promise<OpenedStore>; users: number }>()

/**
 * Opens a store. In one process a second call for the same folder and mode shares the first store.
 *
 * @throws NOT_FOUND where there is none (initStore makes one), CONFLICT where it was moved or
 *   copied, AUDIT_BROKEN; USAGE and LIMIT for options that are none
 */
export async function openStore(options: OpenOptions): Promise<OpenedStore> {
  checkOpenOptions(options)
  const { mode, url, state = '', stateHome = '', durability = '', s3 } = options
  const key = [mode, placeOf(url), s3?.endpoint ?? '', state, stateHome, durability].join(' ')
  const known = openStores.get(key)
  const entry = known ?? { store: OpenedStore.open(options), users: 0 }
  entry.users++
  openStores.set(key, entry)
  try {
    const store = await entry.store
    return store.shared(async () => {
      entry.users--
      if (entry.users > 0) return
      openStores.delete(key)
      await store.end()
    })
  } catch (error) {
    openStores.delete(key)
    throw error
  }
}

/** A store with its collections, for the layers above; `Store` is what callers see. */
export class OpenedStore implements Store {
  readonly id: string
  readonly url: string
  readonly mode: 'read' | 'write'
  readonly stateFolder: string
  readonly environment: OpenEnvironment
  readonly #cores: Map<string, CollectionCore>
  readonly #host: OwnerHost
  readonly #release: (() => Promise<void>) | undefined
  #closed = false

  private constructor(
    environment: OpenEnvironment,
    host: OwnerHost,
    cores: Map<string, CollectionCore>,
    release?: () => Promise<void>,
  ) {
    this.environment = environment
    this.id = environment.file.id
    this.url = environment.store.url
    this.mode = environment.mode
    this.stateFolder = environment.stateFolder
    this.#host = host
    this.#cores = cores
    this.#release = release
  }

  /**
   * Starts what a run of searches will need, while other things are done: worker threads, and the
   * audit log where their entry goes there. A failure is that of the first use.
   */
  warm({ audit }: { readonly audit: boolean }): void {
    this.environment.workers?.().warm()
    if (audit) void this.environment.audit().catch(() => undefined)
  }

  static async open(options: OpenOptions): Promise<OpenedStore> {
    const environment = await openEnvironment(options)
    try {
      if (options.mode === 'write') {
        await checkPlace(environment)
        // In a bucket that is gc's: to ask takes requests.
        if (!environment.isShared) await environment.store.sweepTemporary()
        await environment.state.sweepTemporary()
        await withReserve(environment, () => recoverActs(environment))
        await checkOutcomes(environment)
      }
      const host = new OwnerHost(environment, () => store)
      const store: OpenedStore = new OpenedStore(environment, host, new Map())
      return store
    } catch (error) {
      await environment.close()
      throw error
    }
  }

  /** The same store for another caller, with a close of its own. */
  shared(release: () => Promise<void>): OpenedStore {
    return new OpenedStore(this.environment, this.#host, this.#cores, release)
  }

  async createCollection(name: string, options: CreateOptions = {}): Promise<Collection> {
    this.#checkWritable()
    const manifest = await createCollection(this.core(name), options)
    return new OpenCollection(this.core(name), manifest.commit.collection, this.#host)
  }

  /** @throws NOT_FOUND */
  async collection(name: string): Promise<OpenCollection> {
    return await this.withCore(name, async (core) => {
      const head = (await this.#host.knownHead(core)) ?? (await core.recentHead())
      return new OpenCollection(core, head.commit.collection, this.#host)
    })
  }

  async withCore<T>(name: string, work: (core: CollectionCore) => Promise<T>): Promise<T> {
    try {
      return await work(this.core(name))
    } catch (error) {
      // Names that are none come from outside, as many as somebody likes: they are not kept.
      if (hasCode(error, 'NOT_FOUND', 'BAD_INPUT')) this.#cores.delete(name)
      throw error
    }
  }

  /** A collection that may not exist yet: ingest makes it. */
  prospect(name: string): OpenCollection {
    if (parseReplayName(name) === undefined) checkName(name)
    return new OpenCollection(this.core(name), '', this.#host)
  }

  core(name: string): CollectionCore {
    const known = this.#cores.get(name)
    if (known !== undefined) return known
    const { environment } = this
    const foreign = foreignIndexes(environment.stateFolder)
    const replay = parseReplayName(name)
    const core: CollectionCore =
      replay === undefined
        ? new CollectionCore({
            environment,
            name,
            foreign,
            log: logSource(
              () => core,
              () => this.#host.current,
            ),
          })
        : new CollectionCore({
            environment: { ...environment, mode: 'read' },
            name,
            foreign,
            folder: replayFolder(replay),
          })
    this.#cores.set(name, core)
    return core
  }

  async list(options: { replays?: boolean } = {}): Promise<CollectionInfo[]> {
    const names =
      options.replays === true
        ? await listReplays(this.environment)
        : await collectionNames(this.environment)
    const found: CollectionInfo[] = []
    for (const name of names) {
      const head = await this.core(name).manifests.newest()
      if (head === undefined || head.state.dropped === true) continue
      found.push(await collectionInfo(this.core(name)))
    }
    return found
  }

  async drop(name: string, options: { id?: string } = {}): Promise<{ rows: number }> {
    this.#checkWritable()
    const core = this.core(name)
    const { collection } = (await core.head()).commit
    const id = options.id ?? collection
    // So that the states before the drop hold all that was acknowledged. A full disk must not keep
    // one from dropping.
    await this.#host.flushLog(core).catch(() => undefined)
    // By the manifest alone: what is damaged can be dropped too.
    const rows = manifestCount(await core.head())
    await withReserve(this.environment, async () => {
      if (parseReplayName(name) === undefined) await dropCollection(core, id)
      else await removeReplay(this.environment, name)
    })
    // Else a write of this process might still be taken for it.
    await this.#host.current?.forget(id).catch(() => undefined)
    await core.close()
    this.#cores.delete(name)
    return { rows }
  }

  check(options: Parameters<Store['check']>[0] = {}): Promise<CheckResult> {
    return checkStore(this.environment, options)
  }

  async repair(options: Parameters<Store['repair']>[0] = {}): ReturnType<Store['repair']> {
    if (options.dryRun !== true) this.#checkWritable()
    return repairStore(this.environment, options)
  }

  async gc(options: { keepMs?: number; dryRun?: boolean } = {}): Promise<GcResult> {
    if (options.dryRun !== true) this.#checkWritable()
    for (const core of this.#cores.values()) await core.unpinIdle()
    return await collectGarbage(this.environment, options)
  }

  upgrade(options: Parameters<Store['upgrade']>[0] = {}): ReturnType<Store['upgrade']> {
    return upgradeStore(this.environment, options)
  }

  status(options?: StatusOptions): Promise<Readonly<Record<string, unknown>>> {
    const memoryOf = (name: string) => this.core(name).memory
    return storeStatus(this.environment, { ...options, memoryOf })
  }

  /** Has whoever owns the write-ahead log commit what it holds. */
  async flush(name: string): Promise<void> {
    await this.#host.flushLog(this.core(name))
  }

  /**
   * Makes this process the log owner now, not at the first single write. @throws LOCKED naming the
   * owner
   */
  async own(): Promise<void> {
    this.#checkWritable()
    await this.#host.owner()
  }

  noteRemoteChange(name?: string): void {
    this.#host.remote.note(name)
  }

  noteFollowed(isFollowed: boolean): void {
    this.environment.followed = isFollowed
  }

  /** Rows that only the write-ahead log of this process holds. */
  async rowsAtRisk(): Promise<number> {
    return (await this.#host.current?.rowsAtRisk()) ?? 0
  }

  /** Rows acknowledged here that are not in the bucket yet; see Durability. */
  async unsent(): Promise<{ readonly rows: number; readonly sinceMs: number } | undefined> {
    if (this.environment.durability !== 'local') return undefined
    const all = this.#host.current?.unsent() ?? []
    const since = all.map(({ sinceMs }) => sinceMs).filter((ms) => ms > 0)
    const rows = all.reduce((sum, log) => sum + log.rows, 0)
    return { rows, sinceMs: since.length === 0 ? 0 : Math.min(...since) }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#release === undefined) await this.end()
    else await this.#release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Ends it for everybody: commits the log, signs a checkpoint, stops the workers. */
  async end(): Promise<void> {
    try {
      await this.#host.close()
      for (const core of this.#cores.values()) await core.close()
      if (this.environment.auditOpened()) await this.#checkpoint()
    } finally {
      await this.environment.close()
    }
  }

  /**
   * A reader that could not log anything has nothing to sign. On a full disk what was done stands,
   * and the next command signs it.
   */
  async #checkpoint(): Promise<void> {
    const { environment } = this
    try {
      const audit = await environment.audit().catch((error: unknown) => {
        if (this.mode === 'write') throw error
        return undefined
      })
      await audit?.checkpoint()
    } catch (error) {
      if (!hasCode(error, 'NO_SPACE')) throw error
      const message = `the end of the audit log is not signed yet: ${error.message}`
      environment.warn({ code: 'NOT_SIGNED', message })
    }
  }

  #checkWritable(): void {
    if (this.mode === 'write') return
    throw new AkidbError('AUTH', 'this store was opened for reading only', {
      hint: "Open it with mode 'write'.",
    })
  }
}
