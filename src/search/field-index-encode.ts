import { bytesOf } from '../format/views.ts'
import {
  BLOCK_BYTES,
  checksum,
  type Directory,
  FIELD_INDEX_FORMAT,
  type KeyEntry,
  type NumberParts,
  type Part,
  type PointParts,
  type PostingParts,
  PREFIX_BYTES,
  type SortedParts,
  type TextParts,
  type TimeParts,
} from './field-index-format.ts'
import type { FieldRows, Rows } from './field-rows.ts'
import type { NumberLog } from './number-log.ts'
import type { PointLog } from './point-log.ts'
import { PostingWriter } from './row-postings.ts'
import { timeRows } from './time-rows.ts'

/** The bytes of a field index (field-index-format.ts) of so many rows. */
export function encodeFields(
  keys: ReadonlyMap<string, FieldRows>,
  rows: number,
  overflow: boolean,
): Uint8Array {
  const names = [...keys.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const parts = new PartWriter()
  const entries = names.map((name) => encodeKey(name, keys.get(name) as FieldRows, { rows, parts }))
  const directory: Directory = { rows, overflow, keys: entries }
  const body = parts.finish()
  const sums = sumsOf(body)
  const json = Buffer.from(JSON.stringify(directory))
  const padded = Math.ceil((PREFIX_BYTES + json.byteLength) / 8) * 8 - PREFIX_BYTES
  const sumsStart = PREFIX_BYTES + padded
  const head = Buffer.alloc(sumsStart + Math.ceil(sums.length / 2) * 8)
  head.fill(0x20, PREFIX_BYTES, sumsStart)
  json.copy(head, PREFIX_BYTES)
  head.set(bytesOf(sums), sumsStart)
  head.writeUInt32LE(FIELD_INDEX_FORMAT, 0)
  head.writeUInt32LE(padded, 4)
  head.writeUInt32LE(checksum(head.subarray(PREFIX_BYTES)), 8)
  head.writeUInt32LE(sums.length, 12)
  return Buffer.concat([head, body])
}

function sumsOf(bytes: Uint8Array): Uint32Array {
  return Uint32Array.from({ length: Math.ceil(bytes.length / BLOCK_BYTES) }, (_, block) =>
    checksum(bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)),
  )
}

class PartWriter {
  readonly #pieces: Uint8Array[] = []
  #at = 0

  place(view: ArrayBufferView): Part {
    const bytes = bytesOf(view)
    const padding = (8 - (this.#at % 8)) % 8
    if (padding > 0) this.#pieces.push(new Uint8Array(padding))
    const offset = this.#at + padding
    this.#pieces.push(bytes)
    this.#at = offset + bytes.byteLength
    return [offset, bytes.byteLength]
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#pieces)
  }
}

interface Target {
  /** Rows of the segment. */
  readonly rows: number
  readonly parts: PartWriter
}

function encodeKey(key: string, known: FieldRows, target: Target): KeyEntry {
  const { rows, parts } = target
  const sets = [known.booleans[0], known.booleans[1], known.nulls, known.filled]
  const counts = [...known.counts.keys()].sort((a, b) => a - b)
  const countRows = counts.map((count) => known.counts.get(count)?.rows() ?? [])
  const strings = sortedStrings([...known.strings.keys()])
  const times = timeRows(known, strings)
  const { unlisted } = known
  return {
    key,
    sets: postingParts(
      sets.map((set) => set.rows()),
      rows,
      parts,
    ),
    counts: {
      numbers: parts.place(Uint32Array.from(counts)),
      ...postingParts(countRows, rows, parts),
    },
    texts:
      strings.length === 0
        ? null
        : textParts(strings, (i) => known.strings.get(strings[i] as string) ?? [], rows, parts),
    unlisted: unlisted.length === 0 ? null : parts.place(Uint32Array.from(unlisted)),
    shortUnlisted: known.shortUnlisted,
    tokens: tokenParts(known, { strings, times: times.length }, parts),
    numbers: known.numbers.length === 0 ? null : numberParts(known.numbers, parts),
    times: times.length === 0 ? null : timeParts(times, parts),
    points: known.points.length === 0 ? null : pointParts(known.points, parts),
  }
}

function postingParts(
  sets: readonly ArrayLike<number>[],
  space: number,
  parts: PartWriter,
): PostingParts {
  const writer = new PostingWriter(space)
  for (const set of sets) writer.add(set)
  const { heads, words } = writer.finish()
  return { heads: parts.place(heads), words: parts.place(words) }
}

/** Bytewise order of UTF-8, which is that of UTF-16 where there is no surrogate. */
function sortedStrings(strings: string[]): string[] {
  if (!strings.some((text) => /[\ud800-\uffff]/.test(text))) return strings.sort()
  const bytes = new Map(strings.map((text) => [text, Buffer.from(text, 'utf8')]))
  const bytesFor = (text: string): Buffer => bytes.get(text) as Buffer
  return strings.sort((a, b) => Buffer.compare(bytesFor(a), bytesFor(b)))
}

function textParts(
  strings: readonly string[],
  setOf: (text: number) => number | ArrayLike<number>,
  space: number,
  parts: PartWriter,
): TextParts {
  const bytes = Buffer.allocUnsafe(strings.reduce((sum, text) => sum + Buffer.byteLength(text), 0))
  const offsets = new Uint32Array(strings.length + 1)
  const writer = new PostingWriter(space)
  let at = 0
  for (let i = 0; i < strings.length; i++) {
    at += bytes.write(strings[i] as string, at)
    offsets[i + 1] = at
    const set = setOf(i)
    if (typeof set === 'number') writer.addOne(set)
    else writer.add(set)
  }
  const { heads, words } = writer.finish()
  return {
    count: strings.length,
    offsets: parts.place(offsets),
    bytes: parts.place(bytes),
    heads: parts.place(heads),
    words: parts.place(words),
  }
}

/**
 * A text that is its own only token is left out: it is found among the texts. Of times nobody asks
 * for tokens, of which they have many: where most texts are times, there are none.
 */
function tokenParts(
  known: FieldRows,
  { strings, times }: { readonly strings: readonly string[]; readonly times: number },
  parts: PartWriter,
): TextParts | null {
  if (strings.length + known.unlisted.length === 0 || times * 2 > strings.length) return null
  for (let i = 0; i < strings.length; i++) {
    const text = strings[i] as string
    if (!OWN_TOKEN.test(text)) known.tokens.add(text, i, 'listed')
  }
  const found = known.tokens.finish(strings.length)
  if (found === undefined) return null
  const tokens = sortedStrings([...found.tokens])
  const textsOf = (i: number) => found.texts(tokens[i] as string)
  return textParts(tokens, textsOf, strings.length + known.unlisted.length, parts)
}

/** Texts of which `plain/1` certainly makes just themselves; ASCII alone is looked at. */
const OWN_TOKEN = /^[a-z0-9]{1,256}$/

interface Grouped {
  readonly starts: Uint32Array
  readonly rows: Uint32Array
}

function sortedParts({ starts, rows }: Grouped, parts: PartWriter): SortedParts {
  const count = starts.length - 1
  return {
    count,
    starts: parts.place(rows.length === count ? new Uint32Array() : starts),
    rows: parts.place(rows),
  }
}

function numberParts(known: NumberLog, parts: PartWriter): NumberParts {
  const { numbers, ...rows } = known.finish()
  const values = Buffer.alloc(numbers.length * 8)
  const tags = new Uint8Array(numbers.length)
  for (let i = 0; i < numbers.length; i++) {
    tags[i] = writeNumber(values, i * 8, numbers[i] as number | bigint)
  }
  return {
    ...sortedParts(rows, parts),
    tags: parts.place(tags.some((tag) => tag !== 0) ? tags : new Uint8Array()),
    values: parts.place(values),
  }
}

/** Writes a number and returns its tag: 0 f64, 1 i64, 2 u64. */
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
  bytes.writeBigUint64LE(value, at)
  return 2
}

type Times = ReturnType<typeof timeRows>

function timeParts(times: Times, parts: PartWriter): TimeParts {
  const nanoseconds = Uint32Array.from(times, ({ instant }) => instant.nanoseconds)
  const whole = nanoseconds.every((part) => part === 0)
  return {
    ...sortedParts(groupedRows(times.map(({ rows }) => rows)), parts),
    seconds: parts.place(Float64Array.from(times, ({ instant }) => instant.seconds)),
    nanoseconds: parts.place(whole ? new Uint32Array() : nanoseconds),
  }
}

function groupedRows(lists: readonly Rows[]): Grouped {
  const starts = new Uint32Array(lists.length + 1)
  for (const [i, list] of lists.entries()) {
    starts[i + 1] = (starts[i] as number) + (typeof list === 'number' ? 1 : list.length)
  }
  const rows = new Uint32Array(starts[lists.length] as number)
  for (const [i, list] of lists.entries()) {
    if (typeof list === 'number') rows[starts[i] as number] = list
    else rows.set(list, starts[i])
  }
  return { starts, rows }
}

function pointParts(known: PointLog, parts: PartWriter): PointParts {
  const { lons, lats, rows } = known.finish()
  return {
    count: rows.length,
    lons: parts.place(lons),
    lats: parts.place(lats),
    rows: parts.place(rows),
  }
}
