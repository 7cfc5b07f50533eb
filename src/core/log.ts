const LN2_HIGH = 6.9314718036912381649e-1
const LN2_LOW = 1.90821492927058770002e-10

/**
 * Natural logarithm of a positive finite number, the same bits on every machine: only IEEE 754 additions,
 * multiplications and divisions in a fixed order. Within 1 unit in the last place of the true value.
 *
 * Source: the argument reduction and minimax polynomial published with FDLIBM's e_log (Sun Microsystems, 1993).
 */
export function naturalLog(x: number): number {
  if (!(x > 0) || x === Number.POSITIVE_INFINITY) throw new RangeError(`no logarithm of ${x}`)
  const { mantissa, exponent } = split(x)
  const f = mantissa - 1
  if (f === 0) return exponent * LN2_HIGH + exponent * LN2_LOW
  const s = f / (2 + f)
  const z = s * s
  const w = z * z
  const odd = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373))
  const even =
    z *
    (0.6666666666666735 +
      w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)))
  const r = even + odd
  const half = 0.5 * f * f
  return exponent * LN2_HIGH - (half - (s * (half + r) + exponent * LN2_LOW) - f)
}

const view = new DataView(new ArrayBuffer(8))

/** x = mantissa · 2^exponent with √½ ≤ mantissa < √2. */
function split(x: number): { mantissa: number; exponent: number } {
  let exponent = 0
  let value = x
  if (value < 2 ** -1022) {
    value *= 2 ** 54
    exponent = -54
  }
  view.setFloat64(0, value)
  const high = view.getUint32(0)
  exponent += (high >>> 20) - 1023
  view.setUint32(0, (high & 0xfffff) | 0x3ff00000)
  let mantissa = view.getFloat64(0)
  if (mantissa >= Math.SQRT2) {
    mantissa /= 2
    exponent++
  }
  return { mantissa, exponent }
}
