import type { Clock } from '../../core/clock.ts'

/**
 * Commits and log writes of this process, of all its stores: what was looked up before the last of
 * them is looked up again, however young it is.
 */
const changesOf = { commits: 0, all: 0 }

/** Which changes a value may not be older than: a write to a log moves no head. */
export type Changes = keyof typeof changesOf

/** Called after every commit. */
export const noteCommit = (): void => {
  changesOf.commits++
  changesOf.all++
}

/** How many commits of this process there were. */
export const commitsNoted = (): number => changesOf.commits

/** Called after every write to a write-ahead log. */
export const noteLogWrite = (): void => {
  changesOf.all++
}

interface Kept<T> {
  readonly value: T
  /** When the look began. */
  readonly atMs: number
  readonly changes: number
  /** Number of the look. */
  readonly turn: number
}

const LOOK_AHEAD = 4

/**
 * A value that may be some milliseconds old, but never older than a change made by this process.
 * One that is a quarter as old as it may be is looked up again in the background, so that somebody
 * who asks all the time never waits, also where a busy disk makes a look slow.
 */
export class Fresh<T> {
  readonly #maxAgeMs: () => number
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #changes: Changes
  #kept: Kept<T> | undefined
  #isLooking = false
  #turns = 0

  constructor(clock: Pick<Clock, 'nowMs'>, maxAgeMs: number | (() => number), changes: Changes) {
    this.#changes = changes
    this.#clock = clock
    this.#maxAgeMs = typeof maxAgeMs === 'number' ? () => maxAgeMs : maxAgeMs
  }

  /** What was found last, however old; undefined: nothing yet. */
  get last(): T | undefined {
    return this.#kept?.value
  }

  /** Looks now. Where that fails, what was found before is forgotten. */
  async renew(look: () => Promise<T>): Promise<T> {
    try {
      return await this.#look(look, this.#clock.nowMs())
    } catch (error) {
      this.#kept = undefined
      throw error
    }
  }

  async get(look: () => Promise<T>): Promise<T> {
    const now = this.#clock.nowMs()
    const kept = this.#kept
    const ageMs = kept === undefined ? Number.POSITIVE_INFINITY : now - kept.atMs
    const maxAgeMs = this.#maxAgeMs()
    if (kept?.changes !== changesOf[this.#changes] || ageMs >= maxAgeMs || ageMs < 0) {
      return await this.#look(look, now)
    }
    if (ageMs * LOOK_AHEAD >= maxAgeMs && !this.#isLooking) {
      this.#isLooking = true
      // Who asks when the value is too old is told what is wrong.
      void this.#look(look, now)
        .catch(() => undefined)
        .finally(() => {
          this.#isLooking = false
        })
    }
    return kept.value
  }

  /** Puts in what is known to have held at a moment since when this process changed nothing. */
  set(value: T, atMs: number = this.#clock.nowMs()): void {
    const [changes, turn] = [changesOf[this.#changes], ++this.#turns]
    this.#kept = { value, atMs, changes, turn }
  }

  async #look(look: () => Promise<T>, atMs: number): Promise<T> {
    const [before, turn] = [changesOf[this.#changes], ++this.#turns]
    const value = await look()
    // Another look may have begun later and be done already.
    if (this.#kept === undefined || this.#kept.turn < turn) {
      this.#kept = { value, atMs, changes: before, turn }
    }
    return value
  }
}
