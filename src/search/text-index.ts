import { AkidbError } from '../errors/errors.ts'
import {
  TEXT_FIELDS_MAX,
  TEXT_HEADER_BYTES,
  TEXT_INDEX_FORMAT,
  type TextFieldEntry,
  type TextPart,
} from './text-index-builder.ts'

/** The BM25 index of one segment. */
export interface TextIndex {
  readonly rows: number
  readonly fields: readonly TextField[]
}

/** One field of it. */
export interface TextField {
  readonly name: string
  /** Terms of each row. */
  readonly lengths: Uint32Array
  /** Calls back for every row that holds the term, ascending, with how often. */
  forEach(term: string, visit: (row: number, count: number) => void): void
}

/** @throws INTEGRITY where the bytes are no index of `rows` rows */
export function openTextIndex(bytes: Uint8Array, rows: number): TextIndex {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength < TEXT_HEADER_BYTES || view.readUInt32LE(0) !== TEXT_INDEX_FORMAT) {
    throw damaged('no header')
  }
  const fields = view.readUInt32LE(8)
  const start = TEXT_HEADER_BYTES + view.readUInt32LE(12)
  if (view.readUInt32LE(4) !== rows || fields > TEXT_FIELDS_MAX || start > view.byteLength) {
    throw damaged('it is of another segment')
  }
  const entries = directory(view.toString('utf8', TEXT_HEADER_BYTES, start))
  if (entries.length !== fields) throw damaged('another number of fields')
  const partOf = (part: TextPart | undefined): Uint8Array => {
    const [offset, length] = part ?? [-1, 0]
    const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length)
    if (!whole || offset < 0 || length < 0 || start + offset + length > view.byteLength) {
      throw damaged('a part lies outside')
    }
    return bytes.subarray(start + offset, start + offset + length)
  }
  return { rows, fields: entries.map((entry) => openField(entry, rows, partOf)) }
}

function directory(json: string): TextFieldEntry[] {
  try {
    const entries: unknown = JSON.parse(json)
    if (Array.isArray(entries)) return entries as TextFieldEntry[]
  } catch {
    // Falls through to the one error for both.
  }
  throw damaged('its directory is no list')
}

function openField(
  entry: TextFieldEntry,
  rows: number,
  partOf: (part: TextPart | undefined) => Uint8Array,
): TextField {
  const lengths = words(partOf(entry.lengths))
  const offsets = words(partOf(entry.offsets))
  const starts = words(partOf(entry.starts))
  const terms = partOf(entry.bytes)
  const postings = partOf(entry.postings)
  const count = entry.terms
  if (lengths.length !== rows || offsets.length !== count + 1 || starts.length !== count + 1) {
    throw damaged(`field "${entry.name}" has parts of other lengths`)
  }
  const text = Buffer.from(terms.buffer, terms.byteOffset, terms.byteLength)
  const find = (term: Buffer): number => {
    let low = 0
    let high = count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = Buffer.compare(text.subarray(offsets[middle], offsets[middle + 1]), term)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
  return {
    name: entry.name,
    lengths,
    forEach: (term, visit) => {
      const place = find(Buffer.from(term, 'utf8'))
      if (place < 0) return
      readPostings(postings, [starts[place] ?? 0, starts[place + 1] ?? 0], rows, visit)
    },
  }
}

function readPostings(
  bytes: Uint8Array,
  [from, to]: readonly [number, number],
  rows: number,
  visit: (row: number, count: number) => void,
): void {
  if (to > bytes.byteLength || from > to) throw damaged('postings lie outside')
  let at = from
  const next = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= to) throw damaged('postings are cut')
      const byte = bytes[at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw damaged('a posting is too long')
  }
  let row = 0
  while (at < to) {
    row += next()
    const count = next()
    if (row >= rows) throw damaged(`a posting names row ${row}`)
    visit(row, count)
  }
}

function words(bytes: Uint8Array): Uint32Array {
  const even = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  return new Uint32Array(even.buffer, even.byteOffset, even.byteLength >>> 2)
}

const damaged = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a text index is damaged: ${what}`, {
    hint: 'Run akidb check, then akidb repair.',
  })
