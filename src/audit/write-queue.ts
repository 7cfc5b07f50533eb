import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { LockHandle } from '../storage/locks.ts'
import type { AuditEntryInput } from './entry.ts'

/** What the queue does while it holds the lock. */
export interface LockedWork<C> {
  /** Always first. */
  refresh(): Promise<void>
  /** Returns the seq of the first. */
  append(entries: readonly AuditEntryInput[]): Promise<number>
  checkpoint(): Promise<C>
}

interface Waiting<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

interface WaitingAppend extends Waiting<number> {
  readonly entries: readonly AuditEntryInput[]
}

/** Group commit: whatever waits for the lock goes through it together, the appends as one write. */
export class WriteQueue<C> {
  readonly #lock: () => Promise<LockHandle>
  readonly #work: LockedWork<C>
  #appends: WaitingAppend[] = []
  #checkpoints: Waiting<C>[] = []
  #refreshes: Waiting<void>[] = []
  #waitingEntries = 0
  #running = false

  constructor(lock: () => Promise<LockHandle>, work: LockedWork<C>) {
    this.#lock = lock
    this.#work = work
  }

  /** @throws LIMIT where limits.auditQueueMax entries would wait */
  async append(entries: readonly AuditEntryInput[]): Promise<number> {
    const count = this.#waitingEntries + entries.length
    if (count > limits.auditQueueMax) {
      throw new AkidbError('LIMIT', `${count} audit entries wait at once`, {
        hint: `limits.auditQueueMax is ${limits.auditQueueMax}: wait for the ones before.`,
        details: { limit: 'auditQueueMax' },
      })
    }
    this.#waitingEntries = count
    return await new Promise<number>((resolve, reject) => {
      this.#appends.push({ entries, resolve, reject })
      this.#start()
    })
  }

  /** Signs after the appends that wait now. */
  checkpoint(): Promise<C> {
    return new Promise<C>((resolve, reject) => {
      this.#checkpoints.push({ resolve, reject })
      this.#start()
    })
  }

  refresh(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#refreshes.push({ resolve, reject })
      this.#start()
    })
  }

  #start(): void {
    if (this.#running) return
    this.#running = true
    void this.#drain()
  }

  async #drain(): Promise<void> {
    while (this.#appends.length + this.#checkpoints.length + this.#refreshes.length > 0) {
      let handle: LockHandle | undefined
      let served: Waiting<never>[] = []
      try {
        handle = await this.#lock()
        // Only now: what came while this waited for the lock goes along.
        const [appends, checkpoints, refreshes] = [
          this.#appends,
          this.#checkpoints,
          this.#refreshes,
        ]
        served = [...appends, ...checkpoints, ...refreshes]
        this.#takeAll()
        await this.#work.refresh()
        for (const { resolve } of refreshes) resolve()
        if (appends.length > 0) await this.#appendAll(appends)
        if (checkpoints.length > 0) {
          const signed = await this.#work.checkpoint()
          for (const { resolve } of checkpoints) resolve(signed)
        }
      } catch (error) {
        if (handle === undefined) {
          served = [...this.#appends, ...this.#checkpoints, ...this.#refreshes]
          this.#takeAll()
        }
        for (const { reject } of served) reject(error)
      } finally {
        await handle?.release()
      }
    }
    this.#running = false
  }

  async #appendAll(appends: readonly WaitingAppend[]): Promise<void> {
    let seq = await this.#work.append(appends.flatMap(({ entries }) => entries))
    for (const { entries, resolve } of appends) {
      resolve(seq)
      seq += entries.length
    }
  }

  #takeAll(): void {
    this.#appends = []
    this.#checkpoints = []
    this.#refreshes = []
    this.#waitingEntries = 0
  }
}
