import type { IndexBuilder } from '../../ann/vector-index.ts'
import type { WorkerPool } from '../../ann/worker-pool.ts'
import type { AuditActor } from '../../audit/entry.ts'
import type { AuditLog } from '../../audit/log.ts'
import type { Clock, RandomBytes } from '../../core/clock.ts'
import type { LockManager } from '../../storage/locks.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { Warning } from '../api/api.ts'
import type { Durability } from '../api/bucket-options.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { ResultCache } from './result-cache.ts'

/**
 * Everything that a store's engine touches outside itself. Tests pass memory, a fake clock and a
 * seed.
 */
export interface Environment {
  readonly mode: 'read' | 'write'
  readonly store: ObjectStore
  /** The state folder. */
  readonly state: ObjectStore
  readonly locks: LockManager
  /**
   * Machines that share nothing else change the store too: it lies in a bucket. What locks decide
   * in a folder is decided there by create-if-absent, epochs and time.
   */
  readonly isShared?: boolean
  /**
   * When single writes to a store that machines share are acknowledged: when they are in the bucket
   * (the default), or when they are in the state folder.
   */
  readonly durability?: Durability
  readonly clock: Clock
  readonly random: RandomBytes
  readonly actor: AuditActor
  readonly command: string
  readonly reason: string | undefined
  readonly lockWaitMs: number
  /** Where a reader keeps its pins; absent where it can write nowhere. A writer uses `store`. */
  readonly pinStore?: () => ObjectStore | undefined
  /**
   * How old a search's look at the head and the log may be; 0 looks every time. Other processes'
   * commits only.
   */
  readonly headAgeMaxMs?: number
  /** Whether events tell of other processes' commits; that age may then be more. */
  followed?: boolean
  readonly warn: (warning: Warning) => void
  /** Made at first use: a reader needs neither. */
  readonly audit: () => Promise<AuditLog>
  readonly builder: () => IndexBuilder
  /** Threads that search; absent: all searches run on the calling one. */
  readonly workers?: () => WorkerPool
  /** What open segments may take of memory; absent: whatever they need. */
  readonly memory?: MemoryBudget
  /** Answers of searches; absent: none are kept. */
  readonly results?: ResultCache
}

/** Random name of `bytes` bytes, hex. */
export const randomHex = (environment: Environment, bytes: number): string =>
  Buffer.from(environment.random(bytes)).toString('hex')

export const isoTime = (ms: number): string => new Date(ms).toISOString()
