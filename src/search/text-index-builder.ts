/**
 * Text index of one segment (role `text`), little endian:
 *
 *   offset  bytes  type  meaning
 *   0       4      u32   format, 1
 *   4       4      u32   rows
 *   8       4      u32   fields
 *   12      4      u32   length of the directory
 *   16      …      json  directory, one entry a field: name, terms, and offset and length of its parts
 *   …              -     parts, each at a multiple of 4
 *
 * Parts of a field: `lengths` (u32 terms of each row), `offsets` (u32 into `bytes`), `bytes` (UTF-8 terms, sorted),
 * `starts` (u32 into `postings`), `postings` (per term: varint row distance, varint count, rows ascending).
 */
import type { JsonObject, JsonValue } from '../core/json.ts'
import { tokenize } from './tokenizer.ts'

export const TEXT_INDEX_FORMAT = 1
export const TEXT_HEADER_BYTES = 16
export const TEXT_FIELDS_MAX = 1_000

export type TextPart = readonly [offset: number, bytes: number]
export const TEXT_PARTS = ['lengths', 'offsets', 'bytes', 'starts', 'postings'] as const
export type TextFieldEntry = { readonly name: string; readonly terms: number } & {
  readonly [part in (typeof TEXT_PARTS)[number]]: TextPart
}

export interface TextIndexBuilder {
  /** Adds the next row. */
  add(payload: JsonObject): void
  /** The same rows give the same bytes on every machine. */
  encode(): Uint8Array
}

/** Builds the BM25 index of one segment over these payload fields. */
export function createTextIndexBuilder(fields: readonly string[]): TextIndexBuilder {
  const builders = fields.map((name) => new FieldBuilder(name))
  let rows = 0
  return {
    add: (payload) => {
      for (const field of builders) field.add(textOf(payload.get(field.name)), rows)
      rows++
    },
    encode: () => encode(builders, rows),
  }
}

/** A text field's text: the value, or the texts of an array joined by spaces; anything else is empty. */
export function textOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return ''
  return (value as readonly JsonValue[]).filter((item) => typeof item === 'string').join(' ')
}

class FieldBuilder {
  readonly name: string
  readonly lengths: number[] = []
  /** Term → row, count, row, count, … */
  readonly postings = new Map<string, number[]>()

  constructor(name: string) {
    this.name = name
  }

  add(text: string, row: number): void {
    const terms = tokenize(text)
    this.lengths.push(terms.length)
    for (const term of terms) {
      const list = this.postings.get(term)
      if (list === undefined) this.postings.set(term, [row, 1])
      else if (list[list.length - 2] === row) list[list.length - 1] = (list.at(-1) as number) + 1
      else list.push(row, 1)
    }
  }
}

function encode(fields: readonly FieldBuilder[], rows: number): Uint8Array {
  const parts: Uint8Array[] = []
  let at = 0
  const place = (bytes: Uint8Array): TextPart => {
    const padding = (4 - (at % 4)) % 4
    if (padding > 0) parts.push(new Uint8Array(padding))
    const offset = at + padding
    parts.push(bytes)
    at = offset + bytes.byteLength
    return [offset, bytes.byteLength]
  }
  const entries = fields.map((field) => encodeField(field, place))
  const json = Buffer.from(JSON.stringify(entries))
  const padded = Math.ceil(json.byteLength / 4) * 4
  const head = Buffer.alloc(TEXT_HEADER_BYTES + padded, 0x20)
  head.writeUInt32LE(TEXT_INDEX_FORMAT, 0)
  head.writeUInt32LE(rows, 4)
  head.writeUInt32LE(fields.length, 8)
  head.writeUInt32LE(padded, 12)
  json.copy(head, TEXT_HEADER_BYTES)
  return Buffer.concat([head, ...parts])
}

function encodeField(field: FieldBuilder, place: (bytes: Uint8Array) => TextPart): TextFieldEntry {
  const terms = [...field.postings]
    .map(([term, list]) => ({ bytes: Buffer.from(term, 'utf8'), list }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  const offsets = new Uint32Array(terms.length + 1)
  const starts = new Uint32Array(terms.length + 1)
  const postings = new VarintWriter()
  for (const [i, { bytes, list }] of terms.entries()) {
    offsets[i + 1] = (offsets[i] as number) + bytes.byteLength
    let before = 0
    for (let p = 0; p < list.length; p += 2) {
      postings.write((list[p] as number) - before)
      postings.write(list[p + 1] as number)
      before = list[p] as number
    }
    starts[i + 1] = postings.length
  }
  return {
    name: field.name,
    terms: terms.length,
    lengths: place(viewOf(Uint32Array.from(field.lengths))),
    offsets: place(viewOf(offsets)),
    bytes: place(Buffer.concat(terms.map(({ bytes }) => bytes))),
    starts: place(viewOf(starts)),
    postings: place(postings.bytes()),
  }
}

const viewOf = (array: Uint32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

/** LEB128 numbers in a buffer that grows. */
class VarintWriter {
  #buffer = new Uint8Array(1024)
  length = 0

  write(value: number): void {
    if (this.length + 5 > this.#buffer.length) {
      const larger = new Uint8Array(this.#buffer.length * 2)
      larger.set(this.#buffer)
      this.#buffer = larger
    }
    let rest = value
    while (rest > 0x7f) {
      this.#buffer[this.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#buffer[this.length++] = rest
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.length)
  }
}
