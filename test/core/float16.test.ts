import { expect, it } from 'vitest'
import { decodeFloat16, encodeFloat16, firstBeyondFloat16 } from '../../src/core/float16.ts'

const ALL = Uint16Array.from({ length: 65_536 }, (_, i) => i)
const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)

const fromBits = (pattern: number): number => {
  bits[0] = pattern
  return float[0] as number
}
const one = (value: number): number => encodeFloat16(Float32Array.of(value))[0] as number

it('gives every pattern back, but for the payload of NaNs', () => {
  const encoded = encodeFloat16(decodeFloat16(ALL))
  const wrong = ALL.filter((pattern) => {
    const noNumber = (pattern & 0x7fff) > 0x7c00
    // JavaScript may change a NaN's sign as it passes.
    if (noNumber) return ((encoded[pattern] as number) & 0x7fff) !== 0x7e00
    return encoded[pattern] !== pattern
  })
  expect([...wrong]).toEqual([])
})

it.each([
  [0, 0],
  [-0, 0x8000],
  [1, 0x3c00],
  [-2, 0xc000],
  [65_504, 0x7bff],
  [65_519, 0x7bff],
  [65_520, 0x7c00],
  [-65_520, 0xfc00],
  [Infinity, 0x7c00],
  [2 ** -14, 0x0400],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [2 ** -25 * 1.0001, 0x0001],
  [-(2 ** -26), 0x8000],
  [1e-45, 0x0000],
  // Half way between two numbers of binary16: to the even one.
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [1 + 2 ** -11 + 2 ** -23, 0x3c01],
  // The largest subnormal number and what rounds up from it.
  [2 ** -14 - 2 ** -24, 0x03ff],
  [2 ** -14 - 2 ** -25, 0x0400],
])('rounds %s to the pattern %i', (value, pattern) => {
  expect(one(value)).toBe(pattern)
})

it('rounds to the nearest of the two neighbours, ties to even, at every step', () => {
  const seed = Date.now() >>> 0
  const values = decodeFloat16(ALL.subarray(0, 0x7c00))
  const wrong: number[] = []
  let state = seed
  for (let i = 0; i < 0x7bff; i++) {
    const low = values[i] as number
    const high = values[i + 1] as number
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const random = Math.fround(low + (high - low) * (state / 2 ** 32))
    for (const value of [(low + high) / 2, random]) {
      const [down, up] = [value - low, high - value]
      const expected = down < up ? i : up < down ? i + 1 : i + (i & 1)
      if (one(value) !== expected || one(-value) !== (expected | 0x8000)) wrong.push(value)
    }
  }
  expect(wrong, `seed ${seed}`).toEqual([])
})

it('agrees with the runtime where that has binary16', () => {
  const f16round = (Math as { f16round?: (value: number) => number }).f16round
  if (f16round === undefined) return
  const seed = Date.now() >>> 0
  const wrong: number[] = []
  let state = seed
  for (let i = 0; i < 200_000; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const value = fromBits(state)
    if (Number.isNaN(value)) continue
    const rounded = decodeFloat16(encodeFloat16(Float32Array.of(value)))[0] as number
    if (!Object.is(rounded, f16round(value))) wrong.push(value)
  }
  expect(wrong, `seed ${seed}`).toEqual([])
})

it('finds the first number that does not fit', () => {
  expect(firstBeyondFloat16(Float32Array.of(1, -65_519.99, 1e-40))).toBe(-1)
  for (const bad of [65_520, -65_520, Infinity, Number.NaN]) {
    expect(firstBeyondFloat16(Float32Array.of(0, 65_504, bad, bad))).toBe(2)
  }
})
