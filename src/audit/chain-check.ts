import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { NO_ENTRY, parseEntry } from './entry.ts'
import type { ProblemList } from './problems.ts'

/**
 * Walks the entries in the order they stand and checks that each names its place and the entry
 * before.
 */
export class ChainCheck {
  readonly #problems: ProblemList
  /** SHA-256 of the entry before; undefined where that one is damaged, misplaced or missing. */
  #before: string | undefined = NO_ENTRY
  /**
   * An entry that disagrees with the one before; the next link tells which of the two is to blame.
   */
  #suspect: number | undefined
  /** Place → the seq that the entry there gives, at most limits.auditProblemsMax. */
  readonly #misplaced = new Map<number, number>()
  /** The last entry that cannot be read: only the first of a run is reported. */
  #unreadable = -2

  constructor(problems: ProblemList) {
    this.#problems = problems
  }

  /**
   * Why the bytes cannot be the entry at `place`, given the one before; undefined where they can.
   */
  fault(place: number, bytes: Uint8Array): string | undefined {
    const entry = parseEntry(bytes)
    if (typeof entry === 'string') return entry
    if (entry.seq !== place) return `it says that it is entry ${entry.seq}`
    const holds = this.#before === undefined || entry.prev === this.#before
    return holds ? undefined : 'its prev is not the entry before'
  }

  /** Takes the entry at `place`. Returns whether it stands where it says. */
  take(place: number, bytes: Uint8Array): boolean {
    const entry = parseEntry(bytes)
    if (typeof entry === 'string') {
      this.#settle()
      if (this.#unreadable !== place - 1) {
        this.#problems.add('ALTERED', place, `entry ${place} is damaged: ${entry}`)
      }
      this.#unreadable = place
      this.#before = undefined
      return true
    }
    if (entry.seq !== place) {
      this.#settle()
      if (this.#misplaced.size < limits.auditProblemsMax) this.#misplaced.set(place, entry.seq)
      this.#before = undefined
      return false
    }
    this.#link(place, entry.prev)
    this.#before = sha256Hex(bytes)
    return true
  }

  /**
   * A batch is missing or cannot be split: the next entry is believed what it says of the one
   * before.
   */
  skip(): void {
    this.#settle()
    this.#before = undefined
  }

  /** Ends the walk: says which misplaced entries changed places and which follow a gap. */
  finish(): void {
    this.#settle()
    const shifts = new Set<number>()
    for (const [place, seq] of this.#misplaced) {
      if (this.#isInCycle(place)) {
        this.#problems.add('REORDERED', place, `entry ${seq} stands in the place of entry ${place}`)
      } else if (!shifts.has(seq - place)) {
        shifts.add(seq - place)
        const message = `in the place of entry ${place} stands what says it is entry ${seq}`
        this.#problems.add('ALTERED', place, message)
      }
    }
  }

  #link(place: number, prev: string): void {
    const holds = this.#before === undefined || prev === this.#before
    if (holds) {
      this.#settle()
    } else if (this.#suspect === undefined) {
      this.#suspect = place
    } else {
      // It disagrees with both of its neighbours.
      this.#blame(this.#suspect)
      this.#suspect = undefined
    }
  }

  /** The suspect and the entry after it agree, so that the one before the suspect is to blame. */
  #settle(): void {
    if (this.#suspect !== undefined) this.#blame(Math.max(0, this.#suspect - 1))
    this.#suspect = undefined
  }

  #blame(seq: number): void {
    const message = `entry ${seq} is not the one that its neighbours name`
    this.#problems.add('ALTERED', seq, message)
  }

  #isInCycle(place: number): boolean {
    let at = this.#misplaced.get(place)
    for (let steps = 0; at !== undefined && steps < this.#misplaced.size; steps++) {
      if (at === place) return true
      at = this.#misplaced.get(at)
    }
    return false
  }
}
