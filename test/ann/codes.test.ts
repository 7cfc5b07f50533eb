import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { encodeCodes } from '../../src/ann/codes.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { Segment } from '../../src/ann/segment.ts'
import { METRICS } from '../../src/core/metric.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { GRAPH, randomVectors, segmentOf } from './reference.ts'

const dimension = 70
const vectors = randomVectors(100 * dimension, 70)

describe.each(METRICS)('codes by %s', (metric) => {
  const segment = segmentOf(metric, dimension, vectors)
  const { codes, graph } = buildIndexSync(segment, GRAPH)
  const input = { ...segment, parameters: GRAPH }

  it('come without a graph below graphRowsMin', () => {
    expect(graph).toBeUndefined()
  })

  it('give the same hits loaded as computed', () => {
    const loaded = openVectorIndex({ ...input, codes })
    const computed = openVectorIndex(input)
    const request = {
      query: randomVectors(dimension, 71),
      k: 10,
      ef: 10,
      kind: 'scan-int8',
    } as const
    expect(loaded.search(request)).toEqual(computed.search(request))
  })

  it('are refused when cut anywhere or longer', () => {
    for (let bytes = 0; bytes < codes.length; bytes += bytes < 900 ? 1 : 97) {
      expect(() => openVectorIndex({ ...input, codes: codes.slice(0, bytes) })).toThrow(
        expect.objectContaining({ code: 'INTEGRITY' }),
      )
    }
    const longer = new Uint8Array(codes.length + 1)
    longer.set(codes)
    expect(() => openVectorIndex({ ...input, codes: longer })).toThrow(/codes do not fit/)
  })

  it('with a header bit flipped are refused or, for the exponent, give finite distances', () => {
    for (let bit = 0; bit < 32 * 8; bit++) {
      const flipped = codes.slice()
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7))
      try {
        const index = openVectorIndex({ ...input, codes: flipped })
        expect(bit >>> 5, `bit ${bit} was believed`).toBe(4)
        const query = randomVectors(dimension, bit)
        const { distances } = index.search({ query, k: 5, ef: 5, kind: 'scan-int8' })
        expect(distances.every(Number.isFinite)).toBe(true)
      } catch (error) {
        if (!hasCode(error, 'INTEGRITY')) throw error
      }
    }
  })

  it('with a scale that is negative, infinite or NaN are refused', () => {
    const at = codes.length - 100 * dimension - 400
    for (const scale of [-1, Infinity, Number.NaN, 2]) {
      const damaged = codes.slice()
      new DataView(damaged.buffer).setFloat32(at, scale, true)
      expect(() => openVectorIndex({ ...input, codes: damaged })).toThrow(/scale of row 0/)
    }
  })

  it('are within a step of the vectors', () => {
    const built = Segment.create({ rows: 100, dimension, metric, contexts: 1 })
    built.loadRows([vectors], 'BAD_INPUT')
    built.measure('BAD_INPUT')
    built.quantise()
    expect(encodeCodes(built)).toEqual(codes)
    const unit = 2 ** built.unitExponent
    for (let row = 0; row < 100; row++) {
      const values = vectors.subarray(row * dimension, (row + 1) * dimension)
      const norm = metric === 'cosine' ? Math.hypot(...values) : 1
      const scale = (built.f32[built.address('scales') / 4 + row] as number) * unit * norm
      for (const [i, value] of values.entries()) {
        const code =
          ((built.u8[built.address('codes') + row * built.plan.stride + i] as number) << 24) >> 24
        const centre = built.f32[built.address('centre') / 4 + i] as number
        expect(Math.abs(value - centre - scale * code)).toBeLessThan(0.8 * scale)
      }
    }
  })
})
