import type { JsonValue } from '../core/json.ts'
import { parseRecordId } from '../core/record-id.ts'
import { AkidbError } from '../errors/errors.ts'
import { Flaw } from './flaw.ts'

/** The id that a cell or member holds; a Flaw NO_ID or BAD_ID. */
export function checkId(value: JsonValue | undefined, column: string): string | Flaw {
  if (value === undefined || value === null || value === '') {
    return new Flaw('NO_ID', 'The row has no id.', { column })
  }
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') {
    const kind =
      value === true || value === false
        ? 'a boolean'
        : Array.isArray(value)
          ? 'a list'
          : 'an object'
    return new Flaw('BAD_ID', `The id is ${kind}; an id is a text or an integer.`, { column })
  }
  try {
    return parseRecordId(value)
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    return new Flaw('BAD_ID', error.message, { column })
  }
}
