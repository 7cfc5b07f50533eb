import { isUtf8 } from 'node:buffer'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { asUint32 } from '../format/views.ts'
import { IndexParts } from './index-parts.ts'
import { checkOffsets } from './posting-blocks.ts'
import {
  TEXT_FIELD_BYTES,
  TEXT_HEADER_BYTES,
  TEXT_MAGIC,
  TEXT_POSITIONS,
  TEXT_VERSION,
} from './text-index-layout.ts'
import { type PostingParts, StoredPostings, type TextPostings } from './text-postings.ts'

/** Tokens of each row of one field, shape (rows,). */
export type FieldLengths = Uint8Array | Uint16Array | Uint32Array

/** The text of one segment; unless fields are weighted, they are read as one document. */
export interface TextIndex {
  readonly rows: number
  readonly fields: readonly string[]
  /** Tokens of all rows together. */
  readonly tokens: number
  /** The same of each field. */
  readonly fieldTokens: readonly number[]
  /** Whether the places of terms in their fields are stored. */
  readonly positions: boolean
  /** Tokens of each row, shape (rows,). @throws INTEGRITY where they are not as many as `tokens` */
  lengths(): Uint32Array
  fieldLengths(field: number): FieldLengths
  /**
   * Rows with this term, undefined where there is none. @throws INTEGRITY where they are damaged
   */
  postings(term: string): TextPostings | undefined
  /** Terms that begin so, at most `max`; which, where there are more, is not said. */
  termsFrom(prefix: string, max: number): string[]
}

/**
 * Opens what a text index builder encoded (text-index-layout.ts); `rows` are those of the segment.
 *
 * Terms and postings stay in `bytes` and are decoded at each look-up.
 * @throws INTEGRITY where lengths or offsets do not fit; FORMAT_VERSION for another version
 */
export function openTextIndex(bytes: Uint8Array, rows: number): TextIndex {
  const parts = openParts(bytes, rows)
  const { fields, termOffsets, blockOffsets, tailOffsets, terms } = parts
  const postings: PostingParts = { ...parts.postings, rows, fields: fields.length }
  const termBytes = (term: number): Buffer =>
    terms.subarray(termOffsets[term], termOffsets[term + 1])
  let lengths: Uint32Array | undefined
  const joined = (): Uint32Array => {
    lengths ??= sumLengths(fields, rows)
    return lengths
  }
  return {
    rows,
    fields: fields.map((field) => field.name),
    tokens: fields.reduce((sum, field) => sum + field.tokens, 0),
    fieldTokens: fields.map((field) => field.tokens),
    positions: parts.postings.tailPositions !== undefined,
    lengths: joined,
    fieldLengths: (field) => (fields[field] as FieldText).lengths,
    postings: (text) => {
      const key = Buffer.from(text, 'utf8')
      const term = placeOf(parts, key)
      if (term === termOffsets.length - 1 || !termBytes(term).equals(key)) return undefined
      const place = {
        term,
        firstBlock: blockOffsets[term] as number,
        endBlock: blockOffsets[term + 1] as number,
        tailStart: tailOffsets[term] as number,
        tailEnd: tailOffsets[term + 1] as number,
      }
      const found = new StoredPostings(postings, place, joined())
      if (found.count === 0) throw broken('a term stands nowhere')
      return found
    },
    termsFrom: (prefix, max) => {
      const key = Buffer.from(prefix, 'utf8')
      const found: string[] = []
      for (let term = placeOf(parts, key); found.length < max; term++) {
        if (term === termOffsets.length - 1) break
        const each = termBytes(term)
        if (!each.subarray(0, key.byteLength).equals(key)) break
        found.push(each.toString('utf8'))
      }
      return found
    },
  }
}

interface FieldText {
  readonly name: string
  readonly tokens: number
  readonly lengths: FieldLengths
}

interface TextParts {
  readonly fields: readonly FieldText[]
  readonly termOffsets: Uint32Array
  readonly blockOffsets: Uint32Array
  readonly tailOffsets: Uint32Array
  readonly terms: Buffer
  readonly postings: Omit<PostingParts, 'rows' | 'fields'>
}

interface TextHeader {
  readonly view: DataView
  readonly fields: number
  readonly terms: number
  readonly blocks: number
  readonly termBytes: number
  readonly words: number
  readonly tailBytes: number
  readonly positions: boolean
  readonly positionBytes: number
}

function openHeader(bytes: Uint8Array, rows: number): TextHeader {
  if (bytes.byteLength < TEXT_HEADER_BYTES) throw broken('it is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (i: number): number => view.getUint32(i * 4, true)
  if (word(0) !== TEXT_MAGIC) throw broken('its magic is missing')
  if (word(1) !== TEXT_VERSION) {
    throw new AkidbError('FORMAT_VERSION', `the text index of a segment has version ${word(1)}`, {
      hint:
        word(1) < TEXT_VERSION
          ? 'It was written before the first release: ingest again.'
          : 'Use a newer akidb.',
    })
  }
  if (word(2) !== rows) throw broken('it has another number of rows')
  if (word(3) > limits.columnsMax) throw broken('it has too many fields')
  const hasPositions = word(9) === TEXT_POSITIONS
  const isOdd = word(9) > TEXT_POSITIONS || (!hasPositions && word(10) !== 0) || word(11) !== 0
  if (isOdd) throw broken('its header is wrong')
  return {
    view,
    fields: word(3),
    terms: word(4),
    blocks: word(5),
    termBytes: word(6),
    words: word(7),
    tailBytes: word(8),
    positions: hasPositions,
    positionBytes: word(10),
  }
}

function openParts(bytes: Uint8Array, rows: number): TextParts {
  const header = openHeader(bytes, rows)
  const { terms, blocks } = header
  const start = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * header.fields
  const cut = new IndexParts(bytes, start, broken)
  const fields: FieldText[] = []
  for (let i = 0; i < header.fields; i++) {
    const entry = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * i
    fields.push(openField(header.view, { entry, rows }, (length) => cut.take(length)))
  }
  const termOffsets = cut.words(terms + 1)
  const blockOffsets = cut.words(terms + 1)
  const tailOffsets = cut.words(terms + 1)
  const termBytes = cut.take(header.termBytes)
  const postings = {
    lastRows: cut.words(blocks),
    starts: cut.words(blocks),
    maxCounts: cut.words(blocks),
    minLengths: cut.words(blocks),
    words: cut.words(header.words),
    tails: cut.take(header.tailBytes),
    tailPositions: header.positions ? cut.words(terms) : undefined,
    blockPositions: header.positions ? cut.words(blocks) : undefined,
    positions: cut.take(header.positions ? header.positionBytes : 0),
  }
  cut.end()
  checkOffsets(termOffsets, termBytes.byteLength, { mayBeEmpty: false })
  checkOffsets(blockOffsets, blocks, { mayBeEmpty: true })
  checkOffsets(tailOffsets, postings.tails.byteLength, { mayBeEmpty: true })
  return {
    fields,
    termOffsets,
    blockOffsets,
    tailOffsets,
    terms: Buffer.from(termBytes.buffer, termBytes.byteOffset, termBytes.byteLength),
    postings,
  }
}

function openField(
  view: DataView,
  { entry, rows }: { readonly entry: number; readonly rows: number },
  take: (length: number) => Uint8Array,
): FieldText {
  const width = view.getUint32(entry + 4, true)
  if (width !== 1 && width !== 2 && width !== 4) throw broken('its lengths have no known width')
  const tokens = Number(view.getBigUint64(entry + 8, true))
  if (!Number.isSafeInteger(tokens)) throw broken('a field entry is wrong')
  const name = take(view.getUint32(entry, true))
  if (!isUtf8(name)) throw broken('the name of a field is not UTF-8')
  return {
    name: Buffer.from(name).toString('utf8'),
    tokens,
    lengths: lengthsView(take(rows * width), width),
  }
}

function lengthsView(bytes: Uint8Array, width: 1 | 2 | 4): FieldLengths {
  if (width === 1) return bytes
  if (width === 4) return asUint32(bytes)
  const even = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint16Array(even.buffer, even.byteOffset, even.byteLength >>> 1)
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

/** Place of the first term that is not bytewise before `key`. */
function placeOf({ terms, termOffsets }: TextParts, key: Buffer): number {
  let low = 0
  let high = termOffsets.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const start = termOffsets[middle] as number
    const end = termOffsets[middle + 1] as number
    if (terms.compare(key, 0, key.byteLength, start, end) < 0) low = middle + 1
    else high = middle
  }
  return low
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the text index of a segment is damaged: ${what}`)
