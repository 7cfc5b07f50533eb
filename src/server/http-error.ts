import { stringifyJson } from '../core/json.ts'
import { AkidbError } from '../errors/errors.ts'
import type { ErrorCode } from '../errors/exit-codes.ts'

/** HTTP status of each error code. `docs/server.md` shows the same table; a test compares them. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  USAGE: 400,
  CONFIG_INVALID: 400,
  BAD_INPUT: 400,
  AUTH: 403,
  RETENTION: 403,
  NOT_FOUND: 404,
  EXISTS: 409,
  CONFLICT: 409,
  LIMIT: 413,
  DIMENSION_MISMATCH: 422,
  SCHEMA_MISMATCH: 422,
  LOCKED: 423,
  INTERNAL: 500,
  PARTIAL: 500,
  INTEGRITY: 500,
  SIGNATURE: 500,
  UNTRUSTED: 500,
  ROLLBACK: 500,
  AUDIT_BROKEN: 500,
  FORMAT_VERSION: 500,
  UNREACHABLE: 503,
  INTERRUPTED: 503,
  TERMINATED: 503,
  TIMEOUT: 504,
  NO_SPACE: 507,
}

/** Seconds after which a client that was turned away may come again. */
const RETRY_AFTER_S = '1'

/** A refusal whose HTTP status says more than its code does. */
export class HttpRefusal extends AkidbError {
  readonly status: number

  constructor(status: number, code: ErrorCode, message: string, hint?: string) {
    super(code, message, hint === undefined ? {} : { hint })
    this.status = status
  }
}

/** Too much is going on: 503 with Retry-After. */
export const busy = (message: string): HttpRefusal =>
  new HttpRefusal(503, 'LIMIT', message, 'Wait a moment and ask again.')

/** What a failed request is answered with. */
export interface ErrorAnswer {
  readonly status: number
  readonly code: ErrorCode
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

/** `{"error":{code,message,hint}}`; of a bug the client learns no more than that it is one. */
export function errorAnswer(error: unknown): ErrorAnswer {
  const known =
    error instanceof AkidbError
      ? error
      : new AkidbError('INTERNAL', 'the server failed on this request', {
          hint: 'This is a bug; the log file of the server says more.',
        })
  const { code, message, hint } = known
  const status = known instanceof HttpRefusal ? known.status : HTTP_STATUS[code]
  const body = stringifyJson({
    error: { code, message: message.toWellFormed(), ...(hint === undefined ? {} : { hint }) },
  })
  return { status, code, body, headers: status === 503 ? { 'retry-after': RETRY_AFTER_S } : {} }
}
