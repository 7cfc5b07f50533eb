import { AkidbError } from '../errors/errors.ts'

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  y: 365 * 86_400_000,
}

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/**
 * `90s`, `10m`, `1.5h`, `7d`, `7y` → milliseconds (a year is 365 days); `0` needs no unit. USAGE
 * otherwise.
 */
export function parseDurationMs(text: string, what: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|w|y)$/.exec(text.trim())
  const unit = DURATION_UNITS_MS[match?.[2] ?? '']
  if (text.trim() === '0') return 0
  if (match === null || unit === undefined) {
    throw badValue(what, text, 'Write a duration with a unit: 500ms, 90s, 10m, 12h, 7d, 7y.')
  }
  return inRange(Math.round(Number(match[1]) * unit), what, text)
}

/**
 * `64MiB`, `4.7GB`, `1000` → bytes. Units of 1,000 (kB, MB, GB, TB) and of 1,024 (KiB, …), in any
 * case.
 */
export function parseSizeBytes(text: string, what: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s?([kmgt]?i?b)?$/i.exec(text.trim())
  const unit = SIZE_UNITS_BYTES[(match?.[2] ?? 'b').toLowerCase()]
  if (match === null || unit === undefined) {
    throw badValue(what, text, 'Write a size such as 64MiB or 4.7GB.')
  }
  return inRange(Math.round(Number(match[1]) * unit), what, text)
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)$/

/**
 * ISO 8601 with a zone (`2026-07-01T12:00:00Z`, `2026-07-01T14:00+02:00`) → milliseconds since
 * 1970.
 */
export function parseTimeMs(text: string, what: string): number {
  const match = TIME.exec(text.trim())
  const ms = match === null ? Number.NaN : Date.parse(text.trim().replace(' ', 'T').toUpperCase())
  const days =
    match === null ? 0 : new Date(Date.UTC(Number(match[1]), Number(match[2]), 0)).getUTCDate()
  if (match === null || Number.isNaN(ms) || Number(match[3]) > days) {
    throw badValue(what, text, 'Write a time as ISO 8601 with a zone: 2026-07-01T12:00:00Z.')
  }
  return ms
}

/** A whole number between `min` and `max`, written in decimal digits. USAGE otherwise. */
export function parseCount(
  text: string,
  what: string,
  range: { min: number; max: number },
): number {
  const value = /^\d{1,16}$/.test(text.trim()) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value) || value < range.min || value > range.max) {
    throw badValue(what, text, `Write a whole number from ${range.min} to ${range.max}.`)
  }
  return value
}

/** One of a few words. USAGE naming them otherwise. */
export function parseChoice<T extends string>(
  text: string,
  what: string,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === text)
  if (found === undefined) throw badValue(what, text, `Choose one of: ${choices.join(', ')}.`)
  return found
}

/** A price: a decimal number from 0. USAGE otherwise. */
export function parsePrice(text: string, what: string): number {
  const value = /^\d{1,9}(\.\d{1,9})?$/.test(text.trim()) ? Number(text) : Number.NaN
  if (Number.isNaN(value)) throw badValue(what, text, 'Write a decimal number: 0.02.')
  return value
}

/** `--max-rejects`: a count, or a share such as `5%`. */
export function parseRejects(text: string, what: string): number | string {
  const share = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text.trim())
  if (share !== null && Number(share[1]) <= 100) return text.trim()
  if (share !== null) throw badValue(what, text, 'A share goes from 0% to 100%.')
  return parseCount(text, what, { min: 0, max: Number.MAX_SAFE_INTEGER })
}

/** USAGE: the value of an option cannot be used. */
export const badValue = (what: string, text: string, hint: string): AkidbError =>
  new AkidbError('USAGE', `${what}: cannot use "${text.slice(0, 200)}"`, { hint })

const inRange = (value: number, what: string, text: string): number => {
  if (Number.isSafeInteger(value)) return value
  throw badValue(what, text, 'The value is too large.')
}
