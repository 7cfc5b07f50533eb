/**
 * IEEE 754 binary16 and back, bit for bit the same on every machine: integer operations only.
 * Every binary16 number is a float32 number, so that decoding is exact.
 */

const FLOAT16_MAX_BITS = 0x477fefff
const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)
/** The numbers of all patterns, made when they are first asked for: 256 KiB. */
let numbers: Float32Array | undefined

/**
 * Rounds float32 to binary16, to the nearest and to the even one of two that are as near.
 * Subnormal numbers of binary16 are kept; what is smaller becomes a zero of its sign. From 65,520
 * on numbers become infinite: `firstBeyondFloat16` finds them before.
 *
 * @returns binary16 patterns, shape as `values`
 */
export function encodeFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) out[i] = halfOf(values[i] as number)
  return out
}

/**
 * The float32 numbers of binary16 patterns, exactly.
 *
 * @param into where they go, shape as `patterns`, which may be the second half of its memory;
 *   absent: memory of their own
 */
export function decodeFloat16(
  patterns: Uint16Array,
  into: Float32Array = new Float32Array(patterns.length),
): Float32Array {
  numbers ??= Float32Array.from({ length: 65_536 }, (_, pattern) => floatOf(pattern))
  for (let i = 0; i < patterns.length; i++) into[i] = numbers[patterns[i] as number] as number
  return into
}

/** Each number as `encodeFloat16` and `decodeFloat16` give it back, in place. */
export function roundToFloat16(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = floatOf(halfOf(values[i] as number))
}

/** Index of the first number that is not finite in binary16 (65,520 and more, NaN), or −1. */
export function firstBeyondFloat16(values: Float32Array): number {
  const patterns = new Uint32Array(values.buffer, values.byteOffset, values.length)
  return patterns.findIndex((pattern) => (pattern & 0x7fffffff) > FLOAT16_MAX_BITS)
}

function halfOf(value: number): number {
  float[0] = value
  const pattern = bits[0] as number
  const sign = (pattern >>> 16) & 0x8000
  const magnitude = pattern & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude > FLOAT16_MAX_BITS) return sign | 0x7c00
  // Normal in binary16: rebias the exponent, then round the 13 bits that go.
  if (magnitude >= 0x38800000) return sign | roundedShift(magnitude - 0x38000000, 13)
  const exponent = magnitude >>> 23
  if (exponent < 102) return sign
  return sign | roundedShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent)
}

/** value ÷ 2^shift to the nearest whole number, ties to even; 1 ≤ shift ≤ 24. */
function roundedShift(value: number, shift: number): number {
  const half = 2 ** (shift - 1)
  const rest = value & (2 * half - 1)
  const whole = value >>> shift
  const up = rest > half || (rest === half && (whole & 1) === 1)
  return up ? whole + 1 : whole
}

function floatOf(pattern: number): number {
  const sign = (pattern & 0x8000) << 16
  const exponent = (pattern >>> 10) & 0x1f
  const fraction = pattern & 0x3ff
  if (exponent === 0) return (sign === 0 ? 1 : -1) * fraction * 2 ** -24
  const high = exponent === 31 ? 0x7f800000 : (exponent + 112) << 23
  bits[0] = sign | high | (fraction << 13)
  return float[0] as number
}
