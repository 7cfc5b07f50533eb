import type { Bitset } from '../core/bitset.ts'
import { limits } from '../core/limits.ts'
import { distanceOfSums, type Metric, normOf } from '../core/metric.ts'
import type { Quantization } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import {
  filteredBudget,
  filteredWalk,
  plainWalk,
  type WalkBounds,
  widerWalk,
} from './filtered-walk.ts'
import { FORM_F32, SCRATCH_ROWS } from './kernel/layout.ts'
import { F32_WALK_DIMENSION_MAX, rescoreCount } from './quantization.ts'
import { copyRows, type Segment } from './segment.ts'
import type { Placement, RowHits, RowSearch, SharedIndex, VectorIndex } from './vector-index.ts'

const NO_HITS: RowHits = {
  rows: new Uint32Array(0),
  distances: new Float32Array(0),
  evaluated: 0,
}
/** Distances beyond it are held there. */
export const FLOAT32_MAX = 3.4028234663852886e38

/** A loaded segment, searched by the kernel on the calling thread. */
export class KernelIndex implements VectorIndex {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  readonly hasGraph: boolean
  readonly form: Quantization
  readonly placement: Placement
  readonly memoryBytes: number
  #segment: Segment | undefined

  constructor(segment: Segment) {
    this.rows = segment.rows
    this.dimension = segment.dimension
    this.metric = segment.metric
    this.hasGraph = segment.plan.shape.graph !== undefined && segment.rows > 0
    this.form = segment.form
    this.placement = segment.onDisk ? 'disk' : 'memory'
    this.memoryBytes = segment.u8.length
    this.#segment = segment
  }

  get normMax(): number {
    return this.#open().normMax
  }

  search(request: RowSearch): RowHits {
    const segment = this.#open()
    if (segment.onDisk) throw new Error('the rows of this segment are on disk: ask for candidates')
    const task = prepare(segment, request)
    if (task.matching === 0) return NO_HITS
    const { k, over } = task
    const limit = { k: Math.min(k, this.rows), over: Math.min(over, this.rows) }
    const walked = request.kind === 'graph' ? walk(segment, task, limit) : undefined
    if (walked?.isComplete === true) return walked.hits
    const used = scanForm(segment, task, request.kind)
    const scanned = scan(segment, task, {
      ...limit,
      over: used === FORM_F32 ? 0 : limit.over,
      used,
    })
    return { ...scanned, evaluated: scanned.evaluated + (walked?.hits.evaluated ?? 0) }
  }

  candidates(request: RowSearch): RowHits {
    const segment = this.#open()
    const task = prepare(segment, request)
    if (task.matching === 0) return NO_HITS
    const limit = { k: Math.min(task.over, this.rows), over: 0 }
    const walked = request.kind === 'graph' ? walk(segment, task, limit) : undefined
    if (walked?.isComplete === true) return walked.hits
    const used = scanForm(segment, task, request.kind)
    if (used === FORM_F32 && segment.onDisk) return allMatching(segment, request)
    const scanned = scan(segment, task, { ...limit, used })
    return { ...scanned, evaluated: scanned.evaluated + (walked?.hits.evaluated ?? 0) }
  }

  rescore(
    query: Float32Array,
    rows: Uint32Array,
    vectors: Float32Array,
    k: number = rows.length,
  ): RowHits {
    const segment = this.#open()
    if (rows.length === 0) return NO_HITS
    checkQuery(query, this.dimension)
    checkCount('the number of rows', rows.length, 'searchEfMax')
    checkCount('k', k, 'searchEfMax')
    if (vectors.length !== rows.length * this.dimension) {
      throw new Error(`${vectors.length} components for ${rows.length} rows`)
    }
    if (rows.length > this.rows || rows.some((row) => row >= this.rows)) {
      throw new RangeError(`rows beyond the ${this.rows} of the segment`)
    }
    return rescoreRows(segment, query, { rows, vectors, k: Math.min(k, rows.length) })
  }

  distances(query: Float32Array, rows: Uint32Array): Float64Array {
    const segment = this.#open()
    if (segment.onDisk) throw new Error('the rows of this segment are on disk')
    checkQuery(query, this.dimension)
    if (rows.some((row) => row >= this.rows)) throw new RangeError(`rows beyond ${this.rows}`)
    return exactDistances(segment, query, rows)
  }

  vector(row: number): Float32Array {
    const segment = this.#open()
    if (segment.onDisk) throw new Error('the rows of this segment are on disk')
    if (!Number.isInteger(row) || row < 0 || row >= this.rows) {
      throw new RangeError(`row ${row} of ${this.rows}`)
    }
    const start = segment.address('vectors') / 4 + row * segment.plan.stride
    return segment.f32.subarray(start, start + this.dimension)
  }

  shared(): SharedIndex {
    const { shared, plan } = this.#open()
    return { segment: shared, contexts: plan.contexts.length }
  }

  close(): void {
    this.#segment = undefined
  }

  #open(): Segment {
    if (this.#segment === undefined) throw new Error('this vector index is closed')
    return this.#segment
  }
}

interface SearchTask {
  readonly k: number
  readonly ef: number
  readonly matching: number
  /** Address of the bitset, or 0. */
  readonly filter: number
  /** How many are ranked again. */
  readonly over: number
}

/** How many hits a call of the kernel gives, and how many it ranks again for them (0: none). */
interface HitLimit {
  readonly k: number
  readonly over: number
}

/** Checks a request and puts query and filter where the kernel reads them. */
function prepare(segment: Segment, request: RowSearch): SearchTask {
  const { query, k, ef, kind, allowed } = request
  checkRequest(request, segment)
  if (kind === 'graph' && (segment.plan.shape.graph === undefined || segment.rows === 0)) {
    throw new Error('this segment has no graph to search')
  }
  if (kind === 'scan-f32' && segment.onDisk) {
    throw new Error('the rows of this segment are on disk: read and rescore them all')
  }
  const over = request.over ?? rescoreCount(k, segment.form)
  const matching = allowed === undefined ? segment.rows : allowed.count()
  if (matching > 0) segment.f32.set(query, (segment.context.arrays.raw as number) / 4)
  const filter = allowed === undefined || matching === 0 ? 0 : setFilter(segment, allowed)
  return { k, ef: Math.max(ef, k), matching, filter, over: Math.max(over, k) }
}

/** Codes gain nothing where nearly all that is scanned is ranked again, or where rows are short. */
function scanForm(segment: Segment, task: SearchTask, kind: RowSearch['kind']): number {
  const coarse = task.matching > task.over && segment.dimension > F32_WALK_DIMENSION_MAX
  return coarse && kind !== 'scan-f32' ? segment.formNumber : FORM_F32
}

function scan(segment: Segment, task: SearchTask, limit: HitLimit & { used: number }): RowHits {
  const { plan, context, exports } = segment
  const { k, over, used } = limit
  return collect(segment, exports.scan(plan.index, context.address, k, over, task.filter, used))
}

/** What a walk found, and whether that is all it was to find. */
interface Walked {
  readonly hits: RowHits
  readonly isComplete: boolean
  /** The rows that pass the filter are elsewhere. */
  readonly isLost: boolean
}

/** Walks, and once more with more rows kept where the first walk was lost and a scan costs more. */
function walk(segment: Segment, task: SearchTask, limit: HitLimit): Walked {
  if (task.filter === 0) return walkWithin(segment, task, limit, plainWalk(task.ef))
  const { rows, dimension } = segment
  const form = segment.walkForm === FORM_F32 ? 'scan-f32' : (`scan-${segment.form}` as const)
  const shape = { ...task, rows, dimension }
  const budget = filteredBudget(form, shape)
  const first = walkWithin(segment, task, limit, filteredWalk(shape, budget))
  const wider = first.isLost ? widerWalk(form, shape) : undefined
  if (wider === undefined) return first
  const second = walkWithin(segment, task, limit, wider)
  const evaluated = first.hits.evaluated + second.hits.evaluated
  return { ...second, hits: { ...second.hits, evaluated } }
}

function walkWithin(
  segment: Segment,
  { k, matching, filter, over }: SearchTask,
  limit: HitLimit,
  { ef, steps, passing, passingLeast, budget }: WalkBounds,
): Walked {
  segment.setContext('budget', budget)
  segment.setContext('steps', steps)
  segment.setContext('passing', passing)
  segment.setContext('passingLeast', passingLeast)
  const kept = segment.walkForm === FORM_F32 ? 0 : Math.min(over, ef, segment.rows)
  const asked = limit.over === 0 ? Math.min(over, ef, segment.rows) : limit.k
  const count = segment.exports.search(
    segment.plan.index,
    segment.context.address,
    asked,
    Math.min(ef, segment.rows),
    filter,
    limit.over === 0 ? 0 : kept,
  )
  const isLost = segment.getContext('isLost') !== 0
  const isFull = count >= Math.min(k, matching) && segment.getContext('walked') <= budget
  return { hits: collect(segment, count), isComplete: isFull && !isLost, isLost }
}

/** Where fewer rows match than would be ranked again, all of them are, in no order yet. */
function allMatching({ rows }: Segment, { allowed }: RowSearch): RowHits {
  const all = allowed === undefined ? range(rows) : Uint32Array.from(allowed)
  return { rows: all, distances: new Float32Array(all.length), evaluated: 0 }
}

const range = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i)

function rescoreRows(
  segment: Segment,
  query: Float32Array,
  { rows, vectors, k }: { rows: Uint32Array; vectors: Float32Array; k: number },
): RowHits {
  const { exports, dimension, context, plan } = segment
  const { raw, scratch, ids } = context.arrays as { raw: number; scratch: number; ids: number }
  segment.f32.set(query, raw / 4)
  const header = segment.scratchHeader()
  exports.rescoreStart(header, context.address)
  for (let from = 0; from < rows.length; from += SCRATCH_ROWS) {
    const part = rows.subarray(from, from + SCRATCH_ROWS)
    const values = vectors.subarray(from * dimension, (from + part.length) * dimension)
    copyRows(values, segment.f32, { to: scratch / 4, dimension, stride: plan.stride })
    const bad = exports.measure(header, context.address, 0, part.length) >>> 0
    if (bad < part.length) {
      const message = `row ${part[bad]} has a component that is not a finite number`
      throw new AkidbError('INTEGRITY', message, {
        hint: 'The stored vectors are damaged: run akidb check and restore them from a bundle.',
      })
    }
    segment.u32.set(part, ids / 4)
    exports.rescoreAdd(header, context.address, part.length, k)
  }
  return collect(segment, exports.rescoreEnd(header, context.address, k))
}

/** Float64 numbers that the kernel leaves of two rows: two sums, then the squares of each. */
const PAIR_NUMBERS = 4

/** In pieces of as many rows as there is scratch space for. */
function exactDistances(segment: Segment, query: Float32Array, rows: Uint32Array): Float64Array {
  const { exports, context, metric, plan } = segment
  const { raw, scratch, ids } = context.arrays as { raw: number; scratch: number; ids: number }
  const distances = new Float64Array(rows.length)
  const norm = metric === 'cosine' ? normOf(query) : 0
  segment.f32.set(query, raw / 4)
  for (let from = 0; from < rows.length; from += SCRATCH_ROWS) {
    const part = rows.subarray(from, from + SCRATCH_ROWS)
    segment.u32.set(part, ids / 4)
    exports.exact(plan.index, context.address, part.length)
    for (let i = 0; i < part.length; i++) {
      const at = scratch / 8 + (i >> 1) * PAIR_NUMBERS + (i & 1)
      const [sum, squares] = [segment.f64[at] as number, segment.f64[at + 2] as number]
      distances[from + i] = distanceOfSums(metric, norm, sum, squares)
    }
  }
  return distances
}

/**
 * Copies the hits out, distances in the metric's own unit. Those beyond float32 are held at its
 * ends.
 */
function collect(segment: Segment, count: number): RowHits {
  const { outIds, outDistances } = segment.context.arrays as {
    outIds: number
    outDistances: number
  }
  const rows = segment.u32.slice(outIds / 4, outIds / 4 + count)
  const distances = segment.f32.slice(outDistances / 4, outDistances / 4 + count)
  const { unscale, metric } = segment
  for (let i = 0; i < count; i++) {
    const real = (distances[i] as number) * unscale
    distances[i] =
      metric === 'cosine' ? 1 + real : Math.max(-FLOAT32_MAX, Math.min(FLOAT32_MAX, real))
  }
  if (metric === 'cosine') orderTies(rows, distances)
  return { rows, distances, evaluated: segment.getContext('evaluated') }
}

/** Adding 1 rounds, which can make ties; insertion keeps their rows ascending. */
function orderTies(rows: Uint32Array, distances: Float32Array): void {
  for (let i = 1; i < rows.length; i++) {
    const row = rows[i] as number
    let j = i
    while (j > 0 && distances[j - 1] === distances[i] && (rows[j - 1] as number) > row) {
      rows[j] = rows[j - 1] as number
      j--
    }
    rows[j] = row
  }
}

function setFilter(segment: Segment, allowed: Bitset): number {
  segment.u32.set(allowed.words, segment.context.filter / 4)
  return segment.context.filter
}

function checkRequest(request: RowSearch, { rows, dimension }: Segment): void {
  const { query, k, ef, allowed, over } = request
  if (allowed !== undefined && allowed.length !== rows) {
    throw new Error(`a bitset of ${allowed.length} rows for a segment of ${rows}`)
  }
  checkQuery(query, dimension)
  checkCount('k', k, 'searchCountMax')
  checkCount('ef', ef, 'searchEfMax')
  if (over !== undefined) checkCount('over', over, 'searchEfMax')
}

function checkQuery(query: Float32Array, dimension: number): void {
  if (query.length !== dimension) {
    const message = `the query has ${query.length} components, the segment ${dimension}`
    throw new AkidbError('DIMENSION_MISMATCH', message, { hint: 'Embed with the same model.' })
  }
  for (let i = 0; i < query.length; i++) {
    if (Number.isFinite(query[i])) continue
    throw new AkidbError('BAD_INPUT', 'the query has a component that is not a finite number', {
      hint: 'Check how the query vector was made.',
    })
  }
}

function checkCount(name: string, value: number, limit: 'searchCountMax' | 'searchEfMax'): void {
  if (Number.isInteger(value) && value >= 1 && value <= limits[limit]) return
  throw new AkidbError(
    'LIMIT',
    `${name} is ${value}; 1 to ${limits[limit]} (${limit}) are allowed`,
    {
      hint: `Choose a smaller ${name}.`,
      details: { limit, max: limits[limit] },
    },
  )
}
