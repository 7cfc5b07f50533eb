import type { JsonObject, JsonValue } from '../core/json.ts'
import { bytesOf } from '../format/views.ts'
import {
  lengthWidth,
  padded,
  TEXT_FIELD_BYTES,
  TEXT_HEADER_BYTES,
  TEXT_MAGIC,
  TEXT_VERSION,
} from './text-index-layout.ts'
import { forEachToken } from './tokenizer.ts'

/** Collects the rows of one segment, in row order, into a text index. */
export interface TextIndexBuilder {
  /** The next row. */
  add(payload: JsonObject): void
  /** The index of all rows so far; the bytes depend on the rows alone (text-index-layout.ts). */
  encode(): Uint8Array
}

/**
 * Builds the BM25 postings of these payload fields: for each field the rows and counts of its terms
 * and the number of tokens of each row.
 *
 * A value that is text counts as it is, a number or boolean as its JSON text, an array as its
 * elements joined by spaces, and null, an object or nothing as empty. Memory: about 4 bytes a
 * posting, and the distinct terms.
 */
export function createTextIndexBuilder(fields: readonly string[]): TextIndexBuilder {
  const builders = fields.map(() => new FieldTextBuilder())
  let rows = 0
  return {
    add: (payload) => {
      for (const [i, field] of fields.entries()) {
        builders[i]?.add(textOf(payload.get(field)))
      }
      rows++
    },
    encode: () => {
      const parts = builders.map((builder, i) => builder.encode(fields[i] as string))
      return joinFields(rows, parts)
    },
  }
}

/** The text that a field's value stands for. */
export function textOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map((item: JsonValue) => textOf(item)).join(' ')
  // A column of years was guessed to be numbers; its words are still searched for.
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value)
}

interface EncodedField {
  readonly name: Uint8Array
  readonly lengths: Uint8Array
  readonly lengthBytes: number
  readonly termOffsets: Uint32Array
  readonly terms: Uint8Array
  readonly postingOffsets: Uint32Array
  readonly postings: Uint8Array
  readonly tokens: number
}

function joinFields(rows: number, fields: readonly EncodedField[]): Uint8Array {
  const parts = fields.flatMap((field) => [
    field.name,
    field.lengths,
    bytesOf(field.termOffsets),
    bytesOf(field.postingOffsets),
    field.terms,
    field.postings,
  ])
  const headerBytes = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * fields.length
  const total = parts.reduce((sum, part) => sum + padded(part.byteLength), headerBytes)
  const out = new Uint8Array(total)
  const view = new DataView(out.buffer)
  for (const [i, word] of [TEXT_MAGIC, TEXT_VERSION, rows, fields.length].entries()) {
    view.setUint32(i * 4, word, true)
  }
  for (const [i, field] of fields.entries()) {
    const at = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * i
    view.setUint32(at, field.name.byteLength, true)
    view.setUint32(at + 4, field.lengthBytes, true)
    view.setUint32(at + 8, field.termOffsets.length - 1, true)
    view.setUint32(at + 12, field.terms.byteLength, true)
    view.setUint32(at + 16, field.postings.byteLength, true)
    view.setBigUint64(at + 24, BigInt(field.tokens), true)
  }
  let at = headerBytes
  for (const part of parts) {
    out.set(part, at)
    at += padded(part.byteLength)
  }
  return out
}

/** One field: a log of (term, count) in row order, which `encode` sorts by term. */
class FieldTextBuilder {
  readonly #terms = new Map<string, number>()
  readonly #lengths: number[] = []
  /** Distinct terms of each row. */
  readonly #distinct: number[] = []
  readonly #log = new ByteWriter()
  /** Counts of the current row by term; all zero between rows. */
  #counts = new Uint32Array(1024)

  add(text: string): void {
    const touched: number[] = []
    let length = 0
    forEachToken(text, (token) => {
      const term = this.#termOf(token)
      const count = this.#counts[term] as number
      if (count === 0) touched.push(term)
      this.#counts[term] = count + 1
      length++
    })
    for (const term of touched) {
      this.#log.varint(term)
      this.#log.varint(this.#counts[term] as number)
      this.#counts[term] = 0
    }
    this.#lengths.push(length)
    this.#distinct.push(touched.length)
  }

  #termOf(token: string): number {
    const known = this.#terms.get(token)
    if (known !== undefined) return known
    const term = this.#terms.size
    // A copy: a slice would keep the whole text of its row in memory.
    this.#terms.set(Buffer.from(token, 'utf8').toString('utf8'), term)
    if (term >= this.#counts.length) {
      const wider = new Uint32Array(this.#counts.length * 2)
      wider.set(this.#counts)
      this.#counts = wider
    }
    return term
  }

  encode(name: string): EncodedField {
    const keys = Array.from(this.#terms.keys(), (term) => Buffer.from(term, 'utf8'))
    const order = Uint32Array.from(keys.keys())
    order.sort((a, b) => Buffer.compare(keys[a] as Buffer, keys[b] as Buffer))
    const sorted = Array.from(order, (term) => keys[term] as Buffer)
    return {
      name: Buffer.from(name, 'utf8'),
      ...encodeLengths(this.#lengths),
      termOffsets: offsetsOf(sorted.map((bytes) => bytes.byteLength)),
      terms: Buffer.concat(sorted),
      ...this.#encodePostings(order),
    }
  }

  /** Two walks over the log: the first sizes each term's postings, the second writes them. */
  #encodePostings(order: Uint32Array): { postingOffsets: Uint32Array; postings: Uint8Array } {
    const bytes = new Uint32Array(order.length)
    this.#walk((term, key, count) => {
      bytes[term] =
        (bytes[term] as number) + varintBytes(key) + (count > 1 ? varintBytes(count - 2) : 0)
    })
    const postingOffsets = offsetsOf(Array.from(order, (term) => bytes[term] as number))
    const postings = new Uint8Array(postingOffsets[order.length] as number)
    const next = bytes
    for (let i = 0; i < order.length; i++) next[order[i] as number] = postingOffsets[i] as number
    this.#walk((term, key, count) => {
      let at = putVarint(postings, next[term] as number, key)
      if (count > 1) at = putVarint(postings, at, count - 2)
      next[term] = at
    })
    return { postingOffsets, postings }
  }

  #walk(visit: (term: number, key: number, count: number) => void): void {
    const before = new Uint32Array(this.#terms.size)
    const reader = this.#log.reader()
    for (let row = 0; row < this.#distinct.length; row++) {
      for (let left = this.#distinct[row] as number; left > 0; left--) {
        const term = reader()
        const count = reader()
        visit(term, (row - (before[term] as number)) * 2 + (count > 1 ? 1 : 0), count)
        before[term] = row
      }
    }
  }
}

function encodeLengths(
  lengths: readonly number[],
): Pick<EncodedField, 'lengths' | 'lengthBytes' | 'tokens'> {
  let max = 0
  let tokens = 0
  for (const length of lengths) {
    tokens += length
    if (length > max) max = length
  }
  const lengthBytes = lengthWidth(max)
  const array = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[lengthBytes]
  return { lengths: bytesOf(array.from(lengths)), lengthBytes, tokens }
}

function offsetsOf(sizes: readonly number[]): Uint32Array {
  const offsets = new Uint32Array(sizes.length + 1)
  let sum = 0
  for (let i = 0; i < sizes.length; i++) {
    sum += sizes[i] as number
    offsets[i + 1] = sum
  }
  return offsets
}

/** A growing buffer of varints (LEB128, u32). */
class ByteWriter {
  #bytes = new Uint8Array(4096)
  #length = 0

  varint(value: number): void {
    if (this.#length + 5 > this.#bytes.length) {
      const wider = new Uint8Array(this.#bytes.length * 2)
      wider.set(this.#bytes)
      this.#bytes = wider
    }
    this.#length = putVarint(this.#bytes, this.#length, value)
  }

  reader(): () => number {
    const bytes = this.#bytes
    let at = 0
    return () => {
      let value = 0
      let shift = 0
      for (;;) {
        const byte = bytes[at++] as number
        value |= (byte & 0x7f) << shift
        if (byte < 0x80) return value >>> 0
        shift += 7
      }
    }
  }
}

function putVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start
  let left = value
  while (left > 0x7f) {
    bytes[at++] = (left & 0x7f) | 0x80
    left >>>= 7
  }
  bytes[at++] = left
  return at
}

const varintBytes = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5
