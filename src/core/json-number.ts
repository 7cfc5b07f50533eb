/**
 * A number token: where it ends, its nearest f64 (±Infinity beyond), and whether it was written
 * as an integer.
 */
export interface NumberToken {
  end: number
  value: number
  integer: boolean
}

// One object for all calls: a vector of 16,384 components must not make as many objects.
const token: NumberToken = { end: 0, value: 0, integer: false }

/** Powers of ten that f64 holds exactly. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

/**
 * The JSON number (RFC 8259 §6) at `start` of some ASCII bytes; undefined where none is well
 * formed there.
 *
 * The result is valid until the next call. Up to 15 digits and |exponent| ≤ 22 the value is one
 * correctly rounded operation on two exact numbers (Clinger, "How to Read Floating Point Numbers
 * Accurately", 1990); else it is what the language reads.
 */
export function scanNumber(bytes: Buffer, start: number, end: number): NumberToken | undefined {
  let at = start
  const negative = bytes[at] === 0x2d
  if (negative) at++
  const first = at < end ? (bytes[at] as number) - 0x30 : -1
  if (first < 0 || first > 9) return undefined
  let mantissa = first
  let digits = 1
  at++
  if (first !== 0) {
    for (let digit = 0; at < end; at++, digits++) {
      digit = (bytes[at] as number) - 0x30
      if (digit < 0 || digit > 9) break
      mantissa = mantissa * 10 + digit
    }
  }
  let exponent = 0
  let integer = true
  if (at < end && bytes[at] === 0x2e) {
    integer = false
    const fractionAt = ++at
    for (let digit = 0; at < end; at++, digits++) {
      digit = (bytes[at] as number) - 0x30
      if (digit < 0 || digit > 9) break
      mantissa = mantissa * 10 + digit
    }
    if (at === fractionAt) return undefined
    exponent = fractionAt - at
  }
  if (at < end && ((bytes[at] as number) | 0x20) === 0x65) {
    integer = false
    const power = scanExponent(bytes, at + 1, end)
    if (power === undefined) return undefined
    exponent += power.value
    at = power.end
  }
  token.end = at
  token.integer = integer
  if (digits <= 15 && exponent >= -22 && exponent <= 22) {
    const value =
      exponent < 0
        ? mantissa / (POWERS[-exponent] as number)
        : mantissa * (POWERS[exponent] as number)
    token.value = negative ? -value : value
  } else {
    token.value = Number(bytes.toString('latin1', start, at))
  }
  return token
}

function scanExponent(
  bytes: Buffer,
  start: number,
  end: number,
): { value: number; end: number } | undefined {
  let at = start
  const sign = at < end ? bytes[at] : 0
  if (sign === 0x2b || sign === 0x2d) at++
  const digitsAt = at
  let value = 0
  for (; at < end; at++) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) break
    // A longer exponent means 0 or ±Infinity either way.
    if (value < 100_000) value = value * 10 + digit
  }
  if (at === digitsAt) return undefined
  return { value: sign === 0x2d ? -value : value, end: at }
}

/** Shorter arrays are read as fast one by one. */
const PLAIN_BYTES_MIN = 64
const CLOSE_BRACKET = 0x5d
/** Bytes of numbers, and what may stand between them. */
const IN_NUMBERS = Uint8Array.from({ length: 256 }, (_, byte) =>
  '0123456789+-.eE, \n\r\t'.includes(String.fromCharCode(byte)) ? 1 : 0,
)

/** Numbers of an array, and the place behind it. */
export interface PlainNumbers {
  readonly values: number[]
  readonly end: number
}

/**
 * An array of numbers alone that starts with the bracket at `start`, by the language's own reader,
 * which takes half the time; undefined for any other array, a short or empty one, and one
 * with a fault. Values are the nearest f64, ±Infinity beyond.
 */
export function plainNumbers(bytes: Buffer, start: number): PlainNumbers | undefined {
  let end = start + 1
  // Looked at before it is copied: the next bracket may close another array, far away.
  while (IN_NUMBERS[bytes[end] as number] === 1) end++
  if (bytes[end++] !== CLOSE_BRACKET || end - start < PLAIN_BYTES_MIN) return undefined
  try {
    const values = JSON.parse(bytes.toString('latin1', start, end)) as number[]
    return values.length === 0 ? undefined : { values, end }
  } catch {
    // The other reader tells what is wrong, and where.
    return undefined
  }
}

/** Whether the language reads a number as this folder does, which keeps integers exact. */
export const isPlainNumber = (value: unknown): value is number =>
  typeof value === 'number' &&
  (Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value))
