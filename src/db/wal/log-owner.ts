import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { LockHandle } from '../../storage/locks.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { mergeSegments } from '../rebuild/merge.ts'
import type { Environment } from '../states/environment.ts'
import { isLogOpen } from './log-file.ts'
import { warnOf } from './log-groups.ts'
import { outboxLogs } from './outbox.ts'
import type { RowsAtRisk } from './outbox-writer.ts'
import { OwnedLog } from './owned-log.ts'

const ignore = (): void => undefined

/** A log that is being taken over, or was. */
interface Taken {
  /** Of its collection. */
  readonly name: string
  readonly log: Promise<OwnedLog>
  /** Absent until then. */
  open?: OwnedLog
}

/** Whether rows of a log wait to be committed that this process can get at. */
export async function hasOpenRows(
  { environment, name }: CollectionCore,
  head: Manifest,
): Promise<boolean> {
  if (await isLogOpen(environment, head)) return true
  return environment.isShared === true && (await outboxLogs(environment.state, name)).length > 0
}

export const OWNER_LOCK = 'owner'
/** A dirty log is committed after this long. */
export const FOLD_INTERVAL_MS = 60_000
/** A short command that owns the log is waited for; a server is named without much delay. */
export const OWNER_WAIT_MAX_MS = 2_000

/**
 * The one process that takes single writes of a store. It holds `owner.db` while it lives; every
 * collection that it writes to gets a new epoch first.
 */
export class LogOwner {
  readonly #environment: Environment
  readonly #logs = new Map<string, Taken>()
  readonly #lock: LockHandle
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #maintaining: Promise<void> | undefined
  /** Collections that others changed; their merges are looked at when what is under way is done. */
  readonly #changed = new Set<CollectionCore>()

  private constructor(environment: Environment, lock: LockHandle) {
    this.#environment = environment
    this.#lock = lock
  }

  /** @throws LOCKED naming the owner where there is another */
  static async start(
    environment: Environment,
    options: { readonly timer: boolean; readonly waitMs?: number },
  ): Promise<LogOwner> {
    const lock = await environment.locks.acquire(OWNER_LOCK, options.waitMs ?? 0)
    const owner = new LogOwner(environment, lock)
    if (options.timer) owner.#startTimer()
    return owner
  }

  /** The log of a collection, taken over at its first use. */
  log(core: CollectionCore, head: Manifest): Promise<OwnedLog> {
    const id = head.commit.collection
    const known = this.#logs.get(id)
    if (known !== undefined && known.open?.isEnded !== true) return known.log
    const taken: Taken = { name: core.name, log: this.#take(core, id) }
    this.#logs.set(id, taken)
    taken.log.then(
      (open) => {
        taken.open = open
      },
      () => this.#logs.delete(id),
    )
    return taken.log
  }

  /** A collection that had this name before ends first: its log tells of its own rows. */
  async #take(core: CollectionCore, id: string): Promise<OwnedLog> {
    const former = [...this.#logs].filter(([, { name }]) => name === core.name)
    for (const [formerId] of former) await this.forget(formerId)
    return await OwnedLog.take(core, id)
  }

  /** The log of a collection that this process writes to, if it does. */
  async open(collectionId: string): Promise<OwnedLog | undefined> {
    // Who wrote is told where a takeover failed; who reads has the files.
    return await this.#logs.get(collectionId)?.log.catch(() => undefined)
  }

  /**
   * Commits everything that is acknowledged: one log that fails keeps no other from it. @throws the
   * first failure
   */
  async fold(): Promise<void> {
    const failures: unknown[] = []
    for (const [id, taken] of [...this.#logs]) {
      try {
        if ((await (await taken.log).fold()) === 'gone') this.#logs.delete(id)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  /**
   * Commits what the log of one collection holds, be it a former owner's.
   *
   * @throws CONFLICT where another process took the log over and has not committed it yet
   */
  async flush(core: CollectionCore): Promise<void> {
    const head = await core.head()
    const known = await this.open(head.commit.collection)
    if (known === undefined && !(await hasOpenRows(core, head))) return
    const result = await (known ?? (await this.log(core, head))).fold()
    if (result !== 'replaced' || !(await isLogOpen(core.environment, await core.head()))) return
    throw new AkidbError('CONFLICT', `another process is taking over the log of "${core.name}"`, {
      hint: 'Run the command again.',
    })
  }

  /** The collection was dropped: nothing is written to its log any more. */
  async forget(collectionId: string): Promise<void> {
    const log = await this.open(collectionId)
    if ((await log?.fold()) === 'gone') this.#logs.delete(collectionId)
  }

  /** Rows that are in logs only. */
  async rowsAtRisk(): Promise<number> {
    let rows = 0
    for (const { log } of this.#logs.values()) rows += (await log).openEntries
    return rows
  }

  /** Rows that were acknowledged here and are in no bucket yet, of each log; see Durability. */
  unsent(): RowsAtRisk[] {
    const found = [...this.#logs.values()].map(({ open }) => open?.atRisk)
    return found.filter((risk) => risk !== undefined)
  }

  /** See OwnedLog.knownHead. */
  knownHead(name: string): Manifest | undefined {
    // None is waited for: one that cannot be taken over now must not keep writes from the others.
    for (const { name: of, open } of this.#logs.values()) {
      const head = of === name ? open?.knownHead : undefined
      if (head !== undefined) return head
    }
    return undefined
  }

  /** Does what is due in the background: commits, then merges of small segments. */
  async maintain(): Promise<void> {
    await this.fold()
    for (const { log } of this.#logs.values()) {
      await mergeWhereDue((await log).core, this.#stopping.signal)
    }
  }

  /** Does the merges that another process's commit calls for, in the background. */
  mergeSoon(core: CollectionCore): void {
    this.#changed.add(core)
    this.#startRound(() => this.#mergeChanged())
  }

  /** Folds, then lets go of the lock. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping.abort()
    try {
      await this.#maintaining
      await this.fold()
    } finally {
      for (const { log } of this.#logs.values())
        await log.then((open) => open.close()).catch(ignore)
      await this.#lock.release()
    }
  }

  #startTimer(): void {
    this.#timer = setInterval(() => {
      // Merges may take long; meanwhile other machines must not take this log for a dead one's.
      if (this.#maintaining !== undefined) this.fold().catch((error: unknown) => this.#warn(error))
      else this.#startRound(() => this.maintain())
    }, FOLD_INTERVAL_MS)
    this.#timer.unref()
  }

  /** A round that takes longer than the interval is not overtaken by the next. */
  #startRound(round: () => Promise<void>): void {
    this.#maintaining ??= round()
      .catch((error: unknown) => this.#warn(error))
      .finally(() => {
        this.#maintaining = undefined
        const isMore = this.#changed.size > 0 && !this.#stopping.signal.aborted
        if (isMore) this.#startRound(() => this.#mergeChanged())
      })
  }

  async #mergeChanged(): Promise<void> {
    for (const core of this.#changed) {
      this.#changed.delete(core)
      try {
        await mergeWhereDue(core, this.#stopping.signal)
      } catch (error) {
        // It may have been dropped meanwhile.
        if (!hasCode(error, 'NOT_FOUND')) this.#warn(error, `cannot merge "${core.name}"`)
      }
    }
  }

  #warn(error: unknown, what = 'cannot commit the write-ahead log'): void {
    if (this.#stopping.signal.aborted) return
    warnOf(this.#environment, error, what)
  }
}

/** Does the merges that are due in a collection, within the limits for a server. */
async function mergeWhereDue(core: CollectionCore, signal: AbortSignal): Promise<void> {
  const { ownerMergesMax: mergesMax, ownerMergeBytesMax: inputBytesMax } = limits
  await mergeSegments(core, { kind: 'policy', mergesMax, inputBytesMax, signal })
}
