import type { TextParts } from './field-index-format.ts'
import type { CheckedBytes, CheckedNumbers, PartReader } from './part-reader.ts'
import { Postings } from './row-postings.ts'
import { firstWhere } from './sorted-rows.ts'

/** Distinct texts in bytewise order, each with a set: of rows, or for tokens of texts. */
export class TextColumn {
  readonly count: number
  readonly postings: Postings
  readonly #offsets: CheckedNumbers<Uint32Array>
  readonly #bytes: CheckedBytes

  /** @param space the numbers in the sets are below it */
  constructor(parts: TextParts, space: number, reader: PartReader) {
    this.count = parts.count
    this.#offsets = reader.uint32(parts.offsets, parts.count + 1)
    this.#bytes = reader.bytes(parts.bytes)
    const heads = reader.uint32(parts.heads, parts.count)
    this.postings = new Postings(heads, reader.uint32(parts.words), space)
  }

  /** Number of a text, −1 where it is none of them. */
  find(text: string): number {
    const wanted = Buffer.from(text, 'utf8')
    const at = firstWhere(this.count, (i) => Buffer.compare(this.#textBytes(i), wanted) >= 0)
    return at < this.count && this.#textBytes(at).equals(wanted) ? at : -1
  }

  text(i: number): string {
    return this.#textBytes(i).toString('utf8')
  }

  #textBytes(i: number): Buffer {
    return this.#bytes.slice(this.#offsets.at(i), this.#offsets.at(i + 1))
  }
}
