import { limits } from '../../core/limits.ts'

/** What can be wrong with a sealed store. Codes never change their meaning; each means exit 24. */
export const SEALED_PROBLEM_CODES = [
  /** A sealed version is gone. */
  'MISSING',
  /** A version is not the bytes that were sealed. */
  'ALTERED',
  /** Another version lies above or beside the sealed one. */
  'SHADOWED',
  /** A delete marker hides the sealed version. */
  'DELETED',
  /** Nothing locks it any more, though its retention has not ended. */
  'UNLOCKED',
  /** Its retention ends earlier, or holds less, than was sealed. */
  'SHORTENED',
  /** Its legal hold is gone. */
  'RELEASED',
  /** It is not encrypted, or under another key. */
  'REKEYED',
  /** The server's KMS does not have the key any more that it is encrypted under. */
  'UNREADABLE',
  /** No trusted key says that it was sealed. */
  'UNTRUSTED',
  /** The audit log in the bucket does not check out. */
  'AUDIT',
] as const
export type SealedProblemCode = (typeof SEALED_PROBLEM_CODES)[number]

export interface SealedProblem {
  readonly code: SealedProblemCode
  /** Below the target's prefix. */
  readonly key: string
  readonly message: string
}

/** Problems as they are found, at most limits.sealedProblemsMax; more are counted. */
export class SealedProblems {
  readonly #list: SealedProblem[] = []
  #left = 0

  add(code: SealedProblemCode, key: string, message: string): void {
    if (this.#list.length < limits.sealedProblemsMax) this.#list.push({ code, key, message })
    else this.#left++
  }

  get ok(): boolean {
    return this.#list.length === 0
  }

  get left(): number {
    return this.#left
  }

  get list(): readonly SealedProblem[] {
    return this.#list
  }
}
