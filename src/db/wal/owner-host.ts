import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import type { Environment } from '../states/environment.ts'
import { claimOf } from './claim.ts'
import { isLogOpen, openSinceMs } from './log-file.ts'
import { warnOf } from './log-groups.ts'
import { hasOpenRows, LogOwner, OWNER_WAIT_MAX_MS } from './log-owner.ts'
import { outboxLogs } from './outbox.ts'
import { settleOutbox } from './outbox-settle.ts'
import { askOwner, type OwnerCommand, type OwnerSocket, openOwnerSocket } from './owner-socket.ts'
import { RemoteChanges } from './remote-changes.ts'

/** How long a commit of the log by another process may take. */
const FLUSH_TIMEOUT_MS = 120_000
/** Pause before a process that becomes the log owner is asked again. */
const OWNER_POLL_MS = 20
/** Pause before it is looked again whether another machine has committed its log. */
const SHARED_POLL_MS = 1_000

/**
 * What is to come of rows that a server on another machine has not committed: waited for, then left
 * with a warning; waited for, then refused; or left at once.
 */
export type RowsElsewhere = 'wait' | 'must' | 'leave'

/** A store's environment, and where its log owner listens. */
export interface OwnerEnvironment extends Environment {
  readonly stateFolder: string
}

/** The collections of a store. */
interface Cores {
  core(name: string): CollectionCore
  withCore<T>(name: string, work: (core: CollectionCore) => Promise<T>): Promise<T>
}

/** Makes this process the log owner when it must be, and reaches another owner otherwise. */
export class OwnerHost {
  readonly #environment: OwnerEnvironment
  readonly #core: (name: string) => CollectionCore
  /** What other processes and machines changed. */
  readonly remote: RemoteChanges
  #owner: Promise<LogOwner> | undefined
  #socket: OwnerSocket | undefined
  current: LogOwner | undefined

  constructor(environment: OwnerEnvironment, store: () => Cores) {
    this.#environment = environment
    this.#core = (name) => store().core(name)
    this.remote = new RemoteChanges({
      clock: environment.clock,
      names: () => collectionNames(environment),
      look: (name) => store().withCore(name, (core) => core.lookAgain()),
      merge: (name) => this.current?.mergeSoon(this.#core(name)),
    })
  }

  /** @throws LOCKED naming the owner where another process of this machine is it */
  owner(waitMs = Math.min(this.#environment.lockWaitMs, OWNER_WAIT_MAX_MS)): Promise<LogOwner> {
    this.#owner ??= this.#become(waitMs).catch((error: unknown) => {
      this.#owner = undefined
      throw error
    })
    return this.#owner
  }

  /** See OwnedLog. */
  async knownHead(core: CollectionCore): Promise<Manifest | undefined> {
    if (this.#environment.durability !== 'local') return undefined
    return this.current?.knownHead(core.name)
  }

  async #become(waitMs: number): Promise<LogOwner> {
    const owner = await LogOwner.start(this.#environment, { timer: true, waitMs })
    const flush = async ({ collection }: OwnerCommand): Promise<void> => {
      const core = this.#core(collection)
      // Whoever asks waits for that machine himself.
      if (!(await this.#isElsewhere(core))) await owner.flush(core)
    }
    try {
      await this.#bringUnsent(owner)
      this.#socket = await openOwnerSocket(this.#environment.stateFolder, flush)
    } catch (error) {
      await owner.close()
      throw error
    }
    this.current = owner
    return owner
  }

  /** What was acknowledged in this state folder by an owner that was killed goes to the bucket. */
  async #bringUnsent(owner: LogOwner): Promise<void> {
    if (this.#environment.isShared !== true) return
    const names = new Set((await outboxLogs(this.#environment.state)).map(({ name }) => name))
    for (const name of names) {
      const core = this.#core(name)
      try {
        const head = await core.manifests.newest()
        if (head === undefined || head.state.dropped === true) await settleOutbox(core, head)
        else await owner.log(core, head)
      } catch (error) {
        // The other collections can be written all the same.
        if (!hasCode(error, 'CONFLICT', 'INTEGRITY', 'LIMIT', 'FORMAT_VERSION')) throw error
        warnOf(this.#environment, error, `rows of "${name}" stay in the state folder`)
      }
    }
  }

  /**
   * A log that nobody owns any more is taken over, so that what it acknowledged is committed too.
   *
   * @throws LOCKED for 'must'
   */
  async flushLog(core: CollectionCore, elsewhere: RowsElsewhere = 'wait'): Promise<void> {
    const { clock, lockWaitMs, mode, stateFolder } = this.#environment
    const endMs = clock.nowMs() + lockWaitMs
    while (this.#owner === undefined) {
      const command = { cmd: 'flush', collection: core.name } as const
      const asked = await askOwner(stateFolder, command, FLUSH_TIMEOUT_MS)
      const isDone = asked === 'done' && this.#environment.isShared !== true
      if (isDone || mode === 'read') return
      if (!(await hasOpenRows(core, await core.head()))) return
      if (await this.#isElsewhere(core)) return await this.#await(core, endMs, elsewhere)
      if (asked === 'done') return
      try {
        await this.owner(0)
      } catch (error) {
        // Another process becomes the owner at this moment, and soon answers.
        if (!hasCode(error, 'LOCKED') || clock.nowMs() >= endMs) throw error
        await clock.sleep(OWNER_POLL_MS)
      }
    }
    const owner = await this.owner()
    if (await this.#isElsewhere(core)) return await this.#await(core, endMs, elsewhere)
    await owner.flush(core)
  }

  /**
   * Whether a server on another machine owns the log: nobody can ask it to commit, and to take the
   * log over would stop it. One that left entries for longer than it may is dead.
   */
  async #isElsewhere(core: CollectionCore): Promise<boolean> {
    const { isShared, store } = this.#environment
    if (isShared !== true) return false
    const head = await core.head()
    const [claim, audit] = [await claimOf(core, head.commit.epoch), await this.#environment.audit()]
    // The owner that died here is known to be dead: nobody answered on its socket.
    if (claim?.logId === audit.logId) return false
    const sinceMs = await openSinceMs(this.#environment, head)
    return sinceMs !== undefined && sinceMs + limits.logOwnerQuietMs > (await store.nowMs())
  }

  /** Waits for its commit. */
  async #await(core: CollectionCore, endMs: number, elsewhere: RowsElsewhere): Promise<void> {
    if (elsewhere === 'leave') return
    const { clock, warn } = this.#environment
    while (clock.nowMs() < endMs) {
      if (!(await isLogOpen(this.#environment, await core.head()))) return
      await clock.sleep(SHARED_POLL_MS)
    }
    const claim = await claimOf(core, (await core.head()).commit.epoch)
    const where = claim === undefined ? 'another machine' : `${claim.host} (${claim.command})`
    const message = `the server on ${where} has rows of "${core.name}" that are not committed yet`
    if (elsewhere === 'wait') {
      warn({ code: 'LOG_OPEN', message: `${message}; it commits them once a minute` })
      return
    }
    throw new AkidbError('LOCKED', message, {
      hint: 'It commits them once a minute: run the command again, or with a longer --lock-wait.',
      details: { collection: core.name },
    })
  }

  async close(): Promise<void> {
    await this.remote.close()
    await this.#socket?.close()
    const owner = await this.#owner?.catch(() => undefined)
    await owner?.close()
    this.#owner = undefined
    this.current = undefined
  }
}
