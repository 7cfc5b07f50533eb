import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'

/** Something that takes memory and can give it up: it is made anew when it is needed again. */
export interface Holder {
  /** Whose it is: a collection. */
  readonly owner: object
  /** Lets go of it. Whoever uses it at this moment may finish. */
  evict(): void
}

interface Holding {
  readonly bytes: number
  usedMs: number
}

/**
 * The memory that the open segments of one store may take together. What was used longest ago gives
 * way to what is needed now. It counts; it measures nothing.
 */
export class MemoryBudget {
  /** All that may be taken. */
  readonly bytes: number
  readonly #clock: Pick<Clock, 'nowMs'>
  /** In the order of use, the latest last. */
  readonly #holdings = new Map<Holder, Holding>()
  #used = 0
  #changes = 0

  constructor(bytes: number, clock: Pick<Clock, 'nowMs'>) {
    this.bytes = bytes
    this.#clock = clock
  }

  get used(): number {
    return this.#used
  }

  /** Grows whenever something is taken or given up. */
  get changes(): number {
    return this.#changes
  }

  /** Bytes that other owners hold and used lately: plans leave them alone. */
  heldByOthers(owner: object): number {
    const since = this.#clock.nowMs() - limits.memoryIdleMs
    let bytes = 0
    for (const [holder, holding] of this.#holdings) {
      if (holder.owner !== owner && holding.usedMs > since) bytes += holding.bytes
    }
    return bytes
  }

  /** Bytes that an owner holds. */
  heldBy(owner: object): number {
    let held = 0
    for (const [holder, { bytes }] of this.#holdings) if (holder.owner === owner) held += bytes
    return held
  }

  /** Makes room and takes it; in place of what the holder had before. */
  take(holder: Holder, bytes: number): void {
    this.#drop(holder)
    this.makeRoom(bytes)
    this.#holdings.set(holder, { bytes, usedMs: this.#clock.nowMs() })
    this.#used += bytes
    this.#changes++
  }

  /** Has what was used longest ago give up its memory, until so much is free or nothing is left. */
  makeRoom(bytes: number): void {
    for (const holder of [...this.#holdings.keys()]) {
      if (this.#used + bytes <= this.bytes) return
      this.#drop(holder)
      holder.evict()
    }
  }

  /** It is used now. */
  touch(holder: Holder): void {
    const holding = this.#holdings.get(holder)
    if (holding === undefined) return
    holding.usedMs = this.#clock.nowMs()
    this.#holdings.delete(holder)
    this.#holdings.set(holder, holding)
  }

  /** It holds nothing any more. */
  release(holder: Holder): void {
    this.#drop(holder)
  }

  #drop(holder: Holder): void {
    const holding = this.#holdings.get(holder)
    if (holding === undefined) return
    this.#holdings.delete(holder)
    this.#used -= holding.bytes
    this.#changes++
  }
}

/** Share of the machine's memory, or of the container's, that a store takes unless told. */
const DEFAULT_SHARE = 0.5

/**
 * The budget where none is given: half of the machine's memory or of what the container may use.
 *
 * @param machine     bytes of the machine
 * @param constrained bytes that the container may use; 0, or more than the machine has: no limit
 */
export const defaultMemoryBytes = (machine: number, constrained: number): number => {
  const limited = constrained > 0 && constrained < machine ? constrained : machine
  return Math.max(limits.memoryBytesMin, Math.floor(limited * DEFAULT_SHARE))
}
