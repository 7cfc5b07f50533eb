import { METRICS } from '../core/metric.ts'
import { AkidbError } from '../errors/errors.ts'
import type { Segment } from './segment.ts'

/**
 * Bytes of a segment's int8 codes (role `codes`), little endian:
 *
 * | offset | bytes            | meaning                                                        |
 * |--------|------------------|----------------------------------------------------------------|
 * | 0      | 4                | magic `AKCO`                                                   |
 * | 4      | 2                | version, 1                                                     |
 * | 6      | 1                | metric: 0 cosine, 1 dot, 2 l2                                  |
 * | 7      | 1                | zero                                                           |
 * | 8      | 4                | rows                                                           |
 * | 12     | 4                | dimension                                                      |
 * | 16     | 4                | exponent e (int32): scales are in units of 2^e; 0 for cosine   |
 * | 20     | 12               | zero                                                           |
 * | 32     | 4 · dimension    | l2 only: centre, float32; rows are coded about it              |
 * |        | 4 · rows         | scales, float32: component ≈ scale · code · 2^e                |
 * |        | rows · dimension | codes, int8, row major                                         |
 *
 * For cosine the scale is that of the row divided by its norm.
 */
const MAGIC = 0x4f434b41
const VERSION = 1
const HEADER_BYTES = 32
/** float32 norms have exponents within ±160; anything far beyond is damage. */
const EXPONENT_MAX = 200

/** The codes of a quantised segment as bytes. */
export function encodeCodes(segment: Segment): Uint8Array {
  const { rows, dimension, metric, plan } = segment
  const centreBytes = metric === 'l2' ? dimension * 4 : 0
  const bytes = new Uint8Array(HEADER_BYTES + centreBytes + rows * 4 + rows * dimension)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint8(6, METRICS.indexOf(metric))
  view.setUint32(8, rows, true)
  view.setUint32(12, dimension, true)
  view.setInt32(16, segment.unitExponent, true)
  const centre = segment.address('centre')
  bytes.set(segment.u8.subarray(centre, centre + centreBytes), HEADER_BYTES)
  const scales = segment.address('scales')
  bytes.set(segment.u8.subarray(scales, scales + rows * 4), HEADER_BYTES + centreBytes)
  const codes = segment.address('codes')
  let to = HEADER_BYTES + centreBytes + rows * 4
  for (let row = 0; row < rows; row++, to += dimension) {
    const from = codes + row * plan.stride
    bytes.set(segment.u8.subarray(from, from + dimension), to)
  }
  return bytes
}

/** Puts stored codes into a measured segment. Errors: INTEGRITY where they do not fit it. */
export function decodeCodes(segment: Segment, bytes: Uint8Array): void {
  const { rows, dimension, metric, plan } = segment
  const centreBytes = metric === 'l2' ? dimension * 4 : 0
  const length = HEADER_BYTES + centreBytes + rows * 4 + rows * dimension
  if (bytes.length !== length) throw damaged(`${bytes.length} bytes, expected ${length}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  checkHeader(view, segment)
  for (let at = HEADER_BYTES; at < HEADER_BYTES + centreBytes; at += 4) {
    if (!Number.isFinite(view.getFloat32(at, true))) throw damaged('the centre is not finite')
  }
  for (let row = 0; row < rows; row++) {
    const scale = view.getFloat32(HEADER_BYTES + centreBytes + row * 4, true)
    if (!(scale >= 0 && scale <= 1)) throw damaged(`the scale of row ${row} is not in 0…1`)
  }
  const scalesAt = HEADER_BYTES + centreBytes
  segment.u8.set(bytes.subarray(HEADER_BYTES, scalesAt), segment.address('centre'))
  segment.u8.set(bytes.subarray(scalesAt, scalesAt + rows * 4), segment.address('scales'))
  const codes = segment.address('codes')
  let from = scalesAt + rows * 4
  for (let row = 0; row < rows; row++, from += dimension) {
    segment.u8.set(bytes.subarray(from, from + dimension), codes + row * plan.stride)
  }
  segment.setUnitExponent(view.getInt32(16, true))
  segment.finishCodes()
}

function checkHeader(view: DataView, { rows, dimension, metric }: Segment): void {
  if (view.getUint32(0, true) !== MAGIC) throw damaged('not vector codes')
  const version = view.getUint16(4, true)
  if (version !== VERSION) throw damaged(`version ${version}, expected ${VERSION}`)
  if (view.getUint8(6) !== METRICS.indexOf(metric)) throw damaged('made for another metric')
  if (view.getUint32(8, true) !== rows) throw damaged('another number of rows')
  if (view.getUint32(12, true) !== dimension) throw damaged('another dimension')
  const exponent = view.getInt32(16, true)
  if (Math.abs(exponent) > EXPONENT_MAX || (metric === 'cosine' && exponent !== 0)) {
    throw damaged(`exponent ${exponent}`)
  }
  const zeros = [7, 20, 24, 28].map((at) =>
    at === 7 ? view.getUint8(at) : view.getUint32(at, true),
  )
  if (zeros.some((zero) => zero !== 0)) throw damaged('reserved bytes are not zero')
}

const damaged = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `vector codes do not fit their segment: ${what}`, {
    hint: 'Run akidb index build --again: codes are computed anew from the vectors.',
  })
