import { limits } from '../core/limits.ts'
import { METRICS, type Metric } from '../core/metric.ts'
import type { Quantization } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import {
  BATCH_ROWS_MAX,
  BIT_STRIDE_UNIT,
  CENTROIDS,
  CONTEXT,
  CONTEXT_BYTES,
  INDEX,
  INDEX_BYTES,
  LEVELS_MAX,
  PIECE,
  PLANES,
  QUERY,
  QUERY_BYTES,
  SCRATCH_ROWS,
  STRIDE_UNIT,
} from './kernel/layout.ts'
import { trainingRows } from './quantization.ts'

/** What a segment's memory must hold. */
export interface SegmentShape {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  /** Codes that searches read; default int8. */
  readonly form?: Quantization
  /** Whether float32 rows stay outside. */
  readonly onDisk?: boolean
  /** Whether codes are computed here: that takes room to train in. */
  readonly codes?: 'computed' | 'stored'
  /** Absent: no graph. */
  readonly graph?: {
    readonly m: number
    readonly efConstruction: number
    /** Words of the lists above level 0. */
    readonly upperWords: number
    /** Whether it is to be built: that takes distances beside the links. */
    readonly build: boolean
  }
  /** Threads that work on it at once. */
  readonly contexts: number
}

/** Where everything lies in one segment's memory. Plain data: may be posted to workers. */
export interface SegmentPlan {
  readonly shape: SegmentShape
  /** Components of a row with its padding. */
  readonly stride: number
  readonly bytes: number
  /** The header. */
  readonly index: number
  /** A second one, for the segment once its rows are there where others search it without. */
  readonly fullIndex: number
  /** Address of each array of the segment, by the header's field. */
  readonly arrays: Readonly<Record<string, number>>
  readonly contexts: readonly ContextPlan[]
}

/** One thread's scratch space. */
export interface ContextPlan {
  readonly address: number
  readonly filter: number
  /** A header of the segment's kind over a few rows that come from outside. */
  readonly scratchIndex: number
  /** Keys that the top heap holds. */
  readonly kept: number
  /** What queries point at, by field. */
  readonly queries: Readonly<Record<'query' | 'row', Readonly<Record<string, number>>>>
  readonly arrays: Readonly<Record<string, number>>
}

/** The first bytes stay free: address 0 means "none" to the kernel. */
const FIRST_ADDRESS = 4_096
const ALIGNMENT = 64
const INT32_MAX = 2 ** 31 - 1

/**
 * Lays a segment out in one linear memory.
 * Errors: LIMIT where rows, dimension or the sum of bytes are beyond limits.
 */
export function planSegment(shape: SegmentShape): SegmentPlan {
  checkShape(shape)
  const { rows, dimension, graph } = shape
  const stride = strideOf(dimension)
  const space = allocator()
  const index = space.take(INDEX_BYTES)
  const fullIndex = space.take(INDEX_BYTES)
  const form = shape.form ?? 'int8'
  const stored = shape.onDisk === true ? 0 : rows
  // Graphs are built over int8 codes, whatever form is stored.
  const coded = form === 'int8' || graph?.build === true ? rows : 0
  const arrays: Record<string, number> = {
    vectors: space.take(stored * stride * 4),
    codes: space.take(coded * stride),
    factors: space.take(stored * 4),
    scales: space.take(coded * 4),
    biases: space.take(shape.metric === 'l2' ? coded * 4 : 0),
    centre: space.take(stride * 4),
    sums: space.take(shape.metric === 'l2' || form === 'binary' ? stride * 8 : 0),
    ...(form === 'binary' ? planBits(shape, space) : {}),
    ...(form === 'pq' ? planPieces(shape, space) : {}),
  }
  if (graph !== undefined) {
    const words0 = rows * (2 * graph.m + 1)
    Object.assign(arrays, {
      links0: space.take(words0 * 4),
      levels: space.take(rows),
      upperAt: space.take(rows * 4),
      upper: space.take(graph.upperWords * 4),
    })
    if (graph.build) {
      Object.assign(arrays, {
        distances0: space.take(words0 * 4),
        distancesUpper: space.take(graph.upperWords * 4),
        staged: space.take(BATCH_ROWS_MAX * LEVELS_MAX * (2 * graph.m + 1) * 4),
      })
    }
  }
  const contexts = Array.from({ length: shape.contexts }, () => planContext(shape, space))
  const bytes = space.bytes()
  checkBytes(shape, bytes)
  return { shape, stride, bytes, index, fullIndex, arrays, contexts }
}

/** The header's fields as the kernel wants them. */
export function indexFields(plan: SegmentPlan): Record<string, number> {
  const { shape, stride } = plan
  const { rows, dimension } = shape
  return {
    ...plan.arrays,
    bitStride: bitStrideOf(dimension),
    pieceStride: subspacesOf(dimension),
    subspaces: subspacesOf(dimension),
    sampleRows: trainingRows(rows),
    rows,
    dimension,
    stride,
    metric: METRICS.indexOf(shape.metric),
    // Sums of int8 × int16 products stay inside int32 for this many steps of the query.
    queryMax: Math.min(32_767, Math.floor(INT32_MAX / (128 * stride))),
    m: shape.graph?.m ?? 0,
    m0: 2 * (shape.graph?.m ?? 0),
    efConstruction: shape.graph?.efConstruction ?? 0,
    maxBatch: BATCH_ROWS_MAX,
  }
}

/** Byte offset of a struct's field. */
export const fieldOffset = (struct: 'index' | 'query' | 'context', name: string): number => {
  const offset = { index: INDEX, query: QUERY, context: CONTEXT }[struct][name]
  if (offset === undefined) throw new Error(`kernel struct ${struct} has no field ${name}`)
  return offset
}

/** Bytes of one row's bits with their padding. */
const bitStrideOf = (dimension: number): number =>
  Math.ceil(dimension / 8 / BIT_STRIDE_UNIT) * BIT_STRIDE_UNIT

/** Bytes of one row in product quantisation. */
export const subspacesOf = (dimension: number): number => Math.ceil(dimension / PIECE)

const planBits = ({ rows, dimension }: SegmentShape, space: Allocator): Record<string, number> => ({
  bits: space.take(rows * bitStrideOf(dimension)),
  bitScales: space.take(rows * 4),
  bitBiases: space.take(rows * 4),
  mean: space.take(strideOf(dimension) * 4),
})

function planPieces(shape: SegmentShape, space: Allocator): Record<string, number> {
  const { rows, dimension } = shape
  const subspaces = subspacesOf(dimension)
  const arrays = {
    pieces: space.take(rows * subspaces),
    centroids: space.take(subspaces * CENTROIDS * PIECE * 4),
    halves: space.take(subspaces * CENTROIDS * 4),
  }
  if (shape.codes === 'stored') return arrays
  const sampled = trainingRows(rows)
  // A factor and 8 components for each row of the sample; sums and counts for each centroid.
  const training = sampled * (8 + PIECE * 4) + CENTROIDS * (PIECE * 8 + 4)
  return { ...arrays, sample: space.take(sampled * 4), training: space.take(training) }
}

const strideOf = (dimension: number): number => Math.ceil(dimension / STRIDE_UNIT) * STRIDE_UNIT

function planContext(shape: SegmentShape, space: Allocator): ContextPlan {
  const stride = strideOf(shape.dimension)
  const { rows, graph } = shape
  const m0 = 2 * (graph?.m ?? 0)
  // The top heap holds what a search keeps, or a full list and one more while building.
  const kept = Math.min(rows, limits.searchEfMax) + m0 + 16
  const listed = Math.max(kept, BATCH_ROWS_MAX, 64) + 16
  const address = space.take(CONTEXT_BYTES)
  const filter = space.take(Math.ceil(rows / 32) * 4)
  const query = planQuery(shape, space)
  const row = planQuery({ ...shape, form: 'int8' }, space)
  const scratchIndex = space.take(INDEX_BYTES)
  const walks = graph === undefined ? 0 : rows
  return {
    address,
    filter,
    scratchIndex,
    kept,
    queries: { query, row },
    arrays: {
      query: query.address as number,
      row: row.address as number,
      raw: space.take(stride * 4),
      visited: space.take(walks * 2),
      candidates: space.take((walks + 16) * 8),
      top: space.take(kept * 8),
      ids: space.take(listed * 4),
      distances: space.take(listed * 4),
      outIds: space.take(kept * 4),
      outDistances: space.take(kept * 4),
      selected: space.take((m0 + 16) * 4),
      batchKeys: space.take(BATCH_ROWS_MAX * 8),
      scratch: space.take(SCRATCH_ROWS * stride * 4),
      scratchFactors: space.take(SCRATCH_ROWS * 4),
    },
  }
}

/** Addresses of a query and of what its form reads. */
function planQuery({ dimension, form }: SegmentShape, space: Allocator): Record<string, number> {
  const stride = strideOf(dimension)
  return {
    address: space.take(QUERY_BYTES),
    values: space.take(stride * 4),
    codes: space.take(stride * 2),
    planes: space.take(form === 'binary' ? bitStrideOf(dimension) * PLANES : 0),
    table: space.take(form === 'pq' ? subspacesOf(dimension) * CENTROIDS * 4 : 0),
  }
}

interface Allocator {
  /** Address of a fresh region. */
  take(bytes: number): number
  bytes(): number
}

function allocator(): Allocator {
  let next = FIRST_ADDRESS
  return {
    take: (bytes) => {
      const address = next
      next = Math.ceil((next + bytes) / ALIGNMENT) * ALIGNMENT
      return address
    },
    bytes: () => next,
  }
}

function checkShape({ rows, dimension, graph }: SegmentShape): void {
  if (!Number.isInteger(rows) || rows < 0 || rows > limits.segmentRowsMax) {
    throw overLimit('segmentRowsMax', `a segment of ${rows} rows`)
  }
  if (!Number.isInteger(dimension) || dimension < 1 || dimension > limits.dimensionMax) {
    throw overLimit('dimensionMax', `vectors of ${dimension} components`)
  }
  if (graph === undefined) return
  const { m, efConstruction } = graph
  if (!Number.isInteger(m) || m < 2 || m > limits.graphLinksMax) {
    throw overLimit('graphLinksMax', `a graph with m = ${m}`)
  }
  if (!Number.isInteger(efConstruction) || efConstruction > limits.efConstructionMax) {
    throw overLimit('efConstructionMax', `a graph with efConstruction = ${efConstruction}`)
  }
}

function checkBytes({ rows, dimension }: SegmentShape, bytes: number): void {
  if (bytes <= limits.segmentMemoryBytesMax) return
  throw overLimit(
    'segmentMemoryBytesMax',
    `a segment of ${rows} × ${dimension} needs ${bytes} bytes of memory`,
  )
}

function overLimit(name: keyof typeof limits, what: string): AkidbError {
  return new AkidbError('LIMIT', `${what}: beyond the limit ${name} = ${limits[name]}`, {
    hint: 'Use smaller segments, vectors or index parameters.',
    details: { limit: name, max: limits[name] },
  })
}
