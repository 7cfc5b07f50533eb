const LN2_HIGH = 0.6931471803691238
const LN2_LOW = 1.9082149292705877e-10
const TWO_POW_54 = 2 ** 54
/** The high word of 2^20 · √2/2's mantissa step: fractions from here on are halved. */
const SQRT_STEP = 0x95f64

const L1 = 0.6666666666666735
const L2 = 0.3999999999940942
const L3 = 0.2857142874366239
const L4 = 0.22222198432149784
const L5 = 0.1818357216161805
const L6 = 0.15313837699209373
const L7 = 0.14798198605116586

const view = new DataView(new ArrayBuffer(8))

/**
 * The natural logarithm with the same bits on every machine and runtime: it uses only the
 * operations that IEEE 754 rounds exactly. The error is below one unit in the last place.
 *
 * log(0) is −Infinity, log(Infinity) is Infinity, and a negative number or NaN gives NaN.
 * Source: fdlibm 5.3, e_log.c (Sun Microsystems).
 */
export function log(x: number): number {
  if (x === 0) return -Infinity
  if (!(x > 0)) return NaN
  if (x === Infinity) return x
  const { fraction, exponent } = split(x)
  const f = fraction - 1
  const k = exponent
  if (Math.abs(f) < 2 ** -20) return nearOne(f, k)

  const s = f / (2 + f)
  const z = s * s
  const w = z * z
  const even = w * (L2 + w * (L4 + w * L6))
  const odd = z * (L1 + w * (L3 + w * (L5 + w * L7)))
  const r = odd + even
  if (isMiddle(fraction)) {
    const half = 0.5 * f * f
    if (k === 0) return f - (half - s * (half + r))
    return k * LN2_HIGH - (half - (s * (half + r) + k * LN2_LOW) - f)
  }
  if (k === 0) return f - s * (f - r)
  return k * LN2_HIGH - (s * (f - r) - k * LN2_LOW - f)
}

/** x = fraction · 2^exponent with √2/2 < fraction < √2; x is positive and finite. */
function split(x: number): { fraction: number; exponent: number } {
  const isSubnormal = x < 2 ** -1022
  view.setFloat64(0, isSubnormal ? x * TWO_POW_54 : x)
  const high = view.getUint32(0)
  const mantissa = high & 0xfffff
  const carry = (mantissa + SQRT_STEP) & 0x100000
  view.setUint32(0, mantissa | (carry ^ 0x3ff00000))
  const exponent = (high >>> 20) - 1023 + (carry >>> 20) - (isSubnormal ? 54 : 0)
  return { fraction: view.getFloat64(0), exponent }
}

/** log((1 + f) · 2^k) for |f| < 2^−20. */
function nearOne(f: number, k: number): number {
  if (f === 0) return k === 0 ? 0 : k * LN2_HIGH + k * LN2_LOW
  const r = f * f * (0.5 - 0.3333333333333333 * f)
  return k === 0 ? f - r : k * LN2_HIGH - (r - k * LN2_LOW - f)
}

/** Whether the source takes its more exact form: mantissa words of 0x6147a…0x6b851. */
function isMiddle(fraction: number): boolean {
  view.setFloat64(0, fraction)
  const mantissa = view.getUint32(0) & 0xfffff
  return mantissa > 0x6147a && mantissa < 0x6b851
}
