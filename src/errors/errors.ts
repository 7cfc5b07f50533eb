import { type ErrorCode, exitCodeOf } from './exit-codes.ts'

/** What the operator needs beside the message: how to mend it, the facts, the foreign cause. */
export interface ErrorOptions {
  readonly hint?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/**
 * A failure that the operator can understand and act on. Everything else that is thrown is a bug.
 *
 * `code` never changes its meaning; `exitCode` follows from it by the one table in exit-codes.ts.
 */
export class AkidbError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AkidbError'
    this.code = code
    this.hint = options.hint
    this.details = options.details ?? {}
  }

  get exitCode(): number {
    return exitCodeOf(this.code)
  }
}

/** Vectors of one dimension met a collection of another. */
export class DimensionMismatchError extends AkidbError {
  constructor(collection: string, expected: number, found: number) {
    super(
      'DIMENSION_MISMATCH',
      `collection "${collection}" holds ${expected}-d vectors, got ${found}-d`,
      {
        hint: 'Embed with the same model, or create a new collection.',
        details: { collection, expected, found },
      },
    )
  }
}

/** Whether `error` is an AkidbError with one of these codes. */
export const hasCode = (error: unknown, ...codes: readonly ErrorCode[]): error is AkidbError =>
  error instanceof AkidbError && codes.includes(error.code)
