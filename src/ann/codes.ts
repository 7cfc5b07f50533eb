import { METRICS } from '../core/metric.ts'
import type { Quantization } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import { CENTROIDS, PIECE } from './kernel/layout.ts'
import type { Segment } from './segment.ts'
import { subspacesOf } from './segment-plan.ts'

/**
 * Bytes of a segment's codes (role `codes`), little endian. All forms begin with
 *
 * | offset | bytes | meaning                                                                   |
 * |--------|-------|---------------------------------------------------------------------------|
 * | 0      | 4     | magic: `AKCO` int8, `AKCB` binary, `AKCP` product quantisation            |
 * | 4      | 2     | version, 1                                                                |
 * | 6      | 1     | metric: 0 cosine, 1 dot, 2 l2                                             |
 * | 7      | 1     | zero                                                                      |
 * | 8      | 4     | rows                                                                      |
 * | 12     | 4     | dimension                                                                 |
 * | 16     | 4     | exponent e (int32): codes are in units of 2^e; 0 for cosine               |
 * | 20     | 8     | largest norm of a row (float64) where norms are beyond 2^±40, else 0      |
 * | 28     | 4     | zero                                                                      |
 *
 * int8, from 32:
 *
 * | bytes            | meaning                                                          |
 * |------------------|------------------------------------------------------------------|
 * | 4 · dimension    | l2 only: centre, float32; rows are coded about it                |
 * | 4 · rows         | scales, float32: component ≈ scale · code · 2^e                  |
 * | rows · dimension | codes, int8, row major                                           |
 *
 * binary, from 32:
 *
 * | bytes            | meaning                                                          |
 * |------------------|------------------------------------------------------------------|
 * | 4 · dimension    | mean, float32: of the rows (l2), of rows of norm 1 (cosine), of  |
 * |                  | the rows in units of 2^e (dot); bits are signs about it          |
 * | 4 · rows         | scales, float32: component ≈ mean ± scale (l2, dot: · 2^e)       |
 * | 4 · rows         | l2: squared norms about the mean; else the negated dot product   |
 * |                  | of the mean and the row less the mean; float32, in those units   |
 * | rows · ⌈dim ÷ 8⌉ | bits, lowest first; 1: not below the mean                        |
 *
 * product quantisation, from 32 (s = ⌈dimension ÷ 8⌉ subspaces):
 *
 * | bytes            | meaning                                                          |
 * |------------------|------------------------------------------------------------------|
 * | 4 · dimension    | l2 only: centre, float32                                         |
 * | s · 8 · 256 · 4  | centroids, float32: of each subspace the 256 first components,   |
 * |                  | then the 256 second ones, …                                      |
 * | rows · s         | numbers of centroids, row major                                  |
 *
 * For cosine a row is divided by its norm first.
 */
const MAGIC: Readonly<Record<Quantization, number>> = {
  int8: 0x4f434b41,
  binary: 0x42434b41,
  pq: 0x50434b41,
}
const VERSION = 1
const HEADER_BYTES = 32
/** float32 norms have exponents within ±160; anything far beyond is damage. */
const EXPONENT_MAX = 200
/** Rows have norms of about 1 in the units of the codes; binary rows and biases at most twice. */
const UNIT_NORM_MAX = 8

/** An array of the segment as it is stored: `rows` runs of `rowBytes`, `stride` bytes apart. */
interface Region {
  /** Any bytes will do there: nothing of them is checked. */
  readonly isFree?: boolean
  readonly address: number
  readonly rows: number
  readonly rowBytes: number
  readonly stride: number
}

/** The codes of a quantised segment as bytes. */
export function encodeCodes(segment: Segment): Uint8Array {
  const regions = regionsOf(segment)
  const bytes = new Uint8Array(HEADER_BYTES + bytesOf(regions))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC[segment.form], true)
  view.setUint16(4, VERSION, true)
  view.setUint8(6, METRICS.indexOf(segment.metric))
  view.setUint32(8, segment.rows, true)
  view.setUint32(12, segment.dimension, true)
  view.setInt32(16, segment.unitExponent, true)
  view.setFloat64(20, segment.wideNorm, true)
  let to = HEADER_BYTES
  for (const { address, rows, rowBytes, stride } of regions) {
    for (let row = 0; row < rows; row++, to += rowBytes) {
      const from = address + row * stride
      bytes.set(segment.u8.subarray(from, from + rowBytes), to)
    }
  }
  return bytes
}

/**
 * Puts stored codes into a segment as they come, in pieces of any length. Where rows are in memory
 * they have been measured before. Errors: INTEGRITY where the codes do not fit the segment.
 */
export class CodesReader {
  readonly #segment: Segment
  readonly #keeps: boolean
  readonly #regions: readonly Region[]
  readonly #header = new Uint8Array(HEADER_BYTES)
  #read = 0
  #region = 0
  /** Bytes of the region that were read. */
  #done = 0

  /** @param keeps false: what needs no check is passed over, and the segment cannot be searched */
  constructor(segment: Segment, keeps = true) {
    this.#segment = segment
    this.#keeps = keeps
    this.#regions = regionsOf(segment)
  }

  push(chunk: Uint8Array): void {
    let at = 0
    if (this.#read < HEADER_BYTES) {
      at = Math.min(chunk.length, HEADER_BYTES - this.#read)
      this.#header.set(chunk.subarray(0, at), this.#read)
    }
    this.#read += chunk.length
    while (at < chunk.length) {
      const region = this.#regions[this.#region]
      if (region === undefined) throw this.#wrongLength()
      if (this.#done === region.rows * region.rowBytes) {
        this.#region++
        this.#done = 0
      } else {
        at += this.#copy(region, chunk, at)
      }
    }
  }

  finish(): void {
    const expected = HEADER_BYTES + bytesOf(this.#regions)
    if (this.#read !== expected) throw this.#wrongLength()
    const view = new DataView(this.#header.buffer)
    checkHeader(view, this.#segment)
    this.#segment.setUnitExponent(view.getInt32(16, true))
    if (this.#segment.onDisk) this.#segment.setWideNorm(view.getFloat64(20, true))
    checkValues(this.#segment)
    this.#segment.finishCodes()
  }

  /** Copies the rest of one row, or many rows where they lie without gaps. */
  #copy(
    { address, rows, rowBytes, stride, isFree }: Region,
    chunk: Uint8Array,
    at: number,
  ): number {
    if (isFree === true && !this.#keeps) {
      const passed = Math.min(chunk.length - at, rows * rowBytes - this.#done)
      this.#done += passed
      return passed
    }
    const row = Math.floor(this.#done / rowBytes)
    const within = this.#done - row * rowBytes
    const left = stride === rowBytes ? rows * rowBytes - this.#done : rowBytes - within
    const piece = chunk.subarray(at, at + left)
    this.#segment.u8.set(piece, address + row * stride + within)
    this.#done += piece.length
    return piece.length
  }

  #wrongLength(): AkidbError {
    const expected = HEADER_BYTES + bytesOf(this.#regions)
    const found = this.#read > expected ? `more than ${expected}` : `${this.#read}`
    return damaged(`${found} bytes, expected ${expected}`)
  }
}

function regionsOf(segment: Segment): Region[] {
  const { rows, dimension, metric, form, plan } = segment
  const line = (name: string, count: number): Region => ({
    address: segment.address(name),
    ...{ rows: 1, rowBytes: count * 4, stride: count * 4 },
  })
  const table = (name: string, rowBytes: number, stride: number): Region => ({
    address: segment.address(name),
    ...{ rows, rowBytes, stride },
  })
  const centre = metric === 'l2' ? [line('centre', dimension)] : []
  if (form === 'int8') {
    return [
      ...centre,
      line('scales', rows),
      { ...table('codes', dimension, plan.stride), isFree: true },
    ]
  }
  if (form === 'binary') {
    const mean = metric === 'l2' ? centre : [line('mean', dimension)]
    const bits = table('bits', Math.ceil(dimension / 8), segment.getIndex('bitStride'))
    return [...mean, line('bitScales', rows), line('bitBiases', rows), bits]
  }
  const subspaces = subspacesOf(dimension)
  const centroids = line('centroids', subspaces * CENTROIDS * PIECE)
  return [...centre, centroids, { ...table('pieces', subspaces, subspaces), isFree: true }]
}

const bytesOf = (regions: readonly Region[]): number =>
  regions.reduce((sum, { rows, rowBytes }) => sum + rows * rowBytes, 0)

function checkHeader(view: DataView, segment: Segment): void {
  const { rows, dimension, metric, form } = segment
  if (view.getUint32(0, true) !== MAGIC[form]) throw damaged(`not codes of form ${form}`)
  const version = view.getUint16(4, true)
  if (version !== VERSION) throw damaged(`version ${version}, expected ${VERSION}`)
  if (view.getUint8(6) !== METRICS.indexOf(metric)) throw damaged('made for another metric')
  if (view.getUint32(8, true) !== rows) throw damaged('another number of rows')
  if (view.getUint32(12, true) !== dimension) throw damaged('another dimension')
  const exponent = view.getInt32(16, true)
  if (Math.abs(exponent) > EXPONENT_MAX || (metric === 'cosine' && exponent !== 0)) {
    throw damaged(`exponent ${exponent}`)
  }
  if (view.getUint8(7) !== 0 || view.getUint32(28, true) !== 0) {
    throw damaged('reserved bytes are not zero')
  }
  const norm = view.getFloat64(20, true)
  const believable = Object.is(norm, 0) || (norm >= 2 ** -EXPONENT_MAX && norm <= 2 ** EXPONENT_MAX)
  if (segment.onDisk ? !believable : !Object.is(norm, segment.wideNorm))
    throw damaged('another norm')
}

type Bounds = readonly [min: number, max: number]

const FINITE: Bounds = [-3.4028234663852886e38, 3.4028234663852886e38]

/** Numbers that a distance is made of must stay within what the kernel computes without NaN. */
function checkValues(segment: Segment): void {
  const { rows, dimension, metric, form } = segment
  if (metric === 'l2') checkArray(segment, 'centre', dimension, FINITE)
  if (form === 'int8') checkArray(segment, 'scales', rows, [0, 1])
  if (form === 'binary') {
    if (metric !== 'l2') checkArray(segment, 'mean', dimension, [-2, 2])
    checkArray(segment, 'bitScales', rows, [0, UNIT_NORM_MAX])
    checkArray(segment, 'bitBiases', rows, [-UNIT_NORM_MAX, UNIT_NORM_MAX])
    checkTailBits(segment)
  }
  if (form === 'pq') {
    checkArray(segment, 'centroids', subspacesOf(dimension) * CENTROIDS * PIECE, [-2, 2])
  }
}

const WHAT: Readonly<Record<string, string>> = {
  centre: 'the centre, component',
  mean: 'the mean, component',
  scales: 'the scale of row',
  bitScales: 'the scale of row',
  bitBiases: 'the bias of row',
  centroids: 'a centroid, component',
}

function checkArray(segment: Segment, name: string, count: number, [min, max]: Bounds): void {
  const start = segment.address(name) / 4
  const values = segment.f32.subarray(start, start + count)
  const bad = values.findIndex((value) => !(value >= min && value <= max))
  if (bad < 0) return
  throw damaged(`${WHAT[name]} ${bad} is ${values[bad]}, not in ${min}…${max}`)
}

/** Bits beyond the dimension are zero: they would count as signs. */
function checkTailBits(segment: Segment): void {
  const { rows, dimension, u8 } = segment
  if (dimension % 8 === 0) return
  const stride = segment.getIndex('bitStride')
  const last = segment.address('bits') + Math.floor(dimension / 8)
  for (let row = 0; row < rows; row++) {
    const byte = u8[last + row * stride] as number
    if (byte >>> (dimension % 8) !== 0) throw damaged(`row ${row} has bits beyond its dimension`)
  }
}

const damaged = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `vector codes do not fit their segment: ${what}`, {
    hint: 'Run akidb index build --again: codes are computed anew from the vectors.',
  })
