import { describe, expect, it } from 'vitest'
import {
  distanceFrom,
  distancesFrom,
  exactDistance,
  isFiniteVector,
  METRICS,
} from '../../src/core/metric.ts'
import { randomNumbers } from '../support/temp-store.ts'

describe.each(METRICS)('distances by %s', (metric) => {
  it('of many vectors are those of one after the other, bit for bit', () => {
    const seed = Date.now() % 1_000_000
    const random = randomNumbers(seed)
    for (const dimension of [1, 3, 64, 77]) {
      const scale = 10 ** Math.floor(random() * 20 - 10)
      const vector = () => Float32Array.from({ length: dimension }, () => (random() - 0.5) * scale)
      const vectors = Array.from({ length: 11 }, vector)
      vectors[2] = new Float32Array(dimension)
      for (const query of [vector(), new Float32Array(dimension)]) {
        const single = vectors.map((each) => exactDistance(metric, query, each))
        for (let count = 0; count <= vectors.length; count++) {
          const many = distancesFrom(metric, query, count, (i) => vectors[i] as Float32Array)
          const why = `seed ${seed}, dimension ${dimension}, count ${count}`
          expect([...many], why).toEqual(single.slice(0, count))
          expect(distanceFrom(metric, query)(vectors[0] as Float32Array), why).toBe(single[0])
        }
      }
    }
  })
})

it('a vector with one component that is not finite is found out', () => {
  expect(isFiniteVector(Float32Array.of())).toBe(true)
  expect(isFiniteVector(Float32Array.of(1, -3.4e38, 0, -0, 1e-45))).toBe(true)
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(isFiniteVector(Float32Array.of(1, 2, bad, 3))).toBe(false)
  }
})
