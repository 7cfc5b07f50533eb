import { describe, expect, it } from 'vitest'
import { log } from '../../src/core/log.ts'

/** Distance from x to the next float64 away from 0. */
function ulpOf(x: number): number {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, Math.abs(x))
  view.setBigInt64(0, view.getBigInt64(0) + 1n)
  return view.getFloat64(0) - Math.abs(x)
}

const bitsOf = (x: number): string => {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, x)
  return view.getBigUint64(0).toString(16)
}

describe('log', () => {
  it('is within one unit in the last place over all magnitudes', () => {
    let worst = 0
    for (let i = 0; i <= 200_000; i++) {
      const x = i % 2 === 0 ? 2 ** (((i % 2_090) - 1_065) * (1 - i / 1e7)) : 0.5 + i / 100_000
      worst = Math.max(worst, Math.abs(log(x) - Math.log(x)) / ulpOf(Math.log(x)))
    }
    expect(worst).toBeLessThanOrEqual(1)
  })

  it('has these very bits', () => {
    expect(bitsOf(log(1))).toBe('0')
    expect(bitsOf(log(2))).toBe('3fe62e42fefa39ef')
    expect(bitsOf(log(10))).toBe('40026bb1bbb55516')
    expect(bitsOf(log(Math.E))).toBe('3ff0000000000000')
    expect(bitsOf(log(Number.MIN_VALUE))).toBe('c0874385446d71c3')
    expect(bitsOf(log(Number.MAX_VALUE))).toBe('40862e42fefa39ef')
  })

  it('has the limits of the function at its edges', () => {
    expect(log(0)).toBe(-Infinity)
    expect(log(-0)).toBe(-Infinity)
    expect(log(Infinity)).toBe(Infinity)
    for (const x of [-1, -Infinity, Number.NaN]) expect(log(x)).toBeNaN()
  })
})
