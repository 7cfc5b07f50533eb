import { buildIndexSync } from '../../src/ann/build-index.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import type { BuiltIndex, SegmentVectors, VectorIndex } from '../../src/ann/vector-index.ts'
import type { Metric } from '../../src/core/metric.ts'
import type { IndexParameters, Quantization } from '../../src/core/schema.ts'
import { clusteredVectors, GRAPH, segmentOf } from './reference.ts'

export interface Site {
  readonly vectors: Float32Array
  readonly segment: SegmentVectors
  readonly parameters: IndexParameters
  readonly built: BuiltIndex
  /** Opened with its rows. */
  readonly memory: VectorIndex
}

export interface SiteShape {
  readonly rows: number
  readonly metric: Metric
  readonly dimension: number
  readonly form: Quantization
  /** Of the components; default 1. */
  readonly scale?: number
  readonly seed: number
}

/** A segment with codes and a graph; some rows tie, and one is of no direction. */
export function siteOf({ rows, metric, dimension, form, scale = 1, seed }: SiteShape): Site {
  const vectors = clusteredVectors(rows, dimension, seed).map((v) => v * scale)
  vectors.copyWithin(20 * dimension, 0, 10 * dimension)
  vectors.fill(0, 40 * dimension, 41 * dimension)
  const parameters = { ...GRAPH, quantization: form }
  const segment = segmentOf(metric, dimension, vectors)
  const built = buildIndexSync(segment, parameters, { graphRowsMin: 1 })
  const memory = openVectorIndex({ ...segment, ...built, parameters })
  return { vectors, segment, parameters, built, memory }
}
