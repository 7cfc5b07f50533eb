import { describe, expect, it } from 'vitest'
import {
  filteredBudget,
  filteredPassing,
  filteredWalk,
  widerWalk,
} from '../../src/ann/filtered-walk.ts'
import type { VectorIndex } from '../../src/ann/vector-index.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { buildAndOpen, exactHits, randomSource, randomVectors, segmentOf } from './reference.ts'

const CLUSTERS = 5

/** Rows in a few tight clusters, row i in cluster i mod CLUSTERS. */
function clusters(rows: number, dimension: number): Float32Array {
  const random = randomSource(71)
  const centres = Array.from({ length: CLUSTERS }, () =>
    Float32Array.from({ length: dimension }, random),
  )
  const all = new Float32Array(rows * dimension)
  for (let row = 0; row < rows; row++) {
    const centre = centres[row % CLUSTERS] as Float32Array
    for (let i = 0; i < dimension; i++) {
      all[row * dimension + i] = (centre[i] as number) + 0.2 * random()
    }
  }
  return all
}

interface Asked {
  readonly index: VectorIndex
  readonly vectors: Float32Array
  readonly allowed: Bitset
  readonly k: number
  readonly ef: number
  /** Cluster that the queries lie in. */
  readonly from: number
}

/** Recall of 20 queries, and the most rows that one of them looked at. */
function measured({ index, vectors, allowed, k, ef, from }: Asked) {
  const { rows, dimension } = index
  const segment = segmentOf('l2', dimension, vectors)
  let found = 0
  let evaluated = 0
  for (let i = 0; i < 20; i++) {
    const query = index.vector(from + CLUSTERS * 7 * i).map((v, j) => v + 0.05 * Math.sin(i + j))
    const truth = new Set(exactHits(segment, vectors, { query, k, allowed }).map(({ row }) => row))
    const hits = index.search({ query, k, ef, kind: 'graph', allowed })
    found += [...hits.rows].filter((row) => truth.has(row)).length
    evaluated = Math.max(evaluated, hits.evaluated)
  }
  return { recall: found / (20 * k), evaluated, rows }
}

const clustersOf = (rows: number, wanted: readonly number[]): Bitset =>
  Bitset.from(
    rows,
    Array.from({ length: rows }, (_, row) => row).filter((row) => wanted.includes(row % CLUSTERS)),
  )

// Of 40 rows both walk and scan float32, of 72 they take codes.
describe.each([40, 72])('a walk with a filter, of %i components', (dimension) => {
  const rows = 6_000
  const vectors = clusters(rows, dimension)
  const { index } = buildAndOpen(segmentOf('l2', dimension, vectors))
  const same = { index, vectors, k: 10, ef: 100 }

  it('finds what is nearest where the filter leaves what is far', () => {
    for (const wanted of [[1], [1, 2], [1, 2, 3, 4]]) {
      const allowed = clustersOf(rows, wanted)
      const { recall, evaluated } = measured({ ...same, allowed, from: 0 })
      expect(recall).toBeGreaterThanOrEqual(0.99)
      expect(evaluated).toBeLessThan(2 * allowed.count() + 4 * same.ef)
    }
  })

  it('finds as much as one without a filter where it leaves what is near', () => {
    const all = measured({ ...same, allowed: Bitset.full(rows), from: 0 }).recall
    for (const wanted of [[0], [0, 1], [0, 1, 2]]) {
      const { recall } = measured({ ...same, allowed: clustersOf(rows, wanted), from: 0 })
      expect(recall).toBeGreaterThanOrEqual(all - 0.03)
    }
  })
})

/** Rows at random, a query among them, and all rows but the nearest `part` of them. */
function aroundABall(rows: number, dimension: number, part: number) {
  const vectors = randomVectors(rows * dimension, 72)
  const segment = segmentOf('l2', dimension, vectors)
  const query = vectors.slice(0, dimension)
  const allowed = Bitset.full(rows)
  for (const { row } of exactHits(segment, vectors, { query, k: rows * part })) allowed.remove(row)
  const nearest = (k: number): number[] =>
    exactHits(segment, vectors, { query, k, allowed }).map(({ row }) => row)
  return { index: buildAndOpen(segment).index, query, allowed, nearest }
}

it('a walk that comes upon no row that passes is lost before it has cost as much as a scan', () => {
  const { index, query, allowed, nearest } = aroundABall(6_000, 40, 0.1)
  const hits = index.search({ query, k: 10, ef: 40, kind: 'graph', allowed })
  expect([...hits.rows]).toEqual(nearest(10))
  expect(hits.evaluated).toBeGreaterThan(allowed.count())
  expect(hits.evaluated).toBeLessThan(allowed.count() * 1.15)
})

it('a walk that was lost among many rows is begun again with more rows kept', () => {
  const { index, query, allowed, nearest } = aroundABall(20_000, 16, 0.01)
  const hits = index.search({ query, k: 1, ef: 8, kind: 'graph', allowed })
  expect([...hits.rows]).toEqual(nearest(1))
  expect(hits.evaluated).toBeLessThan(allowed.count() / 5)
})

describe('how far a walk with a filter goes', () => {
  const shape = { rows: 100_000, matching: 100_000, k: 18, ef: 128 }
  const wide = { dimension: 128 }

  it('is as far as one without where all rows pass, and no farther where fewer do', () => {
    expect(filteredWalk(shape, 9)).toMatchObject({ ef: 128, steps: 128, passing: 128, budget: 9 })
    const steps = [100_000, 90_000, 70_000, 50_000].map((matching) => {
      const bounds = filteredWalk({ ...shape, matching }, 9)
      expect(bounds.passing).toBeCloseTo((bounds.steps * matching) / shape.rows, -1)
      expect(bounds.passingLeast).toBeLessThan(bounds.passing / 10)
      return bounds.steps
    })
    expect(steps).toEqual([128, 116, 90, 80])
  })

  it('is until a few times k pass, ef at most', () => {
    expect(filteredPassing({ ...shape, matching: 10_000 })).toBe(40)
    expect(filteredPassing({ ...shape, matching: 10_000, k: 9 })).toBe(22)
    expect(filteredPassing({ ...shape, matching: 10_000, k: 108 })).toBe(128)
    expect(filteredPassing({ ...shape, matching: 1, ef: 20 })).toBe(20)
  })

  it('is a second time where a scan costs far more, and within half of its cost', () => {
    const few = { ...shape, ...wide, matching: 20_000 }
    expect(widerWalk('scan-int8', few)).toBeUndefined()
    const many = { ...shape, ...wide, rows: 1_000_000, matching: 900_000 }
    const budget = filteredBudget('scan-int8', many)
    expect(widerWalk('scan-int8', many)).toMatchObject({ ef: 512, passingLeast: 0 })
    expect(widerWalk('scan-int8', many)?.budget).toBe(Math.ceil(budget / 2))
    expect(budget).toBeLessThan(many.matching)
  })
})
