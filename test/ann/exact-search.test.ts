import { describe, expect, it } from 'vitest'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { searchRanked } from '../../src/ann/ranked-search.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { exactDistance, METRICS, type Metric } from '../../src/core/metric.ts'
import { GRAPH, randomSource, segmentOf } from './reference.ts'

const SEED = Date.now() % 1_000_000
const ROWS = 700
const DIMENSION = 70

type Random = () => number

/** Rows of kinds that float32 does not tell apart, or hardly. */
const KINDS: Readonly<Record<string, (random: Random, base: Float32Array) => Float32Array>> = {
  'at random': (random) => Float32Array.from({ length: DIMENSION }, random),
  'all alike': (_, base) => base.slice(),
  'alike but for the last bits': (random, base) => base.map((value) => value + random() * 1e-7),
  'multiples of one': (random, base) => base.map((value) => value * (2 + random())),
  'a few of many': (random, base) => base.map((value) => value + Math.round(random())),
  zeros: () => new Float32Array(DIMENSION),
  'beyond the squares of float32': (random, base) => base.map((value) => value * 1e30 * random()),
  'beyond float32 and hardly apart': (random, base) =>
    base.map((value) => value * 1e38 * (1 + random() * 1e-6)),
  'of every size': (random, base) => base.map((value) => value * 10 ** Math.round(random() * 30)),
  'a few of many, with products below float32': (random, base) => {
    const times = 2 + Math.round(random())
    return base.map((value) => value * times * 2 ** -120)
  },
  denormal: (random) => Float32Array.from({ length: DIMENSION }, () => random() * 1e-42),
}

/** The k nearest by float64 and all that are as far as the last of them, by row. */
function nearestOf(
  metric: Metric,
  query: Float32Array,
  vectors: Float32Array,
  { k, allowed }: { readonly k: number; readonly allowed: Bitset | undefined },
): (readonly [number, number])[] {
  const all = Array.from({ length: ROWS }, (_, row) => row)
    .filter((row) => allowed?.has(row) !== false)
    .map((row) => {
      const vector = vectors.subarray(row * DIMENSION, (row + 1) * DIMENSION)
      return [row, exactDistance(metric, query, vector)] as const
    })
  const kth = all.map(([, distance]) => distance).sort((a, b) => a - b)[k - 1] ?? Infinity
  return all.filter(([, distance]) => distance <= kth)
}

describe.each(METRICS)('an exact search, %s', (metric) => {
  it.each(Object.keys(KINDS))('finds what is nearest by float64 of rows %s', (kind) => {
    const random = randomSource(SEED)
    const base = Float32Array.from({ length: DIMENSION }, random)
    const make = KINDS[kind]
    if (make === undefined) return
    const vectors = new Float32Array(ROWS * DIMENSION)
    for (let row = 0; row < ROWS; row++) vectors.set(make(random, base), row * DIMENSION)
    const parameters = { ...GRAPH, type: 'flat' } as const
    const index = openVectorIndex({ ...segmentOf(metric, DIMENSION, vectors), parameters })
    const few = Bitset.from(ROWS, [3, 64, 65, 300, 301, 302, 699])
    const half = new Bitset(ROWS)
    for (let row = 0; row < ROWS; row++) if (random() > 0) half.add(row)
    const queries = [base, vectors.slice(0, DIMENSION), base.map(random), base.map(() => 0)]
    for (const query of queries) {
      for (const allowed of [undefined, half, few]) {
        for (const k of [1, 7, 100]) {
          const certain = Math.min(k, allowed?.count() ?? ROWS)
          const request = { query, k: certain + 8, ef: 1, kind: 'scan-f32', certain } as const
          const found = searchRanked(
            index,
            allowed === undefined ? request : { ...request, allowed },
          )
          const pairs = [...found.rows].map((row, i) => [row, found.distances[i]])
          pairs.sort(([a], [b]) => Number(a) - Number(b))
          expect(pairs, `seed ${SEED}, k ${k}`).toEqual(
            nearestOf(metric, query, vectors, { k: certain, allowed }),
          )
        }
      }
    }
  })
})

it('measures every row only where float32 cannot tell', () => {
  const random = randomSource(SEED)
  const vectors = Float32Array.from({ length: ROWS * DIMENSION }, random)
  const parameters = { ...GRAPH, type: 'flat' } as const
  const index = openVectorIndex({ ...segmentOf('cosine', DIMENSION, vectors), parameters })
  const query = Float32Array.from({ length: DIMENSION }, random)
  const request = { query, k: 18, ef: 1, kind: 'scan-f32', certain: 10 } as const
  expect(searchRanked(index, request)).toMatchObject({ evaluated: ROWS })
  for (let row = 100; row < 140; row++) vectors.copyWithin(row * DIMENSION, 0, DIMENSION)
  const alike = openVectorIndex({ ...segmentOf('cosine', DIMENSION, vectors), parameters })
  const near = { ...request, query: vectors.slice(0, DIMENSION) }
  const found = searchRanked(alike, near)
  expect(found.evaluated).toBe(2 * ROWS)
  expect([...found.rows]).toEqual([0, ...Array.from({ length: 40 }, (_, i) => 100 + i)])
})
