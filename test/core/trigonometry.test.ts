import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { asin, cos, sin } from '../../src/core/trigonometry.ts'
import { randomOf, seedOf } from '../search/random.ts'

const ulp = (x: number): number => 2 ** Math.max(-1074, Math.floor(Math.log2(Math.abs(x))) - 52)
const apart = (a: number, b: number): number => (a === b ? 0 : Math.abs(a - b) / ulp(b))

describe('sin, cos and asin', () => {
  it('have known values', () => {
    expect([sin(0), cos(0), asin(0)]).toEqual([0, 1, 0])
    expect([sin(Math.PI), cos(Math.PI / 2)]).toEqual([
      1.2246467991473532e-16, 6.123233995736766e-17,
    ])
    expect([asin(1), asin(-1), sin(-Math.PI / 2)]).toEqual([Math.PI / 2, -Math.PI / 2, -1])
    expect(sin(Math.PI / 6)).toBe(0.49999999999999994)
    for (const x of [NaN, Infinity, -Infinity, 2 ** 21])
      expect([sin(x), cos(x)]).toEqual([NaN, NaN])
    for (const x of [NaN, 1.0000000000000002, -2]) expect(asin(x)).toBeNaN()
  })

  it('are within one unit in the last place of those of the host', () => {
    const random = randomOf(seedOf())
    for (let i = 0; i < 50_000; i++) {
      const x = (random.whole(0, 2 ** 30) / 2 ** 30 - 0.5) * 4 * Math.PI
      const y = random.whole(0, 2 ** 30) / 2 ** 29 - 1
      expect(apart(sin(x), Math.sin(x))).toBeLessThanOrEqual(1)
      expect(apart(cos(x), Math.cos(x))).toBeLessThanOrEqual(1)
      expect(apart(asin(y), Math.asin(y))).toBeLessThanOrEqual(1)
    }
  })

  it('have the same bits on every machine', () => {
    const values = Array.from({ length: 5_000 }, (_, i) => {
      const x = i / 700 - 3.5
      return [sin(x), cos(x), asin((i - 2_500) / 2_500)]
    })
    const bytes = new Uint8Array(Float64Array.from(values.flat()).buffer)
    const digest = createHash('sha256').update(bytes).digest('hex')
    expect(digest).toBe('e5579ba6ab29f514ad34bcad9ce1ddc87e6ff6dd1e0939577202d3d269a346eb')
  })
})
