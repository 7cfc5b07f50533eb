import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'

/** What is done about other processes' commits. */
export interface RemoteWork {
  readonly clock: Clock
  /** Names of all collections, where nobody knows which of them changed. */
  names(): Promise<readonly string[]>
  /** Looks at one head. @returns whether it is another than at the last look */
  look(name: string): Promise<boolean>
  /** Merges what is due, in the background. */
  merge(name: string): void
}

/**
 * Looks at collections that others are said to have changed: at the first word at once, at all that
 * come meanwhile after a pause, so that a flood of words costs a look at each collection every
 * limits.remoteLookPauseMs at most, and names that are none nothing but a look.
 *
 * Merges come when a collection has been quiet for a while: whoever commits to it does those that
 * are due himself, most of the time.
 */
export class RemoteChanges {
  readonly #work: RemoteWork
  readonly #stopping = new AbortController()
  /** To be looked at. */
  #names = new Set<string>()
  #isAllDue = false
  #allLookedMs = Number.NEGATIVE_INFINITY
  /** When each is to be merged. */
  readonly #merges = new Map<string, number>()
  #running: Promise<void> | undefined

  constructor(work: RemoteWork) {
    this.#work = work
  }

  /** @param name absent: something may have changed, and nobody knows what */
  note(name?: string): void {
    if (this.#stopping.signal.aborted) return
    const isFull = this.#names.size >= limits.remoteChangesMax
    if (name === undefined || (isFull && !this.#names.has(name))) this.#isAllDue = true
    else this.#names.add(name)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when nothing is under way any more. What waits is given up. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  get #isDone(): boolean {
    const isIdle = this.#names.size === 0 && !this.#isAllDue && this.#merges.size === 0
    return isIdle || this.#stopping.signal.aborted
  }

  async #run(): Promise<void> {
    const { clock } = this.#work
    const { signal } = this.#stopping
    while (!this.#isDone) {
      await this.#lookAtAllWhereDue()
      const names = this.#names
      this.#names = new Set()
      for (const name of names) await this.#look(name)
      this.#mergeWhereQuiet()
      if (this.#isDone) return
      await clock.sleep(limits.remoteLookPauseMs, signal).catch(() => undefined)
    }
  }

  async #lookAtAllWhereDue(): Promise<void> {
    const now = this.#work.clock.nowMs()
    const isEarly = now - this.#allLookedMs < limits.remoteListPauseMs && now >= this.#allLookedMs
    if (!this.#isAllDue || isEarly) return
    this.#isAllDue = false
    this.#allLookedMs = now
    // Searches that meet the same failure tell of it, and they look for themselves.
    const names = await this.#work.names().catch(() => [])
    for (const name of names) await this.#look(name)
  }

  async #look(name: string): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const isChanged = await this.#work.look(name).catch(() => false)
    if (isChanged) this.#merges.set(name, this.#work.clock.nowMs() + limits.remoteMergeQuietMs)
  }

  #mergeWhereQuiet(): void {
    const now = this.#work.clock.nowMs()
    for (const [name, atMs] of this.#merges) {
      // A clock that was set back makes nobody wait for it.
      if (now < atMs && atMs - now <= limits.remoteMergeQuietMs) continue
      this.#merges.delete(name)
      this.#work.merge(name)
    }
  }
}
