import { describe, expect, it } from 'vitest'
import { createForBuild, prepareBuild } from '../../src/ann/build-index.ts'
import { encodeGraph } from '../../src/ann/graph.ts'
import { mendGraph } from '../../src/ann/mend-graph.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import type { Segment } from '../../src/ann/segment.ts'
import type { VectorIndex } from '../../src/ann/vector-index.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import { GRAPH, randomSource, randomVectors, segmentOf } from './reference.ts'

const ROWS = 4_000
const PARAMETERS = { ...GRAPH, m: 4 }

/** Rows whose own vector does not find them. */
function missed(index: VectorIndex, vectors: Float32Array): number {
  const { dimension, rows } = index
  let count = 0
  for (let row = 0; row < rows; row++) {
    const query = vectors.subarray(row * dimension, (row + 1) * dimension)
    const hits = index.search({ query, k: 10, ef: 64, kind: 'graph' })
    if (!hits.rows.includes(row)) count++
  }
  return count
}

/** Rows that no path of links leads to, from those that are on higher levels too. */
function unreached(segment: Segment): number {
  const { rows, u32, u8 } = segment
  const words = segment.getIndex('m0') + 1
  const levels = u8.subarray(segment.address('levels'), segment.address('levels') + rows)
  const waiting = [...levels.entries()].filter(([, level]) => level > 0).map(([row]) => row)
  const seen = new Set(waiting)
  for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) {
    const at = segment.address('links0') / 4 + row * words
    for (const to of u32.subarray(at + 1, at + 1 + (u32[at] as number))) {
      if (seen.has(to)) continue
      seen.add(to)
      waiting.push(to)
    }
  }
  return rows - seen.size
}

function built(vectors: Float32Array, dimension: number, metric: Metric): Segment {
  const rows = segmentOf(metric, dimension, vectors)
  const segment = createForBuild(rows, PARAMETERS, { graphRowsMin: 1, threads: 1 })
  segment.loadRows([vectors], 'BAD_INPUT')
  prepareBuild(segment)
  segment.exports.build(segment.plan.index, segment.context.address, 0, 1)
  return segment
}

const opened = (segment: Segment, vectors: Float32Array): VectorIndex =>
  openVectorIndex({
    ...segmentOf(segment.metric, segment.dimension, vectors),
    graph: encodeGraph(segment),
    parameters: PARAMETERS,
  })

it('finds rows that are nearly alike and came one after the other', () => {
  const [dimension, alike] = [40, 100]
  const random = randomSource(82)
  const vectors = new Float32Array(ROWS * dimension)
  let centre = new Float32Array(0)
  for (let row = 0; row < ROWS; row++) {
    if (row % alike === 0) centre = Float32Array.from({ length: dimension }, random)
    vectors.set(
      centre.map((value) => value + 0.02 * random()),
      row * dimension,
    )
  }
  const segment = built(vectors, dimension, 'l2')
  const before = missed(opened(segment, vectors), vectors)
  mendGraph(segment)
  expect(before).toBeGreaterThan(ROWS / 40)
  expect(missed(opened(segment, vectors), vectors)).toBeLessThan(ROWS / 1_000)
})

describe.each([40, 72])('the graph of rows at random, of %i components', (dimension) => {
  const vectors = randomVectors(ROWS * dimension, 81)

  it.each(METRICS.filter((metric) => metric !== 'dot'))('reaches all rows, by %s', (metric) => {
    const segment = built(vectors, dimension, metric)
    expect(unreached(segment)).toBeGreaterThan(0)
    const before = missed(opened(segment, vectors), vectors)
    mendGraph(segment)
    expect(unreached(segment)).toBe(0)
    expect(missed(opened(segment, vectors), vectors)).toBeLessThan(before * 0.75)
  })
})
