/**
 * Every error code and the exit code of the process that fails with it. Codes never change meaning.
 */
export const EXIT_CODES = {
  INTERNAL: 1,
  USAGE: 2,
  CONFIG_INVALID: 2,
  PARTIAL: 20,
  NOT_FOUND: 21,
  LOCKED: 22,
  CONFLICT: 22,
  EXISTS: 22,
  AUTH: 23,
  RETENTION: 23,
  INTEGRITY: 24,
  SIGNATURE: 24,
  UNTRUSTED: 24,
  ROLLBACK: 24,
  AUDIT_BROKEN: 24,
  UNREACHABLE: 25,
  TIMEOUT: 25,
  DIMENSION_MISMATCH: 26,
  SCHEMA_MISMATCH: 26,
  FORMAT_VERSION: 26,
  BAD_INPUT: 26,
  NO_SPACE: 27,
  LIMIT: 27,
  INTERRUPTED: 130,
  TERMINATED: 143,
} as const

export type ErrorCode = keyof typeof EXIT_CODES

export const exitCodeOf = (code: ErrorCode): number => EXIT_CODES[code]
