import { isUtf8 } from 'node:buffer'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { asUint32 } from '../format/views.ts'
import {
  padded,
  TEXT_FIELD_BYTES,
  TEXT_HEADER_BYTES,
  TEXT_MAGIC,
  TEXT_VERSION,
} from './text-index-layout.ts'

/** Where one term stands: rows ascending, and how often in each. */
export interface Postings {
  readonly count: number
  /** Only the first `count` are meant, as in `counts`. */
  readonly rows: Uint32Array
  readonly counts: Uint32Array
}

/** The text of one segment; its fields are read as one document, joined by spaces. */
export interface TextIndex {
  readonly rows: number
  readonly fields: readonly string[]
  /** Tokens of all rows together. */
  readonly tokens: number
  /** Tokens of each row, shape (rows,). */
  lengths(): Uint32Array
  /**
   * Rows with this term, undefined where there is none. @throws INTEGRITY where they are damaged
   */
  postings(term: string): Postings | undefined
}

/**
 * Opens what a text index builder encoded (text-index-layout.ts); `rows` are those of the segment.
 *
 * Terms and postings stay in `bytes` and are decoded at each look-up.
 * @throws INTEGRITY where lengths or offsets do not fit; FORMAT_VERSION for another version
 */
export function openTextIndex(bytes: Uint8Array, rows: number): TextIndex {
  const fields = openFields(bytes, rows)
  let lengths: Uint32Array | undefined
  return {
    rows,
    fields: fields.map((field) => field.name),
    tokens: fields.reduce((sum, field) => sum + field.tokens, 0),
    lengths: () => {
      lengths ??= sumLengths(fields, rows)
      return lengths
    },
    postings: (term) => {
      const key = Buffer.from(term, 'utf8')
      let found: Postings | undefined
      for (const field of fields) {
        const postings = fieldPostings(field, key, rows)
        if (postings !== undefined) found = found === undefined ? postings : merge(found, postings)
      }
      return found
    },
  }
}

interface FieldText {
  readonly name: string
  readonly tokens: number
  readonly lengths: Uint8Array | Uint16Array | Uint32Array
  readonly termOffsets: Uint32Array
  readonly postingOffsets: Uint32Array
  readonly terms: Buffer
  readonly postings: Uint8Array
}

function openFields(bytes: Uint8Array, rows: number): FieldText[] {
  if (bytes.byteLength < TEXT_HEADER_BYTES) throw broken('it is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== TEXT_MAGIC) throw broken('its magic is missing')
  const version = view.getUint32(4, true)
  if (version !== TEXT_VERSION) {
    throw new AkidbError('FORMAT_VERSION', `the text index of a segment has version ${version}`, {
      hint: 'Use a newer akidb.',
    })
  }
  if (view.getUint32(8, true) !== rows) throw broken('it has another number of rows')
  const count = view.getUint32(12, true)
  if (count > limits.columnsMax) throw broken('it has too many fields')
  let at = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * count
  if (at > bytes.byteLength) throw broken('it is cut off')
  const take = (length: number): Uint8Array => {
    const start = at
    at += padded(length)
    if (at > bytes.byteLength) throw broken('it is cut off')
    return bytes.subarray(start, start + length)
  }
  const fields: FieldText[] = []
  for (let i = 0; i < count; i++) {
    fields.push(openField(view, TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * i, rows, take))
  }
  if (at !== bytes.byteLength) throw broken('something follows its end')
  return fields
}

function openField(
  view: DataView,
  entry: number,
  rows: number,
  take: (length: number) => Uint8Array,
): FieldText {
  const word = (i: number): number => view.getUint32(entry + i * 4, true)
  const width = word(1)
  if (width !== 1 && width !== 2 && width !== 4) throw broken('its lengths have no known width')
  const tokens = Number(view.getBigUint64(entry + 24, true))
  if (word(5) !== 0 || !Number.isSafeInteger(tokens)) throw broken('a field entry is wrong')
  const name = take(word(0))
  if (!isUtf8(name)) throw broken('the name of a field is not UTF-8')
  const lengths = take(rows * width)
  const terms = word(2)
  const termOffsets = asUint32(take((terms + 1) * 4))
  const postingOffsets = asUint32(take((terms + 1) * 4))
  const termBytes = take(word(3))
  checkOffsets(termOffsets, termBytes.byteLength)
  const postings = take(word(4))
  checkOffsets(postingOffsets, postings.byteLength)
  return {
    name: Buffer.from(name).toString('utf8'),
    tokens,
    lengths: lengthsView(lengths, width),
    termOffsets,
    postingOffsets,
    terms: Buffer.from(termBytes.buffer, termBytes.byteOffset, termBytes.byteLength),
    postings,
  }
}

function lengthsView(bytes: Uint8Array, width: 1 | 2 | 4): Uint8Array | Uint16Array | Uint32Array {
  if (width === 1) return bytes
  if (width === 4) return asUint32(bytes)
  const even = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice()
  return new Uint16Array(even.buffer, even.byteOffset, even.byteLength >>> 1)
}

/** No term and no list of postings is empty, so that offsets always grow. */
function checkOffsets(offsets: Uint32Array, end: number): void {
  if (offsets[0] !== 0 || offsets[offsets.length - 1] !== end) throw broken('its offsets are wrong')
  for (let i = 1; i < offsets.length; i++) {
    if ((offsets[i] as number) <= (offsets[i - 1] as number)) throw broken('its offsets go back')
  }
}

function sumLengths(fields: readonly FieldText[], rows: number): Uint32Array {
  const sums = new Uint32Array(rows)
  for (const { lengths, tokens } of fields) {
    let sum = 0
    for (let row = 0; row < rows; row++) {
      const length = lengths[row] as number
      sums[row] = (sums[row] as number) + length
      sum += length
    }
    if (sum !== tokens) throw broken('its lengths are not those of its tokens')
  }
  return sums
}

function fieldPostings(field: FieldText, term: Buffer, rows: number): Postings | undefined {
  const { terms, termOffsets, postingOffsets } = field
  let low = 0
  let high = termOffsets.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const start = termOffsets[middle] as number
    const end = termOffsets[middle + 1] as number
    const order = terms.compare(term, 0, term.byteLength, start, end)
    if (order === 0) {
      const from = postingOffsets[middle] as number
      const to = postingOffsets[middle + 1] as number
      return decodePostings(field.postings, { from, to, rows })
    }
    if (order < 0) low = middle + 1
    else high = middle
  }
  return undefined
}

interface PostingsRange {
  readonly from: number
  readonly to: number
  readonly rows: number
}

function decodePostings(bytes: Uint8Array, { from, to, rows }: PostingsRange): Postings {
  // Each posting takes a byte at least, and each row has one at most.
  const countMax = Math.min(to - from, rows)
  const found = new Uint32Array(countMax)
  const counts = new Uint32Array(countMax)
  let at = from
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 35 && at < to; shift += 7) {
      const byte = bytes[at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw broken('a number in its postings has no end')
  }
  let row = 0
  let count = 0
  while (at < to) {
    const byte = bytes[at] as number
    const key = byte < 0x80 ? byte : varint()
    if (byte < 0x80) at++
    const step = Math.floor(key / 2)
    row += step
    if (row >= rows || (step === 0 && count > 0)) throw broken('its postings are out of order')
    found[count] = row
    counts[count++] = key % 2 === 1 ? varint() + 2 : 1
  }
  return { count, rows: found, counts }
}

/** Counts of the same row add up: the fields are one document. */
function merge(a: Postings, b: Postings): Postings {
  const rows = new Uint32Array(a.count + b.count)
  const counts = new Uint32Array(a.count + b.count)
  let count = 0
  for (let i = 0, j = 0; i < a.count || j < b.count; count++) {
    const left = i < a.count ? (a.rows[i] as number) : Infinity
    const right = j < b.count ? (b.rows[j] as number) : Infinity
    rows[count] = Math.min(left, right)
    let sum = 0
    if (left <= right) sum += a.counts[i++] as number
    if (right <= left) sum += b.counts[j++] as number
    counts[count] = sum
  }
  return { count, rows, counts }
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the text index of a segment is damaged: ${what}`)
