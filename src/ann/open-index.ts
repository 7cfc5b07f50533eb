import type { Bitset } from '../core/bitset.ts'
import { limits } from '../core/limits.ts'
import type { Metric } from '../core/metric.ts'
import { AkidbError } from '../errors/errors.ts'
import { canBuildGraph } from './build-index.ts'
import { decodeCodes } from './codes.ts'
import { decodeGraph, readGraphHeader } from './graph.ts'
import { FORM_F32, FORM_INT8 } from './kernel/layout.ts'
import { graphLevels } from './levels.ts'
import { F32_WALK_DIMENSION_MAX, Segment } from './segment.ts'
import type { OpenIndexInput, RowHits, RowSearch, VectorIndex } from './vector-index.ts'

/**
 * Opens a stored segment for search on the calling thread: rows, codes and links go into one
 * memory. Codes that are absent are computed; a graph that is absent is not built. Errors:
 * INTEGRITY (pieces, codes or graph do not fit; NaN or infinity), LIMIT, NO_SPACE.
 */
export function openVectorIndex(input: OpenIndexInput): VectorIndex {
  const { rows, dimension, metric, graph } = input
  const shape = { rows, dimension, metric, contexts: 1 }
  if (graph === undefined) {
    const segment = Segment.create(shape)
    fillRows(segment, input)
    return new KernelIndex(segment)
  }
  const header = readGraphHeader(graph, shape)
  const levels = graphLevels(rows, header.m)
  const { upperWords } = levels
  const segment = Segment.create({ ...shape, graph: { ...header, upperWords, build: false } })
  fillRows(segment, input)
  if (!canBuildGraph(segment)) {
    throw new AkidbError('INTEGRITY', 'a graph was stored for vectors that never get one', {
      hint: 'Run akidb index build --again: the index is built anew from the vectors.',
    })
  }
  segment.setLevels(levels)
  decodeGraph(segment, graph)
  return new KernelIndex(segment)
}

function fillRows(segment: Segment, input: OpenIndexInput): void {
  segment.loadRows(input.pieces, 'INTEGRITY')
  segment.measure('INTEGRITY')
  if (input.codes === undefined) segment.quantise()
  else decodeCodes(segment, input.codes)
}

/** How many of the int8 form's best are ranked again in f32 to give k. */
export const rescoreCount = (k: number): number => 3 * k + 30

const NO_HITS: RowHits = {
  rows: new Uint32Array(0),
  distances: new Float32Array(0),
  evaluated: 0,
}
const UNBOUNDED = 0xffffffff
const FLOAT32_MAX = 3.4028234663852886e38

class KernelIndex implements VectorIndex {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  readonly hasGraph: boolean
  readonly memoryBytes: number
  #segment: Segment | undefined

  constructor(segment: Segment) {
    this.rows = segment.rows
    this.dimension = segment.dimension
    this.metric = segment.metric
    this.hasGraph = segment.plan.shape.graph !== undefined && segment.rows > 0
    this.memoryBytes = segment.u8.length
    this.#segment = segment
  }

  search(request: RowSearch): RowHits {
    const segment = this.#open()
    const { query, k, ef, kind, allowed } = request
    checkRequest(request, this)
    if (kind === 'graph' && !this.hasGraph) throw new Error('this segment has no graph to search')
    const matching = allowed === undefined ? this.rows : allowed.count()
    if (matching === 0) return NO_HITS
    const raw = segment.context.arrays.raw as number
    segment.f32.set(query, raw / 4)
    const filter = allowed === undefined ? 0 : setFilter(segment, allowed)
    const task = { k, ef: Math.max(ef, k), matching, filter }
    if (kind === 'graph') return walk(segment, task)
    return scan(segment, task, kind === 'scan-f32' ? FORM_F32 : FORM_INT8)
  }

  vector(row: number): Float32Array {
    const segment = this.#open()
    if (!Number.isInteger(row) || row < 0 || row >= this.rows) {
      throw new RangeError(`row ${row} of ${this.rows}`)
    }
    const start = segment.address('vectors') / 4 + row * segment.plan.stride
    return segment.f32.subarray(start, start + this.dimension)
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
  readonly filter: number
}

function scan(segment: Segment, { k, matching, filter }: SearchTask, form: number): RowHits {
  const over = Math.min(rescoreCount(k), segment.rows)
  // Codes gain nothing where nearly all that is scanned is ranked again, or where rows are short.
  const coarse = matching > over && segment.dimension > F32_WALK_DIMENSION_MAX
  const used = coarse ? form : FORM_F32
  const count = segment.exports.scan(
    segment.plan.index,
    segment.context.address,
    Math.min(k, segment.rows),
    over,
    filter,
    used,
  )
  return collect(segment, count)
}

function walk(segment: Segment, task: SearchTask): RowHits {
  const { k, ef, matching, filter } = task
  const bounded = filter !== 0
  // A filtered walk that has seen more rows than match is not worth going on: scanning them is
  // cheaper.
  const budget = bounded ? Math.max(matching, 4 * ef) : UNBOUNDED
  segment.setContext('budget', budget)
  const count = segment.exports.search(
    segment.plan.index,
    segment.context.address,
    Math.min(k, segment.rows),
    Math.min(ef, segment.rows),
    filter,
    Math.min(rescoreCount(k), ef, segment.rows),
  )
  const walked = collect(segment, count)
  const full = count >= Math.min(k, matching)
  if (full && !(bounded && walked.evaluated > budget)) return walked
  const scanned = scan(segment, task, FORM_INT8)
  return { ...scanned, evaluated: scanned.evaluated + walked.evaluated }
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

function checkRequest({ query, k, ef, allowed }: RowSearch, index: VectorIndex): void {
  if (allowed !== undefined && allowed.length !== index.rows) {
    throw new Error(`a bitset of ${allowed.length} rows for a segment of ${index.rows}`)
  }
  if (query.length !== index.dimension) {
    const message = `the query has ${query.length} components, the segment ${index.dimension}`
    throw new AkidbError('DIMENSION_MISMATCH', message, { hint: 'Embed with the same model.' })
  }
  for (const component of query) {
    if (Number.isFinite(component)) continue
    throw new AkidbError('BAD_INPUT', 'the query has a component that is not a finite number', {
      hint: 'Check how the query vector was made.',
    })
  }
  checkCount('k', k, 'searchCountMax')
  checkCount('ef', ef, 'searchEfMax')
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
