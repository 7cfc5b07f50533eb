/** Who holds a lock; stands beside it for the message of whoever has to wait. */
export interface LockHolder {
  readonly host: string
  readonly pid: number
  readonly command: string
  /** ISO 8601, UTC. */
  readonly startedAt: string
}

export interface LockHandle {
  readonly name: string
  /** Idempotent. The kernel does the same at kill −9. */
  release(): Promise<void>
}

/**
 * Exclusive locks by name ([A-Za-z0-9._-]+) in one state folder, between processes and within one.
 */
export interface LockManager {
  /**
   * @param waitMs how long to wait for it; 0 tries once
   * @throws LOCKED naming the holder when the wait is over
   */
  acquire(name: string, waitMs: number): Promise<LockHandle>
  /** Whether anybody holds it now. */
  isHeld(name: string): Promise<boolean>
  holder(name: string): Promise<LockHolder | undefined>
  /** Names of all lock files present, held or not. */
  list(prefix: string): Promise<readonly string[]>
  /** Removes a free lock's files. */
  remove(name: string): Promise<void>
  close(): Promise<void>
}
