import type { JsonValue } from '../../core/json.ts'
import { AkidbError } from '../../errors/errors.ts'
import { Flaw } from '../flaw.ts'
import type { RawValue, RawValues } from './hyparquet.ts'
import type { LeafType } from './leaf-type.ts'
import type { Page, PageReader } from './page-reader.ts'
import type { SchemaNode } from './schema-node.ts'

/** What one row of a list of numbers holds, where it is not just numbers. */
export type ListState = 'null' | 'empty' | 'null inside'

/**
 * A leaf column of one row group, read forward. `fill` loads pages until enough whole rows are
 * there; all other methods work on what is loaded, entry by entry (an entry is a value or a null
 * with its levels).
 */
export class LeafColumn {
  readonly #reader: PageReader
  readonly #type: LeafType
  readonly #node: SchemaNode
  readonly #path: string
  #pages: Page[] = []
  #pageIndex = 0
  #at = 0
  #valueAt = 0
  #rowStarts = 0
  #isEnded = false
  #converted: { of: RawValues; values: (JsonValue | Flaw)[] } | undefined
  #scratch = new Float64Array(64)
  /** Of the last row, where a value could not be converted. */
  flaw: Flaw | undefined

  constructor(reader: PageReader, type: LeafType, node: SchemaNode, path: string) {
    this.#reader = reader
    this.#type = type
    this.#node = node
    this.#path = path
  }

  /** Loads until `rows` whole rows are there. Throws BAD_INPUT where the chunk ends before. */
  async fill(rows: number): Promise<void> {
    this.#pages = this.#pages.slice(this.#pageIndex)
    this.#pageIndex = 0
    // The last row of a repeated column is whole only when the next has begun.
    while (!this.#isEnded && this.#rowStarts < rows + (this.#node.repetition > 0 ? 1 : 0)) {
      const page = await this.#reader.next()
      if (page === undefined) {
        this.#isEnded = true
      } else if (page.count > 0) {
        this.#pages.push(page)
        this.#rowStarts += page.repetition === undefined ? page.count : zeros(page.repetition)
      }
    }
    if (this.#rowStarts < rows) throw this.#broken('has fewer rows than its row group')
  }

  /** To be called at the start of each row. */
  beginRow(): void {
    if (this.#page === undefined || this.repetition !== 0)
      throw this.#broken('loses count of its rows')
    this.#rowStarts--
  }

  /** Throws BAD_INPUT where entries are left at the end of the row group. */
  expectEnd(): void {
    if (this.#page !== undefined) throw this.#broken('has more rows than its row group')
  }

  /** Repetition level of the entry ahead; −1 at the end. */
  get repetition(): number {
    const page = this.#page
    if (page === undefined) return -1
    return page.repetition === undefined ? 0 : (page.repetition[this.#at] as number)
  }

  /** Definition level of the entry ahead. */
  get definition(): number {
    const page = this.#page
    if (page === undefined) throw this.#broken('ends inside a row')
    return page.definition === undefined
      ? this.#node.definition
      : (page.definition[this.#at] as number)
  }

  /** The entry ahead as a payload value, null where it is one. */
  take(): JsonValue {
    const page = this.#page
    if (page === undefined) throw this.#broken('ends inside a row')
    let value: JsonValue | Flaw = null
    if (this.definition === this.#node.definition) {
      value = this.#convert(page, this.#valueAt)
      this.#valueAt++
    }
    this.#step(page, 1)
    if (!(value instanceof Flaw)) return value
    this.flaw ??= value
    return null
  }

  /**
   * The numbers of one row of a list, valid until the next call. Only where `LeafType.toNumber`
   * exists.
   */
  takeList(): ArrayLike<number> | ListState {
    const page = this.#page
    if (page === undefined) throw this.#broken('ends inside a row')
    const end = this.#rowEnd(page)
    const next = this.#pages[this.#pageIndex + 1]
    const isInOnePage = end < page.count || next === undefined || beginsRow(next)
    const { values } = page
    const isNumeric = values instanceof Float32Array || values instanceof Float64Array
    if (isInOnePage && isNumeric && page.definition === undefined) {
      const from = this.#valueAt
      const length = end - this.#at
      this.#valueAt += length
      this.#step(page, length)
      return values.subarray(from, from + length)
    }
    return this.#gatherList()
  }

  #gatherList(): ArrayLike<number> | ListState {
    // The entry that says "empty" or "null" stands alone and lies below the repeated level.
    const listLevel = this.#node.definition - (this.#node.isOptional ? 1 : 0)
    if (this.definition < listLevel) {
      const state = this.definition === listLevel - 1 ? 'empty' : 'null'
      this.take()
      return state
    }
    let count = 0
    let hasNull = false
    do {
      const page = this.#page
      if (page === undefined) break
      if (this.definition === this.#node.definition) {
        if (count === this.#scratch.length) {
          const grown = new Float64Array(count * 2)
          grown.set(this.#scratch)
          this.#scratch = grown
        }
        this.#scratch[count++] = this.#number(rawAt(page, this.#valueAt))
        this.#valueAt++
      } else {
        hasNull = true
      }
      this.#step(page, 1)
    } while (this.repetition > 0)
    return hasNull ? 'null inside' : this.#scratch.subarray(0, count)
  }

  #number(raw: RawValue): number {
    return this.#type.toNumber?.(raw) ?? Number.NaN
  }

  /** Index behind the last entry of this row in the page. */
  #rowEnd(page: Page): number {
    if (page.repetition === undefined) return this.#at + 1
    const next = page.repetition.indexOf(0, this.#at + 1)
    return next < 0 ? page.count : next
  }

  #convert(page: Page, at: number): JsonValue | Flaw {
    const { dictionary, indexes } = page
    if (dictionary === undefined || indexes === undefined) {
      return this.#type.convert(page.values[at] as RawValue)
    }
    if (this.#converted?.of !== dictionary) {
      const values = Array.from(dictionary, (raw) => this.#type.convert(raw))
      this.#converted = { of: dictionary, values }
    }
    return this.#converted.values[indexes[at] as number] as JsonValue | Flaw
  }

  get #page(): Page | undefined {
    return this.#pages[this.#pageIndex]
  }

  #step(page: Page, entries: number): void {
    this.#at += entries
    if (this.#at < page.count) return
    this.#pageIndex++
    this.#at = 0
    this.#valueAt = 0
  }

  #broken(what: string): AkidbError {
    return new AkidbError(
      'BAD_INPUT',
      `The Parquet column ${JSON.stringify(this.#path)} ${what}.`,
      {
        hint: 'Copy the file again from its source, or write it anew.',
        details: { column: this.#path },
      },
    )
  }
}

const beginsRow = ({ repetition }: Page): boolean => repetition === undefined || repetition[0] === 0

const rawAt = (page: Page, at: number): RawValue =>
  page.dictionary === undefined || page.indexes === undefined
    ? (page.values[at] as RawValue)
    : (page.dictionary[page.indexes[at] as number] as RawValue)

function zeros(levels: Uint8Array | Uint32Array): number {
  let found = 0
  for (let at = levels.indexOf(0); at >= 0; at = levels.indexOf(0, at + 1)) found++
  return found
}
