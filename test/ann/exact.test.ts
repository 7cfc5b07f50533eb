import { describe, expect, it } from 'vitest'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { exactDistance, METRICS } from '../../src/core/metric.ts'
import { GRAPH, randomSource, segmentOf } from './reference.ts'

const SEED = Date.now() % 1_000_000
const ROWS = 130
/** Odd ones, and those around the kernel's sixteen. */
const DIMENSIONS = [1, 2, 3, 5, 16, 17, 63, 64, 65, 421]
/** Denormals, and squares beyond float32, too. */
const SCALES = [1, 1e-44, 1e-30, 1e30, 3e38]

describe.each(METRICS)('float64 distances of the kernel, %s', (metric) => {
  it.each(DIMENSIONS)('are those of exactDistance to the last bit, %i-d', (dimension) => {
    const random = randomSource(SEED)
    for (const scale of SCALES) {
      const component = (): number => {
        const kind = random()
        return kind < -0.9 ? 0 : kind < -0.8 ? -0 : random() * scale * (kind < 0 ? 1 : 1e-6)
      }
      const vectors = Float32Array.from({ length: ROWS * dimension }, component)
      vectors.fill(0, 0, dimension)
      const segment = segmentOf(metric, dimension, vectors)
      const index = openVectorIndex({ ...segment, parameters: { ...GRAPH, type: 'flat' } })
      const zero = new Float32Array(dimension)
      for (const query of [
        zero,
        Float32Array.from(zero, random),
        Float32Array.from(zero, component),
      ])
        for (const count of [0, 1, 2, 63, 64, 65, ROWS]) {
          const rows = Uint32Array.from({ length: count }, () => (random() + 1) * 0.499 * ROWS)
          const wanted = Float64Array.from(rows, (row) => {
            const vector = vectors.subarray(row * dimension, (row + 1) * dimension)
            return exactDistance(metric, query, vector)
          })
          const found = index.distances?.(query, rows)
          expect(found, `seed ${SEED}, scale ${scale}`).toStrictEqual(wanted)
        }
    }
  })

  it('are refused of rows that are none, and of queries that do not fit', () => {
    const index = openVectorIndex({
      ...segmentOf(metric, 2, Float32Array.of(1, 2, 3, 4)),
      parameters: { ...GRAPH, type: 'flat' },
    })
    const query = Float32Array.of(1, 1)
    expect(() => index.distances?.(query, Uint32Array.of(2))).toThrow(RangeError)
    const wrong = expect.objectContaining({ code: 'DIMENSION_MISMATCH' })
    expect(() => index.distances?.(Float32Array.of(1), Uint32Array.of(0))).toThrow(wrong)
  })
})
