import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import { limits } from '../../src/core/limits.ts'
import { openSparseIndex, type SparseIndex } from '../../src/search/sparse-index.ts'
import { createSparseIndexBuilder } from '../../src/search/sparse-index-builder.ts'
import { searchSparse, sparseScore } from '../../src/search/sparse-search.ts'
import { checkedSparse, type SparseVector } from '../../src/search/sparse-vector.ts'
import { randomOf, type SearchRandom, seedOf } from './random.ts'

type Row = SparseVector | undefined

const encode = (rows: readonly Row[]): Uint8Array => {
  const builder = createSparseIndexBuilder()
  for (const row of rows) builder.add(row)
  return builder.encode()
}
const indexOf = (rows: readonly Row[]): SparseIndex => openSparseIndex(encode(rows), rows.length)

const vector = (...pairs: [number, number][]): SparseVector => ({
  indices: Uint32Array.from(pairs, ([index]) => index),
  values: Float32Array.from(pairs, ([, value]) => value),
})

/** Few dimensions are in most rows, most in few; some are large. */
const randomVector = (random: SearchRandom, most: number, least: number): SparseVector => {
  const found = new Map<number, number>()
  for (let pairs = random.whole(1, most); pairs > 0; pairs--) {
    const index = random.whole(0, random.pick([3, 20, 400]))
    const value = random.whole(least, 100) / random.pick([1, 3, 50])
    found.set(index === 400 ? 2 ** 32 - 1 : index, value)
  }
  return vector(...found)
}

describe('a search for a sparse vector', () => {
  it('finds what scoring every row finds, bit by bit', { timeout: 60_000 }, () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 10; round++) {
      const least = random.pick([-100, 0, 1])
      const parts = Array.from({ length: random.whole(1, 3) }, () => {
        const rows = Array.from({ length: random.pick([1, 128, 129, 6_000]) }, () =>
          random.whole(0, 20) === 0 ? undefined : randomVector(random, 12, least),
        )
        const members = rows.keys().filter(() => random.whole(0, 9) < 8)
        const allowed = round % 2 === 0 ? Bitset.from(rows.length, members) : undefined
        return { rows, index: indexOf(rows), allowed }
      })
      for (let i = 0; i < 8; i++) {
        const query = randomVector(random, 8, least)
        const k = random.pick([1, 10, 100, 50_000])
        const wanted = parts
          .flatMap(({ rows, allowed }, segment) =>
            rows.flatMap((row, place) => {
              const score = row === undefined ? undefined : dot(query, row)
              if (score === undefined || allowed?.has(place) === false) return []
              return [{ segment, row: place, score }]
            }),
          )
          .sort((a, b) => b.score - a.score || a.segment - b.segment || a.row - b.row)
        const found = searchSparse({ segments: parts, query, k })
        expect(found.hits).toEqual(wanted.slice(0, k))
        expect(found.matchedAtLeast).toBeLessThanOrEqual(wanted.length)
      }
    }
  })

  it('passes over blocks that cannot hold a hit', () => {
    const rows = Array.from({ length: 20_000 }, (_, row) =>
      vector([1, 1 + (row % 10) / 10], ...(row === 7 ? ([[5, 100]] as [number, number][]) : [])),
    )
    const query = vector([1, 1], [5, 1])
    const { hits, matchedAtLeast } = searchSparse({
      segments: [{ index: indexOf(rows) }],
      query,
      k: 1,
    })
    expect(hits).toEqual([{ segment: 0, row: 7, score: 100 + Math.fround(1.7) }])
    expect(matchedAtLeast).toBeLessThan(3_000)
  })

  it('finds rows that share a dimension, also at 0 and below', () => {
    const index = indexOf([
      vector([1, 1], [2, -1]),
      vector([1, -3]),
      vector([9, 5]),
      vector([1, 0]),
    ])
    const query = vector([1, 1], [2, 1], [7, 4])
    const { hits } = searchSparse({ segments: [{ index }], query, k: 10 })
    expect(hits.map(({ row, score }) => [row, score])).toEqual([
      [0, 0],
      [1, -3],
    ])
  })

  it('finds nothing where there is nothing', () => {
    const none = { hits: [], matchedAtLeast: 0 }
    const index = indexOf([undefined, vector()])
    expect(searchSparse({ segments: [], query: vector([1, 1]), k: 3 })).toEqual(none)
    expect(searchSparse({ segments: [{ index }], query: vector([1, 1]), k: 3 })).toEqual(none)
    expect(searchSparse({ segments: [{ index }], query: vector(), k: 3 })).toEqual(none)
  })
})

describe('a sparse index', () => {
  it('gives the vectors back, pairs in ascending order', () => {
    const index = indexOf([vector([9, 1.5], [2, -0]), undefined, vector([0, 3e38])])
    expect([0, 1, 2].map((row) => index.vector(row))).toEqual([
      vector([2, -0], [9, 1.5]),
      undefined,
      vector([0, 3e38]),
    ])
    expect([index.rows, index.pairs, index.dimensions]).toEqual([3, 3, 2])
  })

  it('has the same bytes for the same rows, in whatever order their pairs came', () => {
    const one = encode([vector([1, 2], [3, 4]), vector([5, 6])])
    expect(Buffer.compare(one, encode([vector([3, 4], [1, 2]), vector([5, 6])]))).toBe(0)
  })

  it('is refused for another number of rows', () => {
    expect(() => openSparseIndex(encode([vector([1, 2])]), 2)).toThrow('another number of rows')
  })
})

describe('a sparse vector', () => {
  it.each([
    ['an index twice', vector([1, 1], [2, 1], [1, 3]), 'an index twice'],
    ['a value that is not finite', vector([1, Number.NaN]), 'not finite'],
    ['a value beyond f32', vector([1, 1e39]), 'not finite'],
    ['values missing', { ...vector([1, 1]), values: new Float32Array() }, '1 indices and 0 values'],
  ])('is refused with %s', (_what, wrong, message) => {
    expect(() => checkedSparse(wrong)).toThrow(message)
    expect(() => createSparseIndexBuilder().add(wrong)).toThrow(message)
    const index = indexOf([vector([1, 1])])
    expect(() => searchSparse({ segments: [{ index }], query: wrong, k: 1 })).toThrow(message)
  })

  it('has a greatest number of pairs', () => {
    const pairs = (count: number): SparseVector => ({
      indices: Uint32Array.from({ length: count }, (_, i) => i),
      values: new Float32Array(count).fill(1),
    })
    expect(checkedSparse(pairs(limits.sparsePairsMax)).indices).toHaveLength(limits.sparsePairsMax)
    expect(() => checkedSparse(pairs(limits.sparsePairsMax + 1))).toThrow('65537 pairs')
  })

  it('is scored alone as in an index', () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 200; round++) {
      const query = checkedSparse(randomVector(random, 8, -100))
      const row = checkedSparse(randomVector(random, 8, -100))
      const { hits } = searchSparse({ segments: [{ index: indexOf([row]) }], query, k: 1 })
      expect(sparseScore(query, row)).toBe(hits[0]?.score)
    }
  })
})

/** The sum over the dimensions of both, ascending; undefined where they share none. */
function dot(query: SparseVector, row: SparseVector): number | undefined {
  const values = new Map<number, number>()
  for (const [i, index] of row.indices.entries()) values.set(index, row.values[i] as number)
  let score: number | undefined
  const order = [...query.indices.keys()].sort(
    (a, b) => (query.indices[a] as number) - (query.indices[b] as number),
  )
  for (const i of order) {
    const product = (query.values[i] as number) * (values.get(query.indices[i] as number) ?? 0)
    if (product !== 0) score = (score ?? 0) + product
  }
  return score
}
