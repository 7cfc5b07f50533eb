import { limits } from '../core/limits.ts'
import { METRICS, type Metric } from '../core/metric.ts'
import { AkidbError } from '../errors/errors.ts'
import {
  BATCH_ROWS_MAX,
  CONTEXT,
  CONTEXT_BYTES,
  INDEX,
  INDEX_BYTES,
  LEVELS_MAX,
  QUERY,
  QUERY_BYTES,
  STRIDE_UNIT,
} from './kernel/layout.ts'

/** What a segment's memory must hold. */
export interface SegmentShape {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
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
  readonly index: number
  /** Address of each array of the segment, by the header's field. */
  readonly arrays: Readonly<Record<string, number>>
  readonly contexts: readonly ContextPlan[]
}

/** One thread's scratch space. */
export interface ContextPlan {
  readonly address: number
  readonly filter: number
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
  const stride = Math.ceil(dimension / STRIDE_UNIT) * STRIDE_UNIT
  const space = allocator()
  const index = space.take(INDEX_BYTES)
  const arrays: Record<string, number> = {
    vectors: space.take(rows * stride * 4),
    codes: space.take(rows * stride),
    factors: space.take(rows * 4),
    scales: space.take(rows * 4),
    biases: space.take(shape.metric === 'l2' ? rows * 4 : 0),
    centre: space.take(stride * 4),
    sums: space.take(shape.metric === 'l2' ? stride * 8 : 0),
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
  const contexts = Array.from({ length: shape.contexts }, () => planContext(shape, stride, space))
  const bytes = space.bytes()
  checkBytes(shape, bytes)
  return { shape, stride, bytes, index, arrays, contexts }
}

/** The header's fields as the kernel wants them. */
export function indexFields(plan: SegmentPlan): Record<string, number> {
  const { shape, stride } = plan
  return {
    ...plan.arrays,
    rows: shape.rows,
    dimension: shape.dimension,
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

function planContext(shape: SegmentShape, stride: number, space: Allocator): ContextPlan {
  const { rows, graph } = shape
  const m0 = 2 * (graph?.m ?? 0)
  // The top heap holds what a search keeps, or a full list and one more while building.
  const kept = Math.min(rows, limits.searchEfMax) + m0 + 16
  const listed = Math.max(kept, BATCH_ROWS_MAX, 64) + 16
  const address = space.take(CONTEXT_BYTES)
  const filter = space.take(Math.ceil(rows / 32) * 4)
  const query = planQuery(stride, space)
  const row = planQuery(stride, space)
  const walks = graph === undefined ? 0 : rows
  return {
    address,
    filter,
    arrays: {
      query: query.address,
      queryValues: query.values,
      queryCodes: query.codes,
      row: row.address,
      rowValues: row.values,
      rowCodes: row.codes,
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
    },
  }
}

const planQuery = (stride: number, space: Allocator) => ({
  address: space.take(QUERY_BYTES),
  values: space.take(stride * 4),
  codes: space.take(stride * 2),
})

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
