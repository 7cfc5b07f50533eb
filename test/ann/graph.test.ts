import { describe, expect, it } from 'vitest'
import { buildIndexSync, createForBuild, prepareBuild } from '../../src/ann/build-index.ts'
import { decodeGraph, encodeGraph } from '../../src/ann/graph.ts'
import { graphLevels } from '../../src/ann/levels.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import type { OpenIndexInput, VectorIndex } from '../../src/ann/vector-index.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { METRICS } from '../../src/core/metric.ts'
import { hasCode } from '../../src/errors/errors.ts'
import {
  buildAndOpen,
  clusteredVectors,
  exactHits,
  GRAPH,
  randomSource,
  randomVectors,
  segmentOf,
} from './reference.ts'

const ROWS = 3_000

function recallOf(index: VectorIndex, found: (query: Float32Array) => ReadonlySet<number>): number {
  let hits = 0
  for (let i = 0; i < 30; i++) {
    const query = index.vector(i * 97).map((v, j) => v + Math.sin(i + j) * 0.1)
    const truth = found(query)
    for (const row of index.search({ query, k: 10, ef: 100, kind: 'graph' }).rows) {
      if (truth.has(row)) hits++
    }
  }
  return hits / 300
}

describe.each(METRICS)('graph by %s', (metric) => {
  it.each([2, 8, 64, 65, 130])('finds nearly all nearest rows at dimension %i', (dimension) => {
    const vectors = clusteredVectors(ROWS, dimension, 40)
    const segment = segmentOf(metric, dimension, vectors)
    const { index } = buildAndOpen(segment)
    const recall = recallOf(
      index,
      (query) => new Set(exactHits(segment, vectors, { query, k: 10 }).map(({ row }) => row)),
    )
    // Largest inner products of short vectors lie at the rim, where a graph of nearest links is
    // thin.
    expect(recall).toBeGreaterThan(metric === 'dot' ? 0.85 : 0.95)
  })

  it('returns k rows whatever the filter leaves', () => {
    const dimension = 70
    const { index } = buildAndOpen(
      segmentOf(metric, dimension, clusteredVectors(ROWS, dimension, 41)),
    )
    const random = randomSource(42)
    for (const share of [0.5, 0.1, 0.01, 0.002]) {
      const allowed = new Bitset(ROWS)
      for (let row = 0; row < ROWS; row++) if ((random() + 1) / 2 < share) allowed.add(row)
      const hits = index.search({ query: index.vector(5), k: 10, ef: 20, kind: 'graph', allowed })
      expect(hits.rows.length).toBe(Math.min(10, allowed.count()))
      expect([...hits.rows].every((row) => allowed.has(row))).toBe(true)
    }
  })
})

it('keeps l2 recall where all vectors share a large offset', () => {
  const dimension = 70
  const vectors = clusteredVectors(ROWS, dimension, 43).map((v) => v + 1_000)
  const segment = segmentOf('l2', dimension, vectors)
  const { index } = buildAndOpen(segment)
  const recall = recallOf(
    index,
    (query) => new Set(exactHits(segment, vectors, { query, k: 10 }).map(({ row }) => row)),
  )
  expect(recall).toBeGreaterThan(0.95)
})

it('finds rows that a filter leaves far away from the query', () => {
  const dimension = 66
  const vectors = clusteredVectors(ROWS, dimension, 44)
  for (let row = 2_900; row < ROWS; row++) vectors[row * dimension] = -50
  const segment = segmentOf('l2', dimension, vectors)
  const { index } = buildAndOpen(segment)
  const allowed = Bitset.from(
    ROWS,
    Array.from({ length: 100 }, (_, i) => 2_900 + i),
  )
  const query = vectors.slice(0, dimension)
  const { rows, evaluated } = index.search({ query, k: 10, ef: 50, kind: 'graph', allowed })
  expect([...rows]).toEqual(
    exactHits(segment, vectors, { query, k: 10, allowed }).map((h) => h.row),
  )
  expect(evaluated).toBeLessThan(1_000)
})

describe('levels', () => {
  it.each([2, 3, 16, 64])('thin out by m = %i', (m) => {
    const { levels, entry, maxLevel } = graphLevels(100_000, m)
    const above = levels.filter((level) => level > 0).length
    expect(above * m).toBeGreaterThan(90_000)
    expect(above * m).toBeLessThan(110_000)
    expect(levels[entry]).toBe(maxLevel)
    expect(Math.max(...levels.subarray(0, entry + 1))).toBe(maxLevel)
  })

  it('do not depend on the number of rows', () => {
    expect(graphLevels(500, 4).levels).toEqual(graphLevels(900, 4).levels.subarray(0, 500))
  })
})

describe('graph bytes', () => {
  const dimension = 20
  const segment = segmentOf('cosine', dimension, randomVectors(60 * dimension, 50))
  const parameters = { ...GRAPH, m: 3 }
  const built = buildIndexSync(segment, parameters, { graphRowsMin: 1 })
  const graph = built.graph as Uint8Array
  const input: OpenIndexInput = { ...segment, ...built, parameters }

  it('survive decoding and encoding', () => {
    const fresh = createForBuild(segment, parameters, { graphRowsMin: 1, threads: 1 })
    fresh.loadRows(segment.pieces, 'BAD_INPUT')
    prepareBuild(fresh)
    decodeGraph(fresh, graph)
    expect(encodeGraph(fresh)).toEqual(graph)
  })

  it('are refused when cut anywhere or longer', () => {
    for (let bytes = 0; bytes < graph.length; bytes++) {
      expect(() => openVectorIndex({ ...input, graph: graph.slice(0, bytes) })).toThrow(
        expect.objectContaining({ code: 'INTEGRITY' }),
      )
    }
    const longer = new Uint8Array(graph.length + 1)
    longer.set(graph)
    expect(() => openVectorIndex({ ...input, graph: longer })).toThrow(/wrong length/)
  })

  it('with any bit flipped are refused or still give valid rows', () => {
    let refused = 0
    for (let bit = 0; bit < graph.length * 8; bit++) {
      const flipped = graph.slice()
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7))
      const opened = tryOpen({ ...input, graph: flipped })
      if (opened === undefined) {
        refused++
        continue
      }
      const query = randomVectors(dimension, bit)
      const { rows } = opened.search({ query, k: 10, ef: 20, kind: 'graph' })
      expect(new Set(rows).size).toBe(10)
      expect([...rows].every((row) => row < 60)).toBe(true)
    }
    expect(refused).toBeGreaterThan(graph.length)
  })

  it('of another metric, size or dimension are refused', () => {
    for (const other of [{ metric: 'dot' }, { rows: 59 }, { dimension: 19 }] as const) {
      expect(() => openVectorIndex({ ...input, ...other })).toThrow(
        expect.objectContaining({ code: 'INTEGRITY' }),
      )
    }
  })
})

function tryOpen(input: OpenIndexInput): VectorIndex | undefined {
  try {
    return openVectorIndex(input)
  } catch (error) {
    if (hasCode(error, 'INTEGRITY')) return undefined
    throw error
  }
}

it('never reads outside its arrays when link memory holds random bytes', () => {
  const seed = Date.now() >>> 0
  const random = randomSource(seed)
  const vectors = randomVectors(500 * 70, 60)
  for (let round = 0; round < 20; round++) {
    const shape = segmentOf('cosine', 70, vectors)
    const segment = createForBuild(shape, GRAPH, { graphRowsMin: 1, threads: 1 })
    segment.loadRows(shape.pieces, 'BAD_INPUT')
    prepareBuild(segment)
    const { exports, plan, context } = segment
    exports.build(plan.index, context.address, 0, 1)
    const from = segment.address('links0')
    const to = segment.address('levels')
    for (let at = from; at < to; at++) segment.u8[at] = Math.floor((random() + 1) * 128)
    const before = segment.u8.slice(0, from)
    segment.setContext('budget', 0xffffffff)
    const count = exports.search(plan.index, context.address, 10, 50, 0, 40)
    const out = (context.arrays.outIds as number) / 4
    const rows = segment.u32.slice(out, out + count)
    expect(new Set(rows).size, `seed ${seed}`).toBe(count)
    expect(
      [...rows].every((row) => row < 500),
      `seed ${seed}`,
    ).toBe(true)
    expect(Buffer.compare(segment.u8.slice(0, from), before), `seed ${seed}`).toBe(0)
  }
})
