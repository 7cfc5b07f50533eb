import { Bitset } from '../core/bitset.ts'
import { type Bounds, type FieldCondition, type Scalar, within } from './condition.ts'
import {
  damagedIndex,
  FIXED_SETS,
  type FixedSet,
  type KeyEntry,
  VALUE_BYTES_MAX,
} from './field-index-format.ts'
import { canonical } from './field-values.ts'
import { areaTest } from './geo-area.ts'
import { NumberColumn, TimeColumn } from './number-column.ts'
import type { PartReader } from './part-reader.ts'
import { PointColumn } from './point-column.ts'
import { bitWords, Postings } from './row-postings.ts'
import { exactly, type Selection } from './selection.ts'
import { TextColumn } from './text-column.ts'
import { TextSearch } from './text-search-column.ts'

type Range = Bounds<number | bigint>

/** The index of one key in one segment. Parts are read and checked at their first use. */
export class KeyIndex {
  readonly #entry: KeyEntry
  readonly #rows: number
  readonly #reader: PartReader
  readonly #kept = new Map<string, unknown>()

  constructor(entry: KeyEntry, rows: number, reader: PartReader) {
    this.#entry = entry
    this.#rows = rows
    this.#reader = reader
  }

  /** The rows on which a condition holds; its key is not looked at. */
  select(condition: FieldCondition): Selection {
    const rows = new Bitset(this.#rows)
    switch (condition.kind) {
      case 'is_null':
        this.#addFixed('null', rows)
        return exactly(rows)
      case 'is_empty':
        this.#addFixed('filled', rows)
        return exactly(rows.not())
      case 'count':
        return exactly(this.#withCount(condition.bounds, rows))
      case 'match':
        return this.#matching(condition.any, rows)
      case 'except':
        return this.#others(condition.except, rows)
      case 'text':
        return this.#texts()?.select(condition, rows) ?? exactly(rows)
      case 'range': {
        const numbers = this.#numbers()
        numbers?.rows.add(...numbers.within(condition.bounds), rows.words)
        return exactly(rows)
      }
      case 'time': {
        const times = this.#times()
        times?.rows.add(...times.within(condition.bounds), rows.words)
        return exactly(rows)
      }
      case 'geo':
        this.#points()?.addWithin(areaTest(condition.area), rows.words)
        return exactly(rows)
    }
  }

  /** Rows on which a condition holds, at most. */
  estimate(condition: FieldCondition): number {
    const filled = this.#countFixed('filled')
    switch (condition.kind) {
      case 'is_null':
        return this.#countFixed('null')
      case 'is_empty':
        return this.#rows - filled
      case 'count':
        return this.#estimateCount(condition.bounds)
      case 'match':
        return Math.min(filled, this.#estimateMatches(condition.any))
      case 'text':
        return Math.min(filled, this.#texts()?.estimate(condition) ?? 0)
      case 'range': {
        const numbers = this.#numbers()
        return numbers?.rows.count(...numbers.within(condition.bounds)) ?? 0
      }
      case 'time': {
        const times = this.#times()
        return times?.rows.count(...times.within(condition.bounds)) ?? 0
      }
      case 'geo':
        return this.#points()?.countWithin(areaTest(condition.area)) ?? 0
      case 'except':
        return filled
    }
  }

  /**
   * Calls back with every value and each of its rows; values in order, but for booleans.
   *
   * @returns rows that may have texts beside those, which their payloads alone can tell
   */
  forEachValue(visit: (value: Scalar, row: number) => void): Uint32Array {
    const bits = new Uint32Array(bitWords(this.#rows))
    for (const boolean of [false, true]) {
      const set = FIXED_SETS.indexOf(boolean ? 'true' : 'false')
      this.#sets().forEach(set, bits, (row) => visit(boolean, row))
    }
    const numbers = this.#numbers()
    for (let i = 0; i < (numbers?.count ?? 0); i++) {
      const value = numbers?.value(i) as number | bigint
      numbers?.rows.forEach(i, (row) => visit(value, row))
    }
    const texts = this.#strings()
    for (let i = 0; i < (texts?.count ?? 0); i++) {
      const value = texts?.text(i) as string
      texts?.postings.forEach(i, bits, (row) => visit(value, row))
    }
    return this.#unlisted()
  }

  #matching(values: readonly Scalar[], rows: Bitset): Selection {
    let open = false
    for (const value of values) {
      if (typeof value === 'boolean') this.#addFixed(value ? 'true' : 'false', rows)
      else if (typeof value === 'string') {
        const text = this.#findText(value)
        if (text >= 0) this.#strings()?.postings.add(text, rows.words)
        else open ||= this.#mayBeUnlisted(value)
      } else {
        const number = this.#findNumber(value)
        if (number >= 0) this.#numbers()?.rows.add(number, number + 1, rows.words)
      }
    }
    return open ? { sure: rows, maybe: this.#withUnlisted(rows) } : exactly(rows)
  }

  /** Rows that hold a value that is none of these. */
  #others(values: readonly Scalar[], rows: Bitset): Selection {
    const texts = values.filter((value) => typeof value === 'string')
    const numbers = values.filter((value) => typeof value === 'number' || typeof value === 'bigint')
    for (const boolean of [false, true]) {
      if (!values.includes(boolean)) this.#addFixed(boolean ? 'true' : 'false', rows)
    }
    const strings = this.#strings()
    for (const [from, to] of gaps(
      texts.map((text) => this.#findText(text)),
      strings?.count,
    )) {
      strings?.postings.addRun(from, to, rows.words)
    }
    const column = this.#numbers()
    for (const [from, to] of gaps(
      numbers.map((n) => this.#findNumber(n)),
      column?.count,
    )) {
      column?.rows.add(from, to, rows.words)
    }
    const all = this.#withUnlisted(rows)
    const open = texts.some((text) => this.#findText(text) < 0 && this.#mayBeUnlisted(text))
    return open ? { sure: rows, maybe: all } : exactly(all)
  }

  #withCount(bounds: Range, rows: Bitset): Bitset {
    const { numbers, postings } = this.#counts()
    for (let i = 0; i < numbers.length; i++) {
      if (within(numbers[i] as number, bounds)) postings.add(i, rows.words)
    }
    if (!within(0, bounds)) return rows
    // A row without the field has no count of its own, and counts 0.
    const present = new Bitset(this.#rows)
    postings.addRun(0, numbers.length, present.words)
    return rows.or(present.not())
  }

  #estimateCount(bounds: Range): number {
    const { numbers, postings } = this.#counts()
    let counted = 0
    let most = 0
    for (let i = 0; i < numbers.length; i++) {
      most = Math.max(most, postings.count(i))
      if (within(numbers[i] as number, bounds)) counted += postings.count(i)
    }
    return within(0, bounds) ? counted + this.#rows - most : counted
  }

  #estimateMatches(values: readonly Scalar[]): number {
    let count = 0
    let open = false
    for (const value of values) {
      if (typeof value === 'boolean') count += this.#countFixed(value ? 'true' : 'false')
      else if (typeof value === 'string') {
        const text = this.#findText(value)
        if (text >= 0) count += this.#strings()?.postings.count(text) ?? 0
        else open ||= this.#mayBeUnlisted(value)
      } else {
        const number = this.#findNumber(value)
        if (number >= 0) count += this.#numbers()?.rows.count(number, number + 1) ?? 0
      }
    }
    return open ? count + this.#unlisted().length : count
  }

  #findText(value: string): number {
    return this.#strings()?.find(value) ?? -1
  }

  #findNumber(value: number | bigint): number {
    return this.#numbers()?.find(canonical(value) as number | bigint) ?? -1
  }

  /** Of a text that is not listed: whether a row may have it nevertheless. */
  #mayBeUnlisted(text: string): boolean {
    if (this.#entry.unlisted === null) return false
    return this.#entry.shortUnlisted || Buffer.byteLength(text) > VALUE_BYTES_MAX
  }

  #withUnlisted(rows: Bitset): Bitset {
    const unlisted = this.#unlisted()
    if (unlisted.length === 0) return rows
    const all = rows.clone()
    for (const row of unlisted) all.add(row)
    return all
  }

  #addFixed(name: FixedSet, rows: Bitset): void {
    this.#sets().add(FIXED_SETS.indexOf(name), rows.words)
  }

  #countFixed(name: FixedSet): number {
    return this.#sets().count(FIXED_SETS.indexOf(name))
  }

  #once<T>(name: string, make: () => T): T {
    if (!this.#kept.has(name)) this.#kept.set(name, make())
    return this.#kept.get(name) as T
  }

  #sets(): Postings {
    return this.#once('sets', () => {
      const { heads, words } = this.#entry.sets
      const reader = this.#reader
      return new Postings(reader.uint32(heads, FIXED_SETS.length), reader.uint32(words), this.#rows)
    })
  }

  #counts(): { readonly numbers: Uint32Array; readonly postings: Postings } {
    return this.#once('counts', () => {
      const { numbers: part, heads, words } = this.#entry.counts
      const numbers = this.#reader.uint32(part).all()
      const sets = this.#reader.uint32(heads, numbers.length)
      const postings = new Postings(sets, this.#reader.uint32(words), this.#rows)
      return { numbers, postings }
    })
  }

  #strings(): TextColumn | undefined {
    const { texts } = this.#entry
    if (texts === null) return undefined
    return this.#once('texts', () => new TextColumn(texts, this.#rows, this.#reader))
  }

  #unlisted(): Uint32Array {
    const { unlisted } = this.#entry
    if (unlisted === null) return new Uint32Array()
    return this.#once('unlisted', () => {
      const rows = this.#reader.uint32(unlisted).all()
      for (const row of rows) if (row >= this.#rows) throw damagedIndex(`a text of row ${row}`)
      return rows
    })
  }

  #texts(): TextSearch | undefined {
    const listed = this.#strings()
    const unlisted = this.#unlisted()
    if (listed === undefined && unlisted.length === 0) return undefined
    return this.#once('search', () => {
      const { tokens } = this.#entry
      const space = (listed?.count ?? 0) + unlisted.length
      const column = tokens === null ? undefined : new TextColumn(tokens, space, this.#reader)
      return new TextSearch(listed, unlisted, column)
    })
  }

  #numbers(): NumberColumn | undefined {
    const { numbers } = this.#entry
    if (numbers === null) return undefined
    return this.#once('numbers', () => new NumberColumn(numbers, this.#rows, this.#reader))
  }

  #times(): TimeColumn | undefined {
    const { times } = this.#entry
    if (times === null) return undefined
    return this.#once('times', () => new TimeColumn(times, this.#rows, this.#reader))
  }

  #points(): PointColumn | undefined {
    const { points } = this.#entry
    if (points === null) return undefined
    return this.#once('points', () => new PointColumn(points, this.#rows, this.#reader))
  }
}

/** The runs of 0…count without these numbers; those below 0 are none. */
function* gaps(numbers: readonly number[], count = 0): Generator<readonly [number, number]> {
  let from = 0
  for (const number of numbers.filter((n) => n >= 0).sort((a, b) => a - b)) {
    if (number > from) yield [from, number]
    from = number + 1
  }
  if (count > from) yield [from, count]
}
