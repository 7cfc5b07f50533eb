import type { JsonObject, JsonValue } from '../core/json.ts'
import { ByteWriter, putVarint, VarintReader, varintBytes } from './posting-blocks.ts'
import { encodeTextIndex, type TermStreams } from './text-index-encode.ts'
import { TEXT_FIELDS_MAX } from './text-index-layout.ts'
import { forEachToken } from './tokenizer.ts'

/** Collects the rows of one segment, in row order, into a text index. */
export interface TextIndexBuilder {
  /** The next row. */
  add(payload: JsonObject): void
  /** The index of all rows so far; the bytes depend on the rows alone (text-index-layout.ts). */
  encode(): Uint8Array
}

export interface TextIndexOptions {
  /** Store where in its field each token stands: phrases are then found without the texts. */
  readonly positions?: boolean | undefined
}

/**
 * Builds the BM25 postings of these payload fields: the rows of each term with its counts in the
 * fields, and the number of tokens of each row.
 *
 * A value that is text counts as it is, a number or boolean as its JSON text, an array as its
 * elements joined by spaces, and null, an object or nothing as empty. Memory: about 4 bytes a
 * posting and 1 a position, twice while encoding, and the distinct terms.
 */
export function createTextIndexBuilder(
  fields: readonly string[],
  { positions = false }: TextIndexOptions = {},
): TextIndexBuilder {
  if (fields.length > TEXT_FIELDS_MAX) throw new Error(`${fields.length} text fields`)
  const log = new TermLog(fields.length, positions)
  return {
    add: (payload) => log.add(fields.map((field) => textOf(payload.get(field)))),
    encode: () => {
      const { keys, order } = sortedTerms(log.terms())
      return encodeTextIndex({
        rows: log.rows,
        fields,
        positions,
        lengths: log.lengths,
        terms: Array.from(order, (term) => keys[term] as Buffer),
        streams: log.streams(order),
      })
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

function sortedTerms(terms: Iterable<string>): { keys: Buffer[]; order: Uint32Array } {
  const keys = Array.from(terms, (term) => Buffer.from(term, 'utf8'))
  const order = Uint32Array.from(keys.keys())
  order.sort((a, b) => Buffer.compare(keys[a] as Buffer, keys[b] as Buffer))
  return { keys, order }
}

/** One step of a walk over the log; the same object each time. */
interface LogEntry {
  term: number
  /** Rows since the term's entry before; 0 for another field of the same row. */
  step: number
  field: number
  count: number
  /** Its positions in the log. */
  from: number
  end: number
}

/**
 * Terms with their counts, row after row and field after field, as they came. `streams` sorts them
 * by term in two walks: the first sizes each term's part, the second writes it.
 */
class TermLog {
  /** Tokens of each row, a list a field. */
  readonly lengths: number[][]
  rows = 0
  readonly #positions: boolean
  readonly #terms = new Map<string, number>()
  /** Distinct terms of each row and field. */
  readonly #distinct: number[] = []
  readonly #log = new ByteWriter()
  /** Counts of the current field by term; all zero between fields. */
  #counts = new Uint32Array(1024)
  /** Terms of the current field: the distinct ones, and all tokens in order. */
  readonly #touched: number[] = []
  readonly #tokens: number[] = []

  constructor(fields: number, positions: boolean) {
    this.lengths = Array.from({ length: fields }, () => [])
    this.#positions = positions
  }

  terms(): Iterable<string> {
    return this.#terms.keys()
  }

  add(texts: readonly string[]): void {
    for (const [field, text] of texts.entries()) {
      let length = 0
      forEachToken(text, (token) => {
        const term = this.#termOf(token)
        const count = this.#counts[term] as number
        if (count === 0) this.#touched.push(term)
        this.#counts[term] = count + 1
        if (this.#positions) this.#tokens.push(term)
        length++
      })
      this.#write()
      this.lengths[field]?.push(length)
    }
    this.rows++
  }

  #write(): void {
    const places = this.#positions ? this.#places() : undefined
    for (const term of this.#touched) {
      this.#log.varint(term)
      this.#log.varint(this.#counts[term] as number)
      if (places !== undefined) {
        let before = -1
        for (const place of places.get(term) as number[]) {
          this.#log.varint(place - before - 1)
          before = place
        }
      }
      this.#counts[term] = 0
    }
    this.#distinct.push(this.#touched.length)
    this.#touched.length = 0
    this.#tokens.length = 0
  }

  #places(): Map<number, number[]> {
    const places = new Map<number, number[]>()
    for (const [place, term] of this.#tokens.entries()) {
      const known = places.get(term)
      if (known === undefined) places.set(term, [place])
      else known.push(place)
    }
    return places
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

  /** For each term in this order: step · 2 + more, field, count less 2 where more, positions. */
  streams(order: Uint32Array): TermStreams {
    const sizes = new Uint32Array(order.length)
    const fields = this.lengths.length
    this.#walk((entry) => {
      const { term, step, count, field } = entry
      sizes[term] =
        (sizes[term] as number) +
        varintBytes(step * 2 + 1) +
        (fields > 1 ? varintBytes(field) : 0) +
        (count > 1 ? varintBytes(count - 2) : 0) +
        (entry.end - entry.from)
    })
    const offsets = new Uint32Array(order.length + 1)
    const next = new Uint32Array(order.length)
    let total = 0
    for (const [i, term] of order.entries()) {
      next[term] = total
      total += sizes[term] as number
      offsets[i + 1] = total
    }
    const bytes = new Uint8Array(total)
    const log = this.#log.bytes()
    this.#walk((entry) => {
      const { term, step, count, field } = entry
      let at = putVarint(bytes, next[term] as number, step * 2 + (count > 1 ? 1 : 0))
      if (fields > 1) at = putVarint(bytes, at, field)
      if (count > 1) at = putVarint(bytes, at, count - 2)
      for (let from = entry.from; from < entry.end; from++) bytes[at++] = log[from] as number
      next[term] = at
    })
    return { offsets, bytes }
  }

  #walk(visit: (entry: LogEntry) => void): void {
    const fields = this.lengths.length
    const before = new Int32Array(this.#terms.size).fill(-1)
    const bytes = this.#log.bytes()
    const reader = new VarintReader(bytes, 0, bytes.byteLength)
    const entry: LogEntry = { term: 0, step: 0, field: 0, count: 0, from: 0, end: 0 }
    for (let i = 0; i < this.#distinct.length; i++) {
      const row = Math.floor(i / fields)
      entry.field = i % fields
      for (let left = this.#distinct[i] as number; left > 0; left--) {
        entry.term = reader.next()
        entry.count = reader.next()
        entry.from = reader.at
        if (this.#positions) for (let n = entry.count; n > 0; n--) reader.next()
        entry.end = reader.at
        entry.step = row - (before[entry.term] as number)
        before[entry.term] = row
        visit(entry)
      }
    }
  }
}
