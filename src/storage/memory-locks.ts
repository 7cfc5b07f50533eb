import type { Clock } from '../core/clock.ts'
import { checkLockName, lockedError } from './lock-errors.ts'
import type { LockHandle, LockHolder, LockManager } from './locks.ts'

const POLL_MS_MAX = 50

/** Locks of simulated processes that share one simulated machine. */
export interface MemoryLocks {
  /** The lock manager as one process sees it. */
  forProcess(process: string, holder: LockHolder): LockManager
  /**
   * Frees what a process holds, as the kernel does at kill −9. Its managers are dead then: code of
   * it that still runs acquires nothing. `forProcess` starts it anew.
   */
  releaseAll(process: string): void
}

interface Held {
  readonly process: string
  readonly holder: LockHolder
}

/** Deterministic: waiting goes through `clock` alone. */
export function createMemoryLocks(options: { readonly clock: Clock }): MemoryLocks {
  /** Every lock file that exists; undefined: not held. */
  const files = new Map<string, Held | undefined>()
  const managers = new Map<string, ProcessLocks[]>()
  return {
    forProcess: (process, holder) => {
      const manager = new ProcessLocks({ files, clock: options.clock, process, holder })
      managers.set(process, [...(managers.get(process) ?? []), manager])
      return manager
    },
    releaseAll: (process) => {
      for (const manager of managers.get(process) ?? []) manager.kill()
      managers.delete(process)
      for (const [name, held] of files) if (held?.process === process) files.set(name, undefined)
    },
  }
}

interface ProcessLocksOptions extends Held {
  readonly files: Map<string, Held | undefined>
  readonly clock: Clock
}

class ProcessLocks implements LockManager {
  readonly #files: Map<string, Held | undefined>
  readonly #clock: Clock
  readonly #process: string
  readonly #holder: LockHolder
  readonly #handles = new Set<LockHandle>()
  #dead = false

  constructor(options: ProcessLocksOptions) {
    this.#files = options.files
    this.#clock = options.clock
    this.#process = options.process
    this.#holder = options.holder
  }

  kill(): void {
    this.#dead = true
  }

  async acquire(name: string, waitMs: number): Promise<LockHandle> {
    checkLockName(name)
    const endMs = this.#clock.nowMs() + waitMs
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, POLL_MS_MAX)) {
      if (this.#dead) throw new Error(`the process "${this.#process}" is dead`)
      const held = this.#files.get(name)
      if (held === undefined) return this.#hold(name)
      const leftMs = endMs - this.#clock.nowMs()
      if (leftMs <= 0) throw lockedError(name, held.holder, { waitedMs: waitMs })
      await this.#clock.sleep(Math.min(pauseMs, leftMs))
    }
  }

  async isHeld(name: string): Promise<boolean> {
    return this.#files.get(name) !== undefined
  }

  async holder(name: string): Promise<LockHolder | undefined> {
    return this.#files.get(name)?.holder
  }

  async list(prefix: string): Promise<readonly string[]> {
    return [...this.#files.keys()].filter((name) => name.startsWith(prefix)).sort()
  }

  async remove(name: string): Promise<void> {
    const held = this.#files.get(name)
    if (held !== undefined) throw lockedError(name, held.holder, { waitedMs: 0 })
    this.#files.delete(name)
  }

  async close(): Promise<void> {
    for (const handle of [...this.#handles]) await handle.release()
  }

  #hold(name: string): LockHandle {
    const held: Held = { process: this.#process, holder: this.#holder }
    this.#files.set(name, held)
    const handle: LockHandle = {
      name,
      release: async () => {
        this.#handles.delete(handle)
        // After kill −9 another process may hold it: that one is not ours to free.
        if (this.#files.get(name) === held) this.#files.set(name, undefined)
      },
    }
    this.#handles.add(handle)
    return handle
  }
}
