/*
 * Sine, cosine and arcsine with the same bits on every machine and runtime: they use only the
 * operations that IEEE 754 rounds exactly. Errors are below one unit in the last place.
 * Source: fdlibm 5.3 (Sun Microsystems): k_sin.c, k_cos.c, e_rem_pio2.c, e_asin.c.
 */

const S1 = -0.16666666666666632
const S2 = 0.00833333333332249
const S3 = -0.0001984126982985795
const S4 = 0.0000027557313707070068
const S5 = -2.5050760253406863e-8
const S6 = 1.58969099521155e-10

const C1 = 0.0416666666666666
const C2 = -0.001388888888887411
const C3 = 0.00002480158728947673
const C4 = -2.7557314351390663e-7
const C5 = 2.087572321298175e-9
const C6 = -1.1359647557788195e-11

/** π/2 in three parts of 33 bits, and what is left after each. */
const HALF_PI = [
  [1.5707963267341256, 6.077100506506192e-11],
  [6.077100506303966e-11, 2.0222662487959506e-21],
  [2.0222662487111665e-21, 8.4784276603689e-32],
] as const
const TWO_BY_PI = 0.6366197723675814

/** sin x for |x| ≤ 2²⁰; NaN for others. */
export function sin(x: number): number {
  const { quarter, high, low } = reduced(x)
  if (quarter === 0) return kernelSin(high, low)
  if (quarter === 1) return kernelCos(high, low)
  return quarter === 2 ? -kernelSin(high, low) : -kernelCos(high, low)
}

/** cos x for |x| ≤ 2²⁰; NaN for others. */
export function cos(x: number): number {
  const { quarter, high, low } = reduced(x)
  if (quarter === 0) return kernelCos(high, low)
  if (quarter === 1) return -kernelSin(high, low)
  return quarter === 2 ? -kernelCos(high, low) : kernelSin(high, low)
}

/** x = quarter · π/2 (+ whole turns) + high + low with |high| ≤ π/4, nearly. */
function reduced(x: number): { quarter: number; high: number; low: number } {
  if (Math.abs(x) <= Math.PI / 4) return { quarter: 0, high: x, low: 0 }
  if (!(Math.abs(x) <= 2 ** 20)) return { quarter: 0, high: NaN, low: 0 }
  const n = Math.round(x * TWO_BY_PI)
  let rest = x - n * HALF_PI[0][0]
  let tail = n * HALF_PI[0][1]
  let high = rest - tail
  // Each part is taken where the one before cancelled too many bits.
  for (const [part, lost] of [
    [1, 2 ** -16],
    [2, 2 ** -49],
  ] as const) {
    if (Math.abs(high) >= Math.abs(x) * lost) break
    const before = rest
    const step = n * HALF_PI[part][0]
    rest = before - step
    tail = n * HALF_PI[part][1] - (before - rest - step)
    high = rest - tail
  }
  return { quarter: n & 3, high, low: rest - high - tail }
}

/** sin(x + y) for |x| ≤ π/4, y being its tail. */
function kernelSin(x: number, y: number): number {
  const z = x * x
  const v = z * x
  const r = S2 + z * (S3 + z * (S4 + z * (S5 + z * S6)))
  return x - (z * (0.5 * y - v * r) - y - v * S1)
}

/** cos(x + y) for |x| ≤ π/4, y being its tail. */
function kernelCos(x: number, y: number): number {
  const z = x * x
  const r = z * (C1 + z * (C2 + z * (C3 + z * (C4 + z * (C5 + z * C6)))))
  const half = 0.5 * z
  const w = 1 - half
  return w + (1 - w - half + (z * r - x * y))
}

const P0 = 0.16666666666666666
const P1 = -0.3255658186224009
const P2 = 0.20121253213486293
const P3 = -0.04005553450067941
const P4 = 0.0007915349942898145
const P5 = 0.00003479331075960212
const Q1 = -2.403394911734414
const Q2 = 2.0209457602335057
const Q3 = -0.6882839716054533
const Q4 = 0.07703815055590194
const HALF_PI_HIGH = 1.5707963267948966
const HALF_PI_LOW = 6.123233995736766e-17
const QUARTER_PI_HIGH = 0.7853981633974483

const view = new DataView(new ArrayBuffer(8))

/** arcsin x in −π/2…π/2 for |x| ≤ 1; NaN for others. */
export function asin(x: number): number {
  const magnitude = Math.abs(x)
  if (magnitude < 0.5) {
    if (magnitude < 2 ** -27) return x
    return x + x * ratio(x * x)
  }
  if (magnitude === 1) return x * HALF_PI_HIGH + x * HALF_PI_LOW
  const t = (1 - magnitude) * 0.5
  const s = Math.sqrt(t)
  const r = ratio(t)
  let result: number
  if (magnitude >= 0.975) result = HALF_PI_HIGH - (2 * (s + s * r) - HALF_PI_LOW)
  else {
    view.setFloat64(0, s)
    view.setUint32(4, 0)
    const high = view.getFloat64(0)
    const c = (t - high * high) / (s + high)
    const p = 2 * s * r - (HALF_PI_LOW - 2 * c)
    result = QUARTER_PI_HIGH - (p - (QUARTER_PI_HIGH - 2 * high))
  }
  return x > 0 ? result : -result
}

function ratio(t: number): number {
  const p = t * (P0 + t * (P1 + t * (P2 + t * (P3 + t * (P4 + t * P5)))))
  return p / (1 + t * (Q1 + t * (Q2 + t * (Q3 + t * Q4))))
}
