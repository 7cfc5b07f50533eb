import type { Metric } from '../core/metric.ts'
import type { Quantization } from '../core/schema.ts'
import { AkidbError, type ErrorOptions } from '../errors/errors.ts'
import { FORM_BINARY, FORM_F32, FORM_INT8, FORM_PQ, INDEX_BYTES, QUERY } from './kernel/layout.ts'
import {
  createMemory,
  instantiate,
  type KernelExports,
  type KernelMemory,
  type KernelModule,
  kernelModule,
} from './kernel/wasm.ts'
import type { GraphLevels } from './levels.ts'
import { F32_WALK_DIMENSION_MAX, trainingRows } from './quantization.ts'
import { sampleOfRows } from './row-hash.ts'
import type { SegmentPlan, SegmentShape } from './segment-plan.ts'
import { type ContextPlan, fieldOffset, indexFields, planSegment } from './segment-plan.ts'

/** What a worker needs to work on a segment of another thread. */
export interface SharedSegment {
  readonly module: KernelModule
  readonly memory: KernelMemory
  readonly plan: SegmentPlan
}

const FORM_NUMBERS: Readonly<Record<Quantization, number>> = {
  int8: FORM_INT8,
  binary: FORM_BINARY,
  pq: FORM_PQ,
}

/** A used memory this many times too large is left to the garbage collector. */
const REUSED_SIZE_MAX = 4

/** Norms within 2^±40 have squares, products and differences that float32 holds. */
const NARROW_NORM_MAX = 2 ** 40
const NARROW_NORM_MIN = 2 ** -40

/**
 * One segment in linear memory, seen from one thread: rows as they came, codes, links.
 * Holds no policy; the modules around it fill it, build in it and search it.
 */
export class Segment {
  readonly plan: SegmentPlan
  readonly shared: SharedSegment
  readonly exports: KernelExports
  readonly u8: Uint8Array
  readonly u32: Uint32Array
  readonly f32: Float32Array
  readonly f64: Float64Array
  readonly #view: DataView
  readonly #context: ContextPlan

  /**
   * A fresh segment, empty. `used` is a memory that nothing needs any more; it is taken where its
   * size fits, so that builds one after the other do not pile up memories until the next garbage
   * collection. Errors: LIMIT, NO_SPACE.
   */
  static create(shape: SegmentShape, used?: KernelMemory): Segment {
    const plan = planSegment(shape)
    const usedBytes = used?.buffer.byteLength ?? 0
    const fits = usedBytes >= plan.bytes && usedBytes <= REUSED_SIZE_MAX * plan.bytes
    const memory = used !== undefined && fits ? used : createMemory(plan.bytes)
    const segment = new Segment({ module: kernelModule(), memory, plan }, 0)
    if (memory === used) segment.#clear()
    for (const [name, value] of Object.entries(indexFields(plan))) segment.setIndex(name, value)
    segment.#setFloat('unit', 1)
    for (const context of plan.contexts) segment.#initContext(context)
    return segment
  }

  /** Attaches this thread to a segment made by `create`, with the scratch space of that number. */
  constructor(shared: SharedSegment, context: number) {
    this.shared = shared
    this.plan = shared.plan
    this.exports = instantiate(shared.module, shared.memory)
    const { buffer } = shared.memory
    this.u8 = new Uint8Array(buffer)
    this.u32 = new Uint32Array(buffer)
    this.f32 = new Float32Array(buffer)
    this.f64 = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8))
    this.#view = new DataView(buffer)
    const plan = shared.plan.contexts[context]
    if (plan === undefined) throw new Error(`segment has no context ${context}`)
    this.#context = plan
  }

  get rows(): number {
    return this.plan.shape.rows
  }

  get dimension(): number {
    return this.plan.shape.dimension
  }

  get metric(): Metric {
    return this.plan.shape.metric
  }

  get form(): Quantization {
    return this.plan.shape.form ?? 'int8'
  }

  /** The kernel's number of the form. */
  get formNumber(): number {
    return FORM_NUMBERS[this.form]
  }

  get onDisk(): boolean {
    return this.plan.shape.onDisk === true
  }

  get context(): ContextPlan {
    return this.#context
  }

  /** Whether norms are beyond what float32 sums hold; distances are then taken in float64. */
  get wide(): boolean {
    return this.getIndex('wide') === 1
  }

  /** The largest norm of measured rows. */
  get normMax(): number {
    return this.onDisk ? 0 : this.#getFloat('normMax')
  }

  /** The largest norm of a wide segment's rows; 0 for others, whose distances do not need it. */
  get wideNorm(): number {
    return this.wide ? this.#getFloat('normMax') : 0
  }

  /** For rows that cannot be measured here: what `wideNorm` was where they were. */
  setWideNorm(norm: number): void {
    this.setIndex('wide', norm > 0 ? 1 : 0)
    this.#setFloat('normMax', norm)
  }

  get walkForm(): number {
    return this.getIndex('walkForm')
  }

  /** log2 of the largest power of two that codes are stored over (see codes.ts). */
  get unitExponent(): number {
    return Math.round(-Math.log2(this.#getFloat('unit')))
  }

  /** The same, searched as if its rows were on disk, until they are put in place. */
  beforeRows(): Segment {
    const { plan } = this
    const shape = { ...plan.shape, onDisk: true }
    return new Segment({ ...this.shared, plan: { ...plan, shape } }, 0)
  }

  /**
   * The same with its rows, which were put in place and are not measured yet; whoever searches it
   * without them is not disturbed.
   */
  afterRows(): Segment {
    const { plan } = this
    this.u8.copyWithin(plan.fullIndex, plan.index, plan.index + INDEX_BYTES)
    const shape = { ...plan.shape, onDisk: false }
    return new Segment({ ...this.shared, plan: { ...plan, shape, index: plan.fullIndex } }, 0)
  }

  /** Copies the rows in. Errors: `code` where pieces do not add up to whole rows of the shape. */
  loadRows(pieces: Iterable<Float32Array>, code: 'INTEGRITY' | 'BAD_INPUT'): void {
    let row = 0
    for (const piece of pieces) row += this.loadPiece(piece, row, code)
    this.checkLoaded(row, code)
  }

  /** Copies whole rows in, from `row` on; returns how many they were. Errors as `loadRows`. */
  loadPiece(piece: Float32Array, row: number, code: 'INTEGRITY' | 'BAD_INPUT'): number {
    const { dimension, rows } = this
    const { stride } = this.plan
    const count = piece.length / dimension
    if (!Number.isInteger(count) || row + count > rows) throw unevenRows(this, code)
    const to = this.address('vectors') / 4 + row * stride
    if (stride === dimension) this.f32.set(piece, to)
    else copyRows(piece, this.f32, { to, dimension, stride })
    return count
  }

  checkLoaded(rows: number, code: 'INTEGRITY' | 'BAD_INPUT'): void {
    if (rows !== this.rows) throw unevenRows(this, code)
  }

  /**
   * Norms of all rows, or of those that follow rows measured before with nothing done in between
   * but searches; decides how distances are taken. Errors: `code` at a NaN or infinity.
   */
  measure(code: 'INTEGRITY' | 'BAD_INPUT', from = 0, to = this.rows): void {
    const context = this.context.address
    const normMin = context + fieldOffset('context', 'normMin')
    const normMax = context + fieldOffset('context', 'normMax')
    if (from === 0) {
      this.#view.setFloat64(normMin, Number.MAX_VALUE, true)
      this.#view.setFloat64(normMax, 0, true)
    }
    const bad = this.#firstBad(from, to)
    if (bad < to) {
      const options: ErrorOptions = { hint: HINTS[code], details: { row: bad } }
      throw new AkidbError(code, `row ${bad} has a component that is not a finite number`, options)
    }
    const largest = this.#view.getFloat64(normMax, true)
    const smallest = this.#view.getFloat64(normMin, true)
    const wide = largest > NARROW_NORM_MAX || (largest > 0 && smallest < NARROW_NORM_MIN)
    const f32Walk = !wide && this.dimension <= F32_WALK_DIMENSION_MAX
    this.setIndex('wide', wide ? 1 : 0)
    this.setIndex('walkForm', f32Walk ? FORM_F32 : this.hasInt8 ? FORM_INT8 : this.formNumber)
    this.#setFloat('normMax', largest)
  }

  /** Whether there is room for int8 codes: of that form, or to build a graph over. */
  get hasInt8(): boolean {
    const { form, graph } = this.plan.shape
    return (form ?? 'int8') === 'int8' || graph?.build === true
  }

  /** Computes the codes of measured rows. */
  quantise(): void {
    const { rows, plan, metric, exports, form } = this
    if (rows === 0) return
    const context = this.context.address
    const norm =
      metric === 'l2'
        ? this.exports.centre(plan.index)
        : this.#view.getFloat64(context + fieldOffset('context', 'normMax'), true)
    this.setUnitExponent(metric === 'cosine' || norm === 0 ? 0 : exponentAbove(norm))
    if (this.hasInt8) {
      for (const [from, to] of runs(rows, plan.stride)) exports.quantise(plan.index, from, to)
      if (metric === 'l2') exports.bias(plan.index, 0, rows)
    }
    if (form === 'binary') {
      exports.mean(plan.index, context)
      exports.binarise(plan.index, context, 0, rows)
    }
    if (form === 'pq') {
      this.u32.set(sampleOfRows(rows, trainingRows(rows)), this.address('sample') / 4)
      exports.train(plan.index)
      exports.split(plan.index, context, 0, rows)
    }
  }

  /** After stored codes and unit are in place: what is derived from them. */
  finishCodes(): void {
    const { plan, form, metric } = this
    if (form === 'int8' && metric === 'l2') this.exports.bias(plan.index, 0, this.rows)
    if (form === 'pq') this.exports.halve(plan.index)
    if (this.onDisk) this.setIndex('walkForm', this.formNumber)
  }

  /** Walks from now on read the codes of the segment's own form, where they did int8. */
  walkByForm(): void {
    if (this.walkForm === FORM_INT8) this.setIndex('walkForm', this.formNumber)
  }

  /** Rows times 2^−exponent have norms of at most 1. */
  setUnitExponent(exponent: number): void {
    this.#setFloat('unit', 2 ** -exponent)
  }

  /** Puts the levels of the rows in place; lists are empty then. */
  setLevels(levels: GraphLevels): void {
    this.u8.set(levels.levels, this.address('levels'))
    this.u32.set(levels.upperAt, this.address('upperAt') / 4)
    this.setIndex('entry', levels.entry)
    this.setIndex('maxLevel', levels.maxLevel)
  }

  /** Address of a segment's array. */
  address(name: string): number {
    const address = this.plan.arrays[name]
    if (address === undefined) throw new Error(`segment has no ${name}`)
    return address
  }

  getIndex(name: string): number {
    return this.u32[(this.plan.index + fieldOffset('index', name)) / 4] as number
  }

  setIndex(name: string, value: number): void {
    this.u32[(this.plan.index + fieldOffset('index', name)) / 4] = value
  }

  getContext(name: string): number {
    return this.u32[(this.context.address + fieldOffset('context', name)) / 4] as number
  }

  setContext(name: string, value: number): void {
    this.u32[(this.context.address + fieldOffset('context', name)) / 4] = value
  }

  /**
   * Makes the context's scratch header one of a segment of the same kind over its scratch rows;
   * returns its address.
   */
  scratchHeader(): number {
    const { scratchIndex, arrays } = this.context
    this.u8.copyWithin(scratchIndex, this.plan.index, this.plan.index + INDEX_BYTES)
    const field = (name: string) => (scratchIndex + fieldOffset('index', name)) / 4
    this.u32[field('vectors')] = arrays.scratch as number
    this.u32[field('factors')] = arrays.scratchFactors as number
    return scratchIndex
  }

  /** A kernel distance times this is the real one, for the query last prepared. */
  get unscale(): number {
    const query = this.context.arrays.query as number
    return this.#view.getFloat64(query + fieldOffset('query', 'unscale'), true)
  }

  /** Zeroes what a build does not write itself; rows and codes only where they have padding. */
  #clear(): void {
    const { plan, dimension } = this
    const kept = plan.stride === dimension
    if (kept) this.u8.fill(0, 0, this.address('vectors'))
    this.u8.fill(0, kept ? this.address('factors') : 0, plan.bytes)
  }

  /** Measures rows; the first that is not finite, or `to`. */
  #firstBad(from: number, to: number): number {
    for (const [first, last] of runs(to - from, this.plan.stride)) {
      const { index } = this.plan
      const context = this.context.address
      const bad = this.exports.measure(index, context, from + first, from + last) >>> 0
      if (bad < from + last) return bad
    }
    return to
  }

  #initContext(context: ContextPlan): void {
    const { arrays, queries, kept } = context
    const fields = { ...arrays, topMax: kept }
    for (const [name, value] of Object.entries(fields)) {
      this.u32[(context.address + fieldOffset('context', name)) / 4] = value
    }
    for (const { address, ...pointers } of Object.values(queries)) {
      for (const [name, value] of Object.entries(pointers)) {
        this.u32[((address as number) + (QUERY[name] as number)) / 4] = value
      }
    }
  }

  #getFloat(name: string): number {
    return this.#view.getFloat64(this.plan.index + fieldOffset('index', name), true)
  }

  #setFloat(name: string, value: number): void {
    this.#view.setFloat64(this.plan.index + fieldOffset('index', name), value, true)
  }
}

const HINTS = {
  INTEGRITY: 'The stored vectors are damaged: run akidb check and restore them from a bundle.',
  BAD_INPUT: 'Check the input: every vector needs finite components of the right number.',
} as const

const unevenRows = ({ rows, dimension }: Segment, code: 'INTEGRITY' | 'BAD_INPUT'): AkidbError =>
  new AkidbError(code, `vectors do not fill ${rows} rows of ${dimension} components`, {
    hint: HINTS[code],
  })

/** Components that one call of the kernel goes through. */
const RUN_COMPONENTS = 2 ** 18

/**
 * Rows 0…count in runs: a function of the kernel that was entered before it was optimised stays as
 * it is until it returns, at half the speed.
 */
function* runs(count: number, stride: number): Generator<readonly [number, number]> {
  const step = Math.ceil(RUN_COMPONENTS / stride)
  for (let from = 0; from < count; from += step) yield [from, Math.min(count, from + step)]
}

/** Copies rows of `dimension` components to places `stride` apart. */
export function copyRows(
  from: Float32Array,
  into: Float32Array,
  { to, dimension, stride }: { to: number; dimension: number; stride: number },
): void {
  for (let at = 0, target = to; at < from.length; at += dimension, target += stride) {
    into.set(from.subarray(at, at + dimension), target)
  }
}

/** The least e with norm < 2^e. */
function exponentAbove(norm: number): number {
  let exponent = Math.floor(Math.log2(norm)) - 1
  while (norm >= 2 ** exponent) exponent++
  return exponent
}
