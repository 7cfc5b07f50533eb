import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { type ErrorCode, exitCodeOf } from '../errors/exit-codes.ts'

/** One thing that is wrong with a bundle. */
export interface BundleProblem {
  readonly code: ErrorCode
  /** Name of the member that it is about. */
  readonly member: string
  /** Byte of the bundle's file where it was seen. */
  readonly offset: number
  readonly message: string
}

/**
 * Collects problems, at most limits.bundleProblemsMax; the last one then says that there are more.
 */
export class ProblemList {
  readonly #problems: BundleProblem[] = []

  get all(): readonly BundleProblem[] {
    return this.#problems
  }

  get none(): boolean {
    return this.#problems.length === 0
  }

  add(code: ErrorCode, member: string, offset: number, message: string): void {
    if (this.#problems.length >= limits.bundleProblemsMax) return
    if (this.#problems.length === limits.bundleProblemsMax - 1) {
      const more = 'there are more problems than are listed'
      this.#problems.push({ code: 'INTEGRITY', member, offset, message: more })
    } else {
      this.#problems.push({ code, member, offset, message })
    }
  }

  /** Adds what an AkidbError says; anything else is a bug and goes on up. */
  addError(error: unknown, member: string, offset: number): void {
    if (!(error instanceof AkidbError)) throw error
    this.add(error.code, member, offset, error.message)
  }
}

/**
 * The error of a failed verification: the code of its first problem, but exit 24 goes before every
 * other.
 */
export function problemsError(problems: readonly BundleProblem[], where: string): AkidbError {
  const worst = problems.find((problem) => exitCodeOf(problem.code) === 24) ?? problems[0]
  if (worst === undefined) throw new Error('no problems')
  const others = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  return new AkidbError(
    worst.code,
    `${where}: ${worst.member} at byte ${worst.offset}: ${worst.message}${others}`,
    { hint: HINTS[worst.code] ?? HINTS.INTEGRITY, details: { problems } },
  )
}

const HINTS: Partial<Record<ErrorCode, string>> & { readonly INTEGRITY: string } = {
  INTEGRITY: 'Carry the bundle over again, or ask its sender.',
  UNTRUSTED: 'Compare the fingerprint with its owner, then akidb keys trust <file>.',
  FORMAT_VERSION: 'Read it with a newer akidb.',
}
