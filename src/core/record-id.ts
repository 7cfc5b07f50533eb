import { AkidbError } from '../errors/errors.ts'
import { limits } from './limits.ts'

/**
 * The id of a record: 1–512 bytes of UTF-8, as they came, never trimmed, folded or normalised;
 * integers become decimal digits, so 7 and "7" are one id.
 *
 * Throws BAD_INPUT for an empty or too long text, NUL, lone surrogates and numbers that are no
 * exact integers.
 */
export function parseRecordId(value: string | number | bigint): string {
  if (typeof value === 'bigint') return bounded(value.toString())
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return String(value)
    throw refused(
      Number.isInteger(value)
        ? 'is a number beyond 2⁵³, which is not exact'
        : 'is a number that is no integer',
      String(value),
    )
  }
  if (typeof value !== 'string') throw refused(`is a ${typeof value}`, String(value))
  return bounded(value)
}

/** Order of ids by their UTF-8 bytes: negative, 0 or positive. */
export function compareIds(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return byteRank(x) - byteRank(y)
  }
  return a.length - b.length
}

/**
 * UTF-16 sorts surrogates (characters of four bytes) below U+E000…U+FFFF (three bytes); UTF-8
 * sorts them above.
 */
const byteRank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x2800 : unit)

function bounded(id: string): string {
  if (id === '') throw refused('is empty', id)
  if (id.includes('\0')) throw refused('holds a NUL character', id)
  if (!id.isWellFormed()) throw refused('holds a lone surrogate', id)
  // A UTF-16 unit makes at most 3 bytes: only long ids are counted.
  if (id.length * 3 > limits.idBytesMax) {
    const bytes = id.length > limits.idBytesMax ? id.length : Buffer.byteLength(id, 'utf8')
    if (bytes > limits.idBytesMax) throw refused(`is longer than ${limits.idBytesMax} bytes`, id)
  }
  return id
}

function refused(why: string, id: string): AkidbError {
  const shown = id.length > 64 ? `${id.slice(0, 64)}…` : id
  return new AkidbError('BAD_INPUT', `The id ${JSON.stringify(shown)} ${why}.`, {
    hint: 'An id is a text of 1 to 512 bytes of UTF-8 without NUL, or an integer.',
    details: { reason: 'BAD_ID' },
  })
}
