import type { JsonObject, JsonValue } from '../core/json.ts'
import {
  bitmapWords,
  DISTINCT_BYTES_MAX,
  type Directory,
  FIELD_INDEX_FORMAT,
  isBitmap,
  KEYS_MAX,
  type KeyEntry,
  type Part,
  PREFIX_BYTES,
  VALUE_BYTES_MAX,
} from './field-index-format.ts'
import { canonical, forEachField } from './field-values.ts'

export interface FieldIndexBuilder {
  /** Adds the next row. */
  add(payload: JsonObject): void
  /** The index as bytes; the same rows give the same bytes on every machine. */
  encode(): Uint8Array
}

/** Builds the filter index of one segment, row by row. */
export function createFieldIndexBuilder(): FieldIndexBuilder {
  const keys = new Map<string, KeyRows>()
  let rows = 0
  let overflow = false
  return {
    add: (payload) => {
      forEachField(payload, (key, value) => {
        let known = keys.get(key)
        if (known === undefined) {
          if (keys.size >= KEYS_MAX) {
            overflow = true
            return
          }
          known = new KeyRows()
          keys.set(key, known)
        }
        known.add(value, rows)
      })
      rows++
    },
    encode: () => encode(keys, rows, overflow),
  }
}

/** Rows that hold one value, ascending and without repeats; most values of an id stand once. */
type Rows = number | number[]

/** Rows of one key by distinct value. */
class KeyRows {
  readonly strings = new Map<string, Rows>()
  readonly numbers = new Map<number | bigint, Rows>()
  readonly booleans: readonly [number[], number[]] = [[], []]
  readonly nulls: number[] = []
  readonly filled: number[] = []
  indexed = true
  #distinctBytes = 0

  add(value: JsonValue, row: number): void {
    if (value === null) {
      push(this.nulls, row)
      return
    }
    if (Array.isArray(value)) {
      if (value.length > 0) push(this.filled, row)
      for (const item of value as readonly JsonValue[]) this.#scalar(item, row)
      return
    }
    push(this.filled, row)
    this.#scalar(value, row)
  }

  #scalar(value: JsonValue, row: number): void {
    if (!this.indexed || value === null || typeof value === 'object') return
    if (typeof value === 'boolean') push(this.booleans[value ? 1 : 0], row)
    else if (typeof value === 'string') this.#string(value, row)
    else this.#number(canonical(value) as number | bigint, row)
  }

  #string(value: string, row: number): void {
    const known = this.strings.get(value)
    if (known !== undefined) {
      pushInto(this.strings, value, known, row)
      return
    }
    const bytes = Buffer.byteLength(value)
    this.#distinctBytes += bytes
    if (bytes > VALUE_BYTES_MAX || this.#distinctBytes > DISTINCT_BYTES_MAX) this.#giveUp()
    else this.strings.set(value, row)
  }

  #number(value: number | bigint, row: number): void {
    const known = this.numbers.get(value)
    if (known === undefined) this.numbers.set(value, row)
    else pushInto(this.numbers, value, known, row)
  }

  #giveUp(): void {
    this.indexed = false
    this.strings.clear()
    this.numbers.clear()
    this.booleans[0].length = 0
    this.booleans[1].length = 0
  }
}

function push(rows: number[], row: number): void {
  if (rows[rows.length - 1] !== row) rows.push(row)
}

function pushInto<T>(map: Map<T, Rows>, value: T, known: Rows, row: number): void {
  if (typeof known !== 'number') push(known, row)
  else if (known !== row) map.set(value, [known, row])
}

function encode(keys: ReadonlyMap<string, KeyRows>, rows: number, overflow: boolean): Uint8Array {
  const names = [...keys.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const parts: Uint8Array[] = []
  let at = 0
  const place = (bytes: Uint8Array): Part => {
    const padding = (8 - (at % 8)) % 8
    if (padding > 0) parts.push(new Uint8Array(padding))
    const offset = at + padding
    parts.push(bytes)
    at = offset + bytes.byteLength
    return [offset, bytes.byteLength]
  }
  const entries = names.map((name) => encodeKey(name, keys.get(name) as KeyRows, rows, place))
  const directory: Directory = { rows, overflow, keys: entries }
  const json = Buffer.from(JSON.stringify(directory))
  const padded = Math.ceil((PREFIX_BYTES + json.byteLength) / 8) * 8 - PREFIX_BYTES
  const prefix = Buffer.alloc(PREFIX_BYTES + padded, 0x20)
  prefix.writeUInt32LE(FIELD_INDEX_FORMAT, 0)
  prefix.writeUInt32LE(padded, 4)
  json.copy(prefix, PREFIX_BYTES)
  return Buffer.concat([prefix, ...parts])
}

function encodeKey(
  key: string,
  known: KeyRows,
  rows: number,
  place: (bytes: Uint8Array) => Part,
): KeyEntry {
  const strings = sortedStrings(known.strings)
  const numbers = [...known.numbers].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const { offsets, bytes } = encodeStrings(strings)
  const tags = Buffer.alloc(numbers.length)
  const values = Buffer.alloc(numbers.length * 8)
  for (const [i, [value]] of numbers.entries()) tags[i] = writeNumber(values, i * 8, value)
  const lists = [
    ...strings.map(([, list]) => list),
    ...numbers.map(([, list]) => list),
    known.booleans[0],
    known.booleans[1],
    known.nulls,
    known.filled,
  ]
  const { postings, words } = encodePostings(lists, rows)
  return {
    key,
    indexed: known.indexed,
    strings: strings.length,
    numbers: numbers.length,
    stringOffsets: place(bytesOf(offsets)),
    stringBytes: place(bytes),
    numberTags: place(tags),
    numberValues: place(values),
    postings: place(postings),
    words: place(words),
  }
}

/** Bytewise order of UTF-8, which is that of UTF-16 where there is no surrogate. */
function sortedStrings(strings: ReadonlyMap<string, Rows>): [string, Rows][] {
  const entries = [...strings]
  if (entries.some(([value]) => /[\ud800-\uffff]/.test(value))) {
    const bytes = new Map(entries.map(([value]) => [value, Buffer.from(value, 'utf8')]))
    const bytesFor = (value: string): Buffer => bytes.get(value) as Buffer
    return entries.sort(([a], [b]) => Buffer.compare(bytesFor(a), bytesFor(b)))
  }
  return entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

function encodeStrings(strings: readonly (readonly [string, Rows])[]) {
  const total = strings.reduce((sum, [value]) => sum + Buffer.byteLength(value), 0)
  const bytes = Buffer.allocUnsafe(total)
  const offsets = new Uint32Array(strings.length + 1)
  let at = 0
  for (let i = 0; i < strings.length; i++) {
    at += bytes.write((strings[i] as readonly [string, Rows])[0], at)
    offsets[i + 1] = at
  }
  return { offsets, bytes }
}

function writeNumber(bytes: Buffer, at: number, value: number | bigint): number {
  if (typeof value === 'number') {
    bytes.writeDoubleLE(value, at)
    return 0
  }
  if (value < 0n) {
    if (value < -(2n ** 63n)) throw new Error('an integer below -2^63 is kept as text')
    bytes.writeBigInt64LE(value, at)
    return 1
  }
  bytes.writeBigUInt64LE(value, at)
  return 2
}

function encodePostings(lists: readonly Rows[], rows: number) {
  const postings = new Uint32Array(lists.length * 2)
  let total = 0
  for (let i = 0; i < lists.length; i++) {
    const list = lists[i] as Rows
    const count = typeof list === 'number' ? 1 : list.length
    postings[i * 2] = total
    postings[i * 2 + 1] = count
    total += isBitmap(count, rows) ? bitmapWords(rows) : count
  }
  const words = new Uint32Array(total)
  for (let i = 0; i < lists.length; i++) {
    const list = lists[i] as Rows
    const at = postings[i * 2] as number
    if (typeof list === 'number') words[at] = list
    else if (!isBitmap(list.length, rows)) words.set(list, at)
    else for (const row of list) words[at + (row >>> 5)] = bit(words[at + (row >>> 5)], row)
  }
  return { postings: bytesOf(postings), words: bytesOf(words) }
}

const bit = (word: number | undefined, row: number): number => (word ?? 0) | (1 << (row & 31))

const bytesOf = (array: Uint32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
