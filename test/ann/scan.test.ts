import { describe, expect, it } from 'vitest'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import type { RowHits, ScanKind, SegmentVectors } from '../../src/ann/vector-index.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { exactDistance, METRICS, type Metric } from '../../src/core/metric.ts'
import { DEFAULT_INDEX } from '../../src/core/schema.ts'
import { buildAndOpen, exactHits, randomSource, randomVectors, segmentOf } from './reference.ts'

const open = (segment: SegmentVectors) => openVectorIndex({ ...segment, parameters: DEFAULT_INDEX })
const SCANS: readonly ScanKind[] = ['scan-f32', 'scan-int8']
const DIMENSIONS = [1, 2, 3, 15, 16, 17, 63, 64, 65, 100, 129]

/** Distances position by position; rows may swap only where float32 cannot tell them apart. */
function expectNear(
  hits: RowHits,
  expected: readonly { row: number; distance: number }[],
  tolerance: number,
) {
  expect(hits.rows.length).toBe(expected.length)
  expect(new Set(hits.rows).size).toBe(hits.rows.length)
  for (const [i, { distance }] of expected.entries()) {
    const found = hits.distances[i] as number
    const scale = Math.max(1e-3, Math.abs(distance))
    expect(Math.abs(found - distance) / scale, `hit ${i}: ${found}, ${distance}`).toBeLessThan(
      tolerance,
    )
  }
}

describe.each(METRICS)('scans by %s', (metric) => {
  it.each(DIMENSIONS)('finds the exact nearest rows at dimension %i', (dimension) => {
    const vectors = randomVectors(300 * dimension, 7 + dimension)
    const segment = segmentOf(metric, dimension, vectors)
    const index = open(segment)
    for (const kind of SCANS) {
      for (let i = 0; i < 5; i++) {
        const query = randomVectors(dimension, 1000 + i)
        const hits = index.search({ query, k: 10, ef: 10, kind })
        expectNear(hits, exactHits(segment, vectors, { query, k: 10 }), 1e-4)
      }
    }
  })

  it.each([0, 1, 31, 32, 33, 100, 299, 300])('returns only allowed rows of %i', (count) => {
    const dimension = 70
    const vectors = randomVectors(300 * dimension, 11)
    const segment = segmentOf(metric, dimension, vectors)
    const index = open(segment)
    const random = randomSource(count)
    const rows = Array.from({ length: 300 }, (_, row) => row).sort(() => random())
    const allowed = Bitset.from(300, rows.slice(0, count))
    const query = randomVectors(dimension, 12)
    for (const kind of SCANS) {
      const hits = index.search({ query, k: 20, ef: 20, kind, allowed })
      expect([...hits.rows].every((row) => allowed.has(row))).toBe(true)
      expectNear(hits, exactHits(segment, vectors, { query, k: 20, allowed }), 1e-4)
    }
  })

  it('breaks ties by the lower row, exactly, for small integers', () => {
    const dimension = 5
    const random = randomSource(3)
    const vectors = Float32Array.from({ length: 500 * dimension }, () => Math.round(random()))
    const segment = segmentOf(metric, dimension, vectors)
    const index = open(segment)
    const query = Float32Array.of(1, 0, -1, 0, 0)
    const expected = exactHits(segment, vectors, { query, k: 200 }).map(({ row }) => row)
    if (metric === 'cosine') return expect(tiesAscend(index.search(request(query)))).toBe(true)
    expect([...index.search(request(query)).rows]).toEqual(expected)
  })

  it('gives equal vectors in row order, in every way of searching', () => {
    const dimension = 80
    const one = randomVectors(dimension, 5)
    const vectors = new Float32Array(64 * dimension)
    for (let row = 0; row < 64; row++) vectors.set(one, row * dimension)
    const { index } = buildAndOpen(segmentOf(metric, dimension, vectors))
    for (const kind of [...SCANS, 'graph'] as const) {
      const { rows } = index.search({ query: one, k: 64, ef: 64, kind })
      expect([...rows]).toEqual(Array.from({ length: 64 }, (_, row) => row))
    }
  })

  it('returns all rows where k is larger', () => {
    const vectors = randomVectors(7 * 3, 1)
    const index = open(segmentOf(metric, 3, vectors))
    const { rows } = index.search({
      query: vectors.slice(0, 3),
      k: 10_000,
      ef: 1,
      kind: 'scan-f32',
    })
    expect([...rows].sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  it('searches one row and no rows', () => {
    const one = open(segmentOf(metric, 3, Float32Array.of(1, 2, 3)))
    const none = open(segmentOf(metric, 3, new Float32Array(0)))
    const query = Float32Array.of(3, 2, 1)
    for (const kind of SCANS) {
      expect([...one.search({ query, k: 5, ef: 5, kind }).rows]).toEqual([0])
      expect(none.search({ query, k: 5, ef: 5, kind }).rows.length).toBe(0)
    }
  })

  it('keeps vectors as they came', () => {
    const vectors = randomVectors(50 * 17, 9)
    vectors.set([1e-40, -0, 3e38, 1e-45], 17)
    const index = open(segmentOf(metric, 17, vectors))
    for (const row of [0, 1, 49]) {
      expect(index.vector(row)).toEqual(vectors.slice(row * 17, row * 17 + 17))
    }
    expect(() => index.vector(50)).toThrow(RangeError)
  })
})

const request = (query: Float32Array) => ({ query, k: 200, ef: 200, kind: 'scan-f32' as const })

const tiesAscend = ({ rows, distances }: RowHits): boolean =>
  rows.every(
    (row, i) => i === 0 || distances[i] !== distances[i - 1] || (rows[i - 1] as number) < row,
  )

describe('extreme values', () => {
  const SCALES = [1e-45, 1e-40, 1e-30, 1e-20, 1, 1e18, 1e30, 3e38]

  it.each(METRICS)('ranks by %s whatever the size of the components', (metric) => {
    for (const dimension of [4, 80]) {
      for (const rowScale of SCALES) {
        for (const queryScale of SCALES) {
          const found = rankAtScale(metric, dimension, rowScale, queryScale)
          expect(found, `${metric} ${dimension}-d, rows ${rowScale}, query ${queryScale}`).toBe('')
        }
      }
    }
  })

  it.each(METRICS)('mixes tiny, huge and zero rows by %s without NaN', (metric) => {
    const dimension = 70
    const vectors = randomVectors(200 * dimension, 21)
    for (let row = 0; row < 200; row++) {
      const scale = row % 10 === 0 ? 0 : (SCALES[row % SCALES.length] as number)
      for (let i = 0; i < dimension; i++)
        vectors[row * dimension + i] = value(vectors, row, i) * scale
    }
    const { index } = buildAndOpen(segmentOf(metric, dimension, vectors))
    for (const scale of [0, ...SCALES]) {
      const query = randomVectors(dimension, 22).map((v) => v * scale)
      for (const kind of ['scan-f32', 'scan-int8', 'graph'] as const) {
        const { rows, distances } = index.search({ query, k: 200, ef: 200, kind })
        expect(new Set(rows).size).toBe(200)
        expect(distances.every(Number.isFinite)).toBe(true)
      }
    }
    function value(all: Float32Array, row: number, i: number): number {
      return all[row * dimension + i] as number
    }
  })

  it('gives a zero vector cosine distance 1 from everything', () => {
    const index = open(segmentOf('cosine', 3, Float32Array.of(0, 0, 0, 1, 2, 3)))
    const ofZero = index.search({ query: new Float32Array(3), k: 2, ef: 2, kind: 'scan-f32' })
    expect([...ofZero.rows, ...ofZero.distances]).toEqual([0, 1, 1, 1])
    const query = Float32Array.of(-1, -2, -3)
    expect([...index.search({ query, k: 2, ef: 2, kind: 'scan-f32' }).distances]).toEqual([1, 2])
  })

  it.each([Number.NaN, Infinity, -Infinity])('refuses %s in rows and queries', (bad) => {
    const vectors = Float32Array.of(1, 2, 3, 4, bad, 6)
    expect(() => open(segmentOf('l2', 3, vectors))).toThrow(/row 1 /)
    const index = open(segmentOf('l2', 3, Float32Array.of(1, 2, 3)))
    const query = Float32Array.of(1, bad, 2)
    expect(() => index.search({ query, k: 1, ef: 1, kind: 'scan-f32' })).toThrow(/finite/)
  })
})

/** Empty where the five nearest by the kernel are as near as the exact five. */
function rankAtScale(
  metric: Metric,
  dimension: number,
  rowScale: number,
  queryScale: number,
): string {
  const vectors = randomVectors(120 * dimension, 31).map((v) => v * rowScale)
  const query = randomVectors(dimension, 32).map((v) => v * queryScale)
  const segment = segmentOf(metric, dimension, vectors)
  const index = open(segment)
  const exact = exactHits(segment, vectors, { query, k: 5 })
  const spread = Math.abs(
    (exactHits(segment, vectors, { query, k: 120 }).at(-1)?.distance ?? 0) -
      (exact[0]?.distance ?? 0),
  )
  for (const kind of SCANS) {
    const { rows } = index.search({ query, k: 5, ef: 5, kind })
    for (const [i, row] of rows.entries()) {
      const vector = vectors.subarray(row * dimension, (row + 1) * dimension)
      const distance = exactDistance(metric, query, vector)
      const wanted = exact[i]?.distance as number
      const slack = 1e-6 * (spread + Math.abs(wanted))
      if (!(distance - wanted <= slack)) return `${kind} hit ${i}: ${distance}, expected ${wanted}`
    }
  }
  return ''
}

describe('requests', () => {
  const index = open(segmentOf('cosine', 3, randomVectors(30, 2)))
  const good = { query: Float32Array.of(1, 2, 3), k: 1, ef: 1, kind: 'scan-f32' as const }

  it.each([0, -1, 1.5, 10_001, Number.NaN])('refuses k = %s', (k) => {
    expect(() => index.search({ ...good, k })).toThrow(expect.objectContaining({ code: 'LIMIT' }))
  })

  it('accepts k and ef at their limits', () => {
    expect(index.search({ ...good, k: 10_000, ef: 32_768 }).rows.length).toBe(10)
    expect(() => index.search({ ...good, ef: 32_769 })).toThrow(/searchEfMax/)
  })

  it('refuses a query of another dimension', () => {
    const query = Float32Array.of(1, 2)
    expect(() => index.search({ ...good, query })).toThrow(
      expect.objectContaining({ code: 'DIMENSION_MISMATCH' }),
    )
  })

  it('refuses a bitset of another length, a graph search without a graph, and closed use', () => {
    expect(() => index.search({ ...good, allowed: new Bitset(11) })).toThrow(/bitset/)
    expect(() => index.search({ ...good, kind: 'graph' })).toThrow(/no graph/)
    const closed = open(segmentOf('dot', 1, Float32Array.of(1)))
    closed.close()
    expect(() => closed.search({ ...good, query: Float32Array.of(1) })).toThrow(/closed/)
  })

  it('refuses dimensions and rows beyond the limits', () => {
    const parameters = DEFAULT_INDEX
    const shape = { metric: 'dot', pieces: [], parameters } as const
    for (const [rows, dimension] of [
      [0, 0],
      [0, 16_385],
      [2 ** 20 + 1, 1],
    ] as const) {
      expect(() => openVectorIndex({ ...shape, rows, dimension })).toThrow(
        expect.objectContaining({ code: 'LIMIT' }),
      )
    }
    expect(() => openVectorIndex({ ...shape, rows: 2 ** 20, dimension: 16_384 })).toThrow(
      /segmentMemoryBytesMax/,
    )
  })

  it('searches the largest dimension', () => {
    const vectors = randomVectors(80 * 16_384, 3)
    const segment = segmentOf('cosine', 16_384, vectors)
    const query = randomVectors(16_384, 4)
    const { rows } = open(segment).search({ query, k: 3, ef: 3, kind: 'scan-int8' })
    expect([...rows]).toEqual(exactHits(segment, vectors, { query, k: 3 }).map(({ row }) => row))
  })

  it('refuses pieces that do not add up to the rows', () => {
    const shape = { rows: 2, dimension: 3, metric: 'dot', parameters: DEFAULT_INDEX } as const
    for (const lengths of [[], [3], [4, 2], [6, 3], [5]]) {
      const pieces = lengths.map((length) => new Float32Array(length))
      expect(() => openVectorIndex({ ...shape, pieces })).toThrow(
        expect.objectContaining({ code: 'INTEGRITY' }),
      )
    }
  })
})
