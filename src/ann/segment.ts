import type { Metric } from '../core/metric.ts'
import { AkidbError, type ErrorOptions } from '../errors/errors.ts'
import { CONTEXT, FORM_F32, FORM_INT8, QUERY } from './kernel/layout.ts'
import {
  createMemory,
  instantiate,
  type KernelExports,
  type KernelMemory,
  type KernelModule,
  kernelModule,
} from './kernel/wasm.ts'
import type { GraphLevels } from './levels.ts'
import type { SegmentPlan, SegmentShape } from './segment-plan.ts'
import { type ContextPlan, fieldOffset, indexFields, planSegment } from './segment-plan.ts'
import type { SegmentVectors } from './vector-index.ts'

/** What a worker needs to work on a segment of another thread. */
export interface SharedSegment {
  readonly module: KernelModule
  readonly memory: KernelMemory
  readonly plan: SegmentPlan
}

/**
 * Up to this dimension graphs are walked over f32 rows: int8 is too coarse there and saves nothing.
 */
export const F32_WALK_DIMENSION_MAX = 64

/** A used memory this many times too large is left to the garbage collector. */
const REUSED_SIZE_MAX = 4

/** Norms within 2^±40 have squares, products and differences that float32 holds. */
const NARROW_NORM_MAX = 2 ** 40
const NARROW_NORM_MIN = 2 ** -40

/**
 * One segment in linear memory, seen from one thread: rows as they came, int8 codes, links.
 * Holds no policy; the modules around it fill it, build in it and search it.
 */
export class Segment {
  readonly plan: SegmentPlan
  readonly shared: SharedSegment
  readonly exports: KernelExports
  readonly u8: Uint8Array
  readonly u32: Uint32Array
  readonly f32: Float32Array
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
    segment.#view.setFloat64(plan.index + fieldOffset('index', 'unit'), 1, true)
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

  get context(): ContextPlan {
    return this.#context
  }

  /** Whether norms are beyond what float32 sums hold; distances are then taken in float64. */
  get wide(): boolean {
    return this.getIndex('wide') === 1
  }

  get walkForm(): number {
    return this.getIndex('walkForm')
  }

  /** log2 of the largest power of two that codes are stored over (see codes.ts). */
  get unitExponent(): number {
    const unit = this.#view.getFloat64(this.plan.index + fieldOffset('index', 'unit'), true)
    return Math.round(-Math.log2(unit))
  }

  /** Copies the rows in. Errors: `code` where pieces do not add up to whole rows of the shape. */
  loadRows(pieces: SegmentVectors['pieces'], code: 'INTEGRITY' | 'BAD_INPUT'): void {
    const { dimension, rows } = this
    const { stride } = this.plan
    const start = this.address('vectors') / 4
    let row = 0
    for (const piece of pieces) {
      const count = piece.length / dimension
      if (!Number.isInteger(count) || row + count > rows) throw unevenRows(this, code)
      if (stride === dimension) {
        this.f32.set(piece, start + row * stride)
      } else {
        for (let i = 0; i < count; i++) {
          const from = i * dimension
          this.f32.set(piece.subarray(from, from + dimension), start + (row + i) * stride)
        }
      }
      row += count
    }
    if (row !== rows) throw unevenRows(this, code)
  }

  /** Norms of all rows; decides how distances are taken. Errors: `code` at a NaN or infinity. */
  measure(code: 'INTEGRITY' | 'BAD_INPUT'): void {
    const { rows, plan } = this
    const context = this.context.address
    const normMin = context + fieldOffset('context', 'normMin')
    const normMax = context + fieldOffset('context', 'normMax')
    this.#view.setFloat64(normMin, Number.MAX_VALUE, true)
    this.#view.setFloat64(normMax, 0, true)
    const bad = this.exports.measure(plan.index, context, 0, rows) >>> 0
    if (bad < rows) {
      const options: ErrorOptions = { hint: HINTS[code], details: { row: bad } }
      throw new AkidbError(code, `row ${bad} has a component that is not a finite number`, options)
    }
    const largest = this.#view.getFloat64(normMax, true)
    const smallest = this.#view.getFloat64(normMin, true)
    const wide = largest > NARROW_NORM_MAX || (largest > 0 && smallest < NARROW_NORM_MIN)
    const f32Walk = !wide && this.dimension <= F32_WALK_DIMENSION_MAX
    this.setIndex('wide', wide ? 1 : 0)
    this.setIndex('walkForm', f32Walk ? FORM_F32 : FORM_INT8)
    this.#view.setFloat64(plan.index + fieldOffset('index', 'normMax'), largest, true)
  }

  /** Computes the int8 codes of measured rows. */
  quantise(): void {
    const { rows, plan, metric } = this
    if (rows === 0) return
    const context = this.context.address
    const norm =
      metric === 'l2'
        ? this.exports.centre(plan.index)
        : this.#view.getFloat64(context + fieldOffset('context', 'normMax'), true)
    this.setUnitExponent(metric === 'cosine' || norm === 0 ? 0 : exponentAbove(norm))
    this.exports.quantise(plan.index, 0, rows)
    this.finishCodes()
  }

  /** After codes, scales and unit are in place: what is derived from them. */
  finishCodes(): void {
    if (this.metric === 'l2') this.exports.bias(this.plan.index, 0, this.rows)
  }

  /** Rows times 2^−exponent have norms of at most 1. */
  setUnitExponent(exponent: number): void {
    this.#view.setFloat64(this.plan.index + fieldOffset('index', 'unit'), 2 ** -exponent, true)
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

  #initContext(context: ContextPlan): void {
    const { arrays } = context
    for (const [name, address] of Object.entries(arrays)) {
      if (name in CONTEXT) this.u32[(context.address + fieldOffset('context', name)) / 4] = address
    }
    for (const query of ['query', 'row'] as const) {
      const base = (arrays[query] as number) / 4
      this.u32[base + (QUERY.values as number) / 4] = arrays[`${query}Values`] as number
      this.u32[base + (QUERY.codes as number) / 4] = arrays[`${query}Codes`] as number
    }
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

/** The least e with norm < 2^e. */
function exponentAbove(norm: number): number {
  let exponent = Math.floor(Math.log2(norm)) - 1
  while (norm >= 2 ** exponent) exponent++
  return exponent
}
