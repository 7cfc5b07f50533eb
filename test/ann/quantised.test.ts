import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { createIndexBuilder } from '../../src/ann/build-pool.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { QUANTIZATION_DIMENSION_MIN, rescoreCount } from '../../src/ann/quantization.ts'
import type { VectorIndex } from '../../src/ann/vector-index.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import { binaryDistances, pqDistances, readBinary, readPq } from './coded-reference.ts'
import {
  clusteredVectors,
  exactHits,
  GRAPH,
  randomSource,
  randomVectors,
  segmentOf,
} from './reference.ts'

type Form = 'binary' | 'pq'
const FORMS: readonly [Form, number][] = [
  ['binary', 256],
  ['binary', 259],
  ['binary', 4_200],
  ['pq', 65],
  ['pq', 72],
  ['pq', 130],
]
const seed = Date.now() >>> 0

function build(metric: Metric, form: Form, dimension: number, vectors: Float32Array) {
  const segment = segmentOf(metric, dimension, vectors)
  const parameters = { ...GRAPH, quantization: form }
  const built = buildIndexSync(segment, parameters, { graphRowsMin: 1 })
  return {
    segment,
    parameters,
    built,
    index: openVectorIndex({ ...segment, ...built, parameters }),
  }
}

/** The kernel's rough distances of all rows but the farthest, by row. */
function roughDistances(index: VectorIndex, query: Float32Array): Map<number, number> {
  const request = { query, k: 1, ef: 1, kind: `scan-${index.form}`, over: index.rows - 1 } as const
  const { rows, distances } = index.candidates(request)
  expect(rows.length).toBe(index.rows - 1)
  return new Map([...rows].map((row, i) => [row, distances[i] as number]))
}

describe.each(METRICS)('codes by %s', (metric) => {
  it.each(FORMS)('give the distances that their bytes say: %s, dimension %i', (form, dimension) => {
    const vectors = clusteredVectors(400, dimension, seed)
    const { built, index } = build(metric, form, dimension, vectors)
    const read = form === 'binary' ? readBinary(built.codes) : undefined
    for (let i = 0; i < 5; i++) {
      const query = randomVectors(dimension, seed + i)
      const expected =
        read === undefined
          ? pqDistances(metric, readPq(built.codes), query)
          : binaryDistances(metric, read, query)
      const rough = roughDistances(index, query)
      const spread = Math.max(...expected) - Math.min(...expected)
      // A binary query has 15 levels, so that single distances stray (by 0.102 at most so far);
      // a cosine comes with 1 added.
      const slack = spread * (form === 'binary' ? 0.12 : 1e-4)
      // What a comparison cannot see: a factor for dot and far l2 queries, a constant for cosine.
      const factor = ratioOf(rough, expected)
      const shift = metric === 'cosine' ? 1 : 0
      const gaps = [...rough].map(([row, distance]) => {
        const found = (distance - shift) * (metric === 'cosine' ? 1 : factor)
        return Math.abs(found - (expected[row] as number))
      })
      expect(Math.max(...gaps), `seed ${seed}`).toBeLessThan(slack)
    }
  })

  it.each(FORMS)('find nearly all nearest rows: %s, dimension %i', (form, dimension) => {
    const rows = dimension > 1_000 ? 400 : 2_000
    const vectors = clusteredVectors(rows, dimension, 90)
    const { segment, index, built } = build(metric, form, dimension, vectors)
    const recall = { graph: 0, scan: 0 }
    for (let i = 0; i < 10; i++) {
      const query = index.vector(i * 39).map((v, j) => v + Math.sin(i + j) * 0.1)
      const exact = exactHits(segment, vectors, { query, k: 10 })
      const truth = new Set(exact.map(({ row }) => row))
      const ask = { query, k: 10, ef: 150 }
      for (const row of index.search({ ...ask, kind: 'graph' }).rows) {
        if (truth.has(row)) recall.graph++
      }
      for (const row of index.search({ ...ask, kind: `scan-${form}` }).rows) {
        if (truth.has(row)) recall.scan++
      }
    }
    expect(recall.scan).toBeGreaterThanOrEqual(95)
    expect(recall.graph).toBeGreaterThanOrEqual(metric === 'dot' ? 80 : 90)
    expect(built.measured).toMatchObject({ form, k: 10, oversampling: rescoreCount(10, form) })
    expect(built.measured?.recall).toBeGreaterThan(0.9)
  })

  it.each([
    ['binary', 257],
    ['pq', 67],
  ] as const)('return only allowed rows, and k where k match: %s', (form, dimension) => {
    const vectors = clusteredVectors(900, dimension, 91)
    const { index } = build(metric, form, dimension, vectors)
    const random = randomSource(92)
    for (const share of [0, 0.002, 0.05, 0.5, 1]) {
      const allowed = new Bitset(900)
      for (let row = 0; row < 900; row++) if ((random() + 1) / 2 < share) allowed.add(row)
      for (const kind of ['graph', `scan-${form}`] as const) {
        const hits = index.search({ query: index.vector(5), k: 10, ef: 20, kind, allowed })
        expect(hits.rows.length).toBe(Math.min(10, allowed.count()))
        expect([...hits.rows].every((row) => allowed.has(row))).toBe(true)
      }
    }
  })

  it.each([
    ['binary', 260],
    ['pq', 70],
  ] as const)(
    'give equal rows in row order, and all rows where k is larger: %s',
    (form, dimension) => {
      const one = randomVectors(dimension, 5)
      const vectors = new Float32Array(300 * dimension)
      for (let row = 0; row < 300; row++) vectors.set(one, row * dimension)
      const { index } = build(metric, form, dimension, vectors)
      const ascending = (count: number) => Array.from({ length: count }, (_, row) => row)
      const ask = { query: one, ef: 300, kind: `scan-${form}` } as const
      expect([...index.search({ ...ask, k: 5 }).rows]).toEqual(ascending(5))
      expect([...index.search({ ...ask, k: 10_000 }).rows]).toEqual(ascending(300))
      const walked = index.search({ ...ask, k: 300, kind: 'graph' }).rows
      expect([...walked]).toEqual(ascending(300))
    },
  )

  it.each([
    ['binary', 256],
    ['pq', 66],
  ] as const)('open no rows and one row: %s', (form, dimension) => {
    for (const count of [0, 1]) {
      const vectors = randomVectors(count * dimension, 6)
      const { index } = build(metric, form, dimension, vectors)
      const query = randomVectors(dimension, 7)
      const found = index.search({ query, k: 3, ef: 3, kind: `scan-${form}` })
      expect(found.rows.length).toBe(count)
    }
  })

  it.each([
    ['binary', 256],
    ['pq', 66],
  ] as const)('stay finite whatever the size of the numbers: %s', (form, dimension) => {
    const scales = [0, 1e-45, 1e-40, 1e-20, 1, 1e18, 3e38]
    for (const rowScale of [...scales, 'mixed'] as const) {
      const vectors = randomVectors(250 * dimension, 8)
      for (let i = 0; i < vectors.length; i++) {
        const row = Math.floor(i / dimension)
        const scale = rowScale === 'mixed' ? (scales[row % 7] as number) : rowScale
        vectors[i] = (vectors[i] as number) * scale
      }
      const { index } = build(metric, form, dimension, vectors)
      for (const scale of scales) {
        const query = randomVectors(dimension, 9).map((v) => v * scale)
        for (const kind of ['graph', `scan-${form}`] as const) {
          const { rows, distances } = index.search({ query, k: 20, ef: 30, kind })
          expect(new Set(rows).size, `${rowScale} by ${scale}`).toBe(20)
          expect(distances.every(Number.isFinite), `${rowScale} by ${scale}`).toBe(true)
        }
      }
    }
  })

  it.each([
    ['binary', 256],
    ['pq', 66],
  ] as const)('are the same for any number of workers: %s', async (form, dimension) => {
    const segment = segmentOf(metric, dimension, clusteredVectors(700, dimension, 93))
    const parameters = { ...GRAPH, quantization: form }
    const expected = buildIndexSync(segment, parameters, { graphRowsMin: 1 })
    expect(expected.measured?.form).toBe(form)
    for (const threads of [1, 3]) {
      const builder = createIndexBuilder({ threads, graphRowsMin: 1 })
      expect(await builder.build(segment, parameters)).toEqual(expected)
      await builder.close()
    }
  })
})

/** The one factor between two lists of distances, from where they are largest. */
function ratioOf(rough: ReadonlyMap<number, number>, expected: Float64Array): number {
  // The farthest of all is not among them; it may be row 0.
  let far = Math.min(...rough.keys())
  for (const row of rough.keys()) {
    if (Math.abs(expected[row] as number) > Math.abs(expected[far] as number)) far = row
  }
  return (expected[far] as number) / (rough.get(far) as number)
}

describe('stored codes', () => {
  const cases = [
    ['binary', 259],
    ['pq', 67],
  ] as const

  it.each(cases)('of form %s are refused when cut anywhere or longer', (form, dimension) => {
    const { segment, parameters, built } = build(
      'l2',
      form,
      dimension,
      randomVectors(40 * dimension, 1),
    )
    const { codes } = built
    for (let bytes = 0; bytes < codes.length; bytes += bytes < 200 ? 1 : 1_997) {
      expect(() =>
        openVectorIndex({ ...segment, parameters, codes: codes.slice(0, bytes) }),
      ).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
    }
    const longer = new Uint8Array(codes.length + 1)
    longer.set(codes)
    expect(() => openVectorIndex({ ...segment, parameters, codes: longer })).toThrow(/do not fit/)
  })

  it.each(cases)('of form %s are not those of another', (form, dimension) => {
    const { segment, parameters, built } = build(
      'dot',
      form,
      dimension,
      randomVectors(40 * dimension, 1),
    )
    for (const quantization of ['int8', 'binary', 'pq'] as const) {
      if (quantization === form || dimension < QUANTIZATION_DIMENSION_MIN[quantization]) continue
      const other = { ...parameters, quantization }
      expect(() => openVectorIndex({ ...segment, parameters: other, codes: built.codes })).toThrow(
        expect.objectContaining({ code: 'INTEGRITY' }),
      )
    }
  })

  it('with numbers that no row has are refused', () => {
    const binary = build('cosine', 'binary', 259, randomVectors(40 * 259, 1))
    const pq = build('dot', 'pq', 67, randomVectors(40 * 67, 1))
    const spoil = ({ segment, parameters, built }: typeof binary, at: number, value: number) => {
      const codes = built.codes.slice()
      new DataView(codes.buffer).setFloat32(at, value, true)
      return () => openVectorIndex({ ...segment, parameters, codes })
    }
    const scales = 32 + 259 * 4
    for (const bad of [Number.NaN, Infinity, -Infinity, 1e30]) {
      expect(spoil(binary, 32, bad)).toThrow(/the mean, component/)
      expect(spoil(binary, scales, bad)).toThrow(/the scale of row 0/)
      expect(spoil(binary, scales + 160, bad)).toThrow(/the bias of row 0/)
      expect(spoil(pq, 32, bad)).toThrow(/centroid/)
    }
    const tail = binary.built.codes.slice()
    tail[tail.length - 1] = 0xff
    const { segment, parameters } = binary
    expect(() => openVectorIndex({ ...segment, parameters, codes: tail })).toThrow(/beyond its dim/)
  })
})

describe('forms', () => {
  it.each([
    ['binary', 255],
    ['pq', 64],
  ] as const)('%s is refused for vectors of %i components', (form, dimension) => {
    const segment = segmentOf('dot', dimension, randomVectors(10 * dimension, 1))
    const parameters = { ...GRAPH, quantization: form }
    const refusal = expect.objectContaining({
      code: 'USAGE',
      message: expect.stringContaining(`at least ${dimension + 1} components`),
    })
    expect(() => buildIndexSync(segment, parameters)).toThrow(refusal)
    expect(() => openVectorIndex({ ...segment, parameters })).toThrow(refusal)
  })

  it('scan what codes there are, whichever of them a plan names', () => {
    const { index } = build('dot', 'pq', 66, clusteredVectors(500, 66, 1))
    const ask = { query: randomVectors(66, 2), k: 3, ef: 3 }
    const expected = index.search({ ...ask, kind: 'scan-pq' })
    expect(index.search({ ...ask, kind: 'scan-int8' })).toEqual(expected)
    expect(index.search({ ...ask, kind: 'scan-binary' })).toEqual(expected)
  })
})
