import type { Clock } from '../core/clock.ts'

/**
 * Commits and log writes of this process, of all its stores: what was looked up before the last of
 * them is looked up again, however young it is.
 */
let changes = 0

/** Called after every commit and every write to a write-ahead log. */
export const noteChange = (): void => {
  changes++
}

/**
 * A value that may be some milliseconds old, but never older than a change made by this process.
 */
export class Fresh<T> {
  readonly #maxAgeMs: number
  readonly #clock: Pick<Clock, 'nowMs'>
  #kept: { readonly value: T; readonly atMs: number; readonly changes: number } | undefined

  constructor(clock: Pick<Clock, 'nowMs'>, maxAgeMs: number) {
    this.#clock = clock
    this.#maxAgeMs = maxAgeMs
  }

  async get(look: () => Promise<T>): Promise<T> {
    const now = this.#clock.nowMs()
    const kept = this.#kept
    const young = kept !== undefined && now - kept.atMs < this.#maxAgeMs && now >= kept.atMs
    if (young && kept.changes === changes) return kept.value
    const before = changes
    const value = await look()
    this.#kept = { value, atMs: now, changes: before }
    return value
  }
}
