import { buildIndexSync } from '../../src/ann/build-index.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import type { BuiltIndex, SegmentVectors, VectorIndex } from '../../src/ann/vector-index.ts'
import type { Bitset } from '../../src/core/bitset.ts'
import { exactDistance, type Metric } from '../../src/core/metric.ts'
import { DEFAULT_INDEX } from '../../src/core/schema.ts'

/** Numbers in −1…1 from a seed (mulberry32). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 31 - 1
  }
}

export const randomVectors = (count: number, seed: number): Float32Array => {
  const random = randomSource(seed)
  return Float32Array.from({ length: count }, random)
}

/** Points around a few centres, as embeddings lie. */
export function clusteredVectors(rows: number, dimension: number, seed: number): Float32Array {
  const random = randomSource(seed)
  const centres = Array.from({ length: 40 }, () => Float32Array.from({ length: dimension }, random))
  const all = new Float32Array(rows * dimension)
  for (let row = 0; row < rows; row++) {
    const centre = centres[Math.floor((random() + 1) * 20)] as Float32Array
    for (let i = 0; i < dimension; i++) {
      all[row * dimension + i] = (centre[i] as number) + 0.5 * random()
    }
  }
  return all
}

export const segmentOf = (
  metric: Metric,
  dimension: number,
  vectors: Float32Array,
): SegmentVectors => ({ rows: vectors.length / dimension, dimension, metric, pieces: [vectors] })

export const GRAPH = { ...DEFAULT_INDEX, m: 8, efConstruction: 60 }

/** Builds with a graph whatever the size, and opens what was built. */
export function buildAndOpen(segment: SegmentVectors): { built: BuiltIndex; index: VectorIndex } {
  const built = buildIndexSync(segment, GRAPH, { graphRowsMin: 1 })
  return { built, index: openVectorIndex({ ...segment, ...built, parameters: GRAPH }) }
}

export interface Expected {
  readonly row: number
  readonly distance: number
}

/** The plain answer: every allowed row by exact distance, ties by row. */
export function exactHits(
  { metric, dimension, rows }: SegmentVectors,
  vectors: Float32Array,
  search: { readonly query: Float32Array; readonly k: number; readonly allowed?: Bitset },
): Expected[] {
  const hits: Expected[] = []
  for (let row = 0; row < rows; row++) {
    if (search.allowed !== undefined && !search.allowed.has(row)) continue
    const vector = vectors.subarray(row * dimension, (row + 1) * dimension)
    hits.push({ row, distance: exactDistance(metric, search.query, vector) })
  }
  return hits.sort((a, b) => a.distance - b.distance || a.row - b.row).slice(0, search.k)
}
