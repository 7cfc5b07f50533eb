import { limits } from '../core/limits.ts'

/**
 * What can be wrong with a log. Codes never change their meaning; all but TORN and CLOCK mean exit
 * 24.
 */
export const AUDIT_PROBLEM_CODES = [
  /** Fewer entries than a checkpoint or a named position says, or a batch is missing. */
  'TRUNCATED',
  /** An entry, tile, checkpoint or key is not what the rest of the log says it is. */
  'ALTERED',
  /** Entries stand in each other's places. */
  'REORDERED',
  /** The chain holds, but another root was signed or named for the same size. */
  'FORKED',
  /** No checkpoint, or one that no trusted key signed. */
  'UNTRUSTED',
  /** In a bucket: it is encrypted under a key that the server's KMS does not have any more. */
  'UNREADABLE',
  /** A warning: the end, beyond everything signed and named, is no whole entry. */
  'TORN',
  /** In a bucket: another version or a delete marker lies above what was sealed. */
  'SHADOWED',
  /** A warning: the server's clock and the log's do not agree on when a checkpoint was anchored. */
  'CLOCK',
] as const
export type AuditProblemCode = (typeof AUDIT_PROBLEM_CODES)[number]

/** Codes that are no failure. */
const WARNINGS: ReadonlySet<AuditProblemCode> = new Set(['TORN', 'CLOCK'])

export interface AuditProblem {
  readonly code: AuditProblemCode
  /** The entry it is about; null where it is about none. */
  readonly seq: number | null
  readonly message: string
}

/**
 * Problems in the order they were found, each (code, seq) once, at most limits.auditProblemsMax of
 * them.
 */
export class ProblemList {
  readonly #problems: AuditProblem[] = []
  readonly #known = new Set<string>()
  /** Entries that are known to be damaged, at most limits.auditProblemsMax. */
  readonly #damaged = new Set<number>()
  #firstDamaged = Number.POSITIVE_INFINITY
  #failed = false
  #left = 0

  add(code: AuditProblemCode, seq: number | null, message: string): void {
    if (!WARNINGS.has(code)) this.#failed = true
    if (seq !== null && (code === 'ALTERED' || code === 'REORDERED')) this.#markDamaged(seq)
    const key = `${code} ${seq ?? message}`
    if (this.#known.has(key)) return
    if (this.#problems.length >= limits.auditProblemsMax) {
      this.#left += 1
      return
    }
    this.#known.add(key)
    this.#problems.push({ code, seq, message })
  }

  /** Nothing but warnings. */
  get ok(): boolean {
    return !this.#failed
  }

  /** Problems beyond the limit. */
  get left(): number {
    return this.#left
  }

  get list(): readonly AuditProblem[] {
    return this.#problems
  }

  /** Whether an entry below `size` is damaged. */
  isDamagedBelow(size: number): boolean {
    return this.#firstDamaged < size
  }

  /** Whether one of the entries from `start` to `end` − 1 is known to be damaged. */
  isDamagedWithin(start: number, end: number): boolean {
    if (end - start === 1) return this.#damaged.has(start)
    for (const seq of this.#damaged) if (seq >= start && seq < end) return true
    return false
  }

  #markDamaged(seq: number): void {
    this.#firstDamaged = Math.min(this.#firstDamaged, seq)
    if (this.#damaged.size < limits.auditProblemsMax) this.#damaged.add(seq)
  }
}
