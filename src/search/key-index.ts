import type { Bitset } from '../core/bitset.ts'
import { parseInstant } from '../core/instant.ts'
import { AkidbError } from '../errors/errors.ts'
import {
  bitmapWords,
  EXTRA_POSTINGS,
  isBitmap,
  type KeyEntry,
  type Part,
} from './field-index-format.ts'
import { canonical } from './field-values.ts'
import type { Bounds, Scalar } from './filter.ts'

/** Times in ascending order, and the postings of their texts. */
interface Instants {
  readonly instants: readonly bigint[]
  readonly postings: readonly number[]
}

/** Numbers in ascending order. */
type Numbers = Float64Array | readonly (number | bigint)[]
type Extra = (typeof EXTRA_POSTINGS)[number]

/**
 * The index of one key in one segment. Parts are views; dictionaries are decoded at their first
 * use.
 */
export class KeyIndex {
  readonly entry: KeyEntry
  readonly #rows: number
  readonly #stringOffsets: Uint32Array
  readonly #stringBytes: Buffer
  readonly #postings: Uint32Array
  readonly #words: Uint32Array
  readonly #tags: Uint8Array
  readonly #values: Buffer
  #numbers: Numbers | undefined
  #instants: Instants | undefined

  /** @throws INTEGRITY where a part lies outside or has another length than its count calls for */
  constructor(entry: KeyEntry, rows: number, partOf: (part: Part) => Uint8Array) {
    this.entry = entry
    this.#rows = rows
    this.#stringOffsets = words(partOf(entry.stringOffsets))
    this.#stringBytes = buffer(partOf(entry.stringBytes))
    this.#tags = partOf(entry.numberTags)
    this.#values = buffer(partOf(entry.numberValues))
    this.#postings = words(partOf(entry.postings))
    this.#words = words(partOf(entry.words))
    const values = entry.strings + entry.numbers + EXTRA_POSTINGS.length
    const fits =
      this.#stringOffsets.length === entry.strings + 1 &&
      this.#tags.length === entry.numbers &&
      this.#values.byteLength === entry.numbers * 8 &&
      this.#postings.length === values * 2
    if (!fits) throw damagedIndex(`key "${entry.key}" has parts of other lengths`)
  }

  /** Adds the rows that hold one of these values. */
  addMatches(values: readonly Scalar[], into: Bitset): void {
    for (const value of values) {
      const posting = this.#postingOf(canonical(value))
      if (posting >= 0) this.#add(posting, into)
    }
  }

  /** Adds the rows that hold a value that is none of these. */
  addOthers(values: readonly Scalar[], into: Bitset): void {
    const unwanted = values.map((value) => this.#postingOf(canonical(value)))
    let from = 0
    for (const posting of unwanted.filter((at) => at >= 0).sort((a, b) => a - b)) {
      this.#addRun(from, posting, into)
      from = posting + 1
    }
    this.#addRun(from, this.#extra('null'), into)
  }

  addRange(bounds: Bounds<number | bigint>, into: Bitset): void {
    const [from, to] = this.#postingsWithin(bounds)
    this.#addRun(from, to, into)
  }

  addTimes(bounds: Bounds<bigint>, into: Bitset): void {
    this.#instants ??= this.#decodedInstants()
    const { instants, postings } = this.#instants
    const to = upperBound(instants, bounds)
    for (let i = lowerBound(instants, bounds); i < to; i++) {
      this.#add(postings[i] as number, into)
    }
  }

  /** Texts that are times, by their instant; those of one form and zone are in order already. */
  #decodedInstants(): Instants {
    const instants: bigint[] = []
    const postings: number[] = []
    let sorted = true
    for (let posting = 0; posting < this.entry.strings; posting++) {
      const instant = parseInstant(this.#string(posting).toString('latin1'))
      if (instant === undefined) continue
      sorted &&= instants.length === 0 || instant >= (instants[instants.length - 1] as bigint)
      instants.push(instant)
      postings.push(posting)
    }
    if (sorted) return { instants, postings }
    const order = [...instants.keys()].sort((a, b) => {
      const [x, y] = [instants[a] as bigint, instants[b] as bigint]
      return x < y ? -1 : x > y ? 1 : a - b
    })
    return {
      instants: order.map((i) => instants[i] as bigint),
      postings: order.map((i) => postings[i] as number),
    }
  }

  addExtra(extra: Extra, into: Bitset): void {
    this.#add(this.#extra(extra), into)
  }

  /** Rows that hold one of these values, counted per value: an upper bound. */
  countMatches(values: readonly Scalar[]): number {
    let count = 0
    for (const value of values) {
      const posting = this.#postingOf(canonical(value))
      if (posting >= 0) count += this.#count(posting)
    }
    return count
  }

  countRange(bounds: Bounds<number | bigint>): number {
    const [from, to] = this.#postingsWithin(bounds)
    let count = 0
    for (let posting = from; posting < to; posting++) count += this.#count(posting)
    return count
  }

  countExtra(extra: Extra): number {
    return this.#count(this.#extra(extra))
  }

  /** Postings of the numbers that the bounds let through: a run [from, to). */
  #postingsWithin(bounds: Bounds<number | bigint>): readonly [number, number] {
    const numbers = this.#decodedNumbers()
    const from = lowerBound(numbers, bounds)
    const to = upperBound(numbers, bounds)
    return [this.entry.strings + from, this.entry.strings + Math.max(from, to)]
  }

  #extra(extra: Extra): number {
    return this.entry.strings + this.entry.numbers + EXTRA_POSTINGS.indexOf(extra)
  }

  /** Number of the posting of a value, −1 where no row holds it. */
  #postingOf(value: Scalar): number {
    if (typeof value === 'boolean') return this.#extra(value ? 'true' : 'false')
    if (typeof value === 'string') return this.#findString(Buffer.from(value, 'utf8'))
    const numbers = this.#decodedNumbers()
    const at = lowerBound(numbers, { gte: value })
    return numbers[at] === value ? this.entry.strings + at : -1
  }

  #findString(value: Buffer): number {
    let low = 0
    let high = this.entry.strings - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = Buffer.compare(this.#string(middle), value)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  #string(i: number): Buffer {
    return this.#stringBytes.subarray(this.#stringOffsets[i], this.#stringOffsets[i + 1])
  }

  #decodedNumbers(): Numbers {
    this.#numbers ??= this.#tags.every((tag) => tag === 0)
      ? doubles(this.#values)
      : Array.from(this.#tags, (tag, i) => {
          if (tag === 0) return this.#values.readDoubleLE(i * 8)
          if (tag === 1) return this.#values.readBigInt64LE(i * 8)
          return this.#values.readBigUInt64LE(i * 8)
        })
    return this.#numbers
  }

  #count(posting: number): number {
    return this.#postings[posting * 2 + 1] ?? 0
  }

  /** Postings [from, to). Most values of an id or a time stand in one row: those go by quickly. */
  #addRun(from: number, to: number, into: Bitset): void {
    const postings = this.#postings
    const words = this.#words
    const bits = into.words
    const listed = isBitmap(1, this.#rows) ? 0 : this.#rows
    for (let posting = from; posting < to; posting++) {
      const row = words[postings[posting * 2] as number] ?? listed
      if (postings[posting * 2 + 1] !== 1 || row >= listed) this.#add(posting, into)
      else bits[row >>> 5] = (bits[row >>> 5] as number) | (1 << (row & 31))
    }
  }

  #add(posting: number, into: Bitset): void {
    const at = this.#postings[posting * 2] ?? 0
    const count = this.#count(posting)
    const bitmap = isBitmap(count, this.#rows)
    const length = bitmap ? bitmapWords(this.#rows) : count
    if (count > this.#rows || at + length > this.#words.length) {
      throw damagedIndex(`a posting of key "${this.entry.key}" lies outside`)
    }
    for (let i = 0; i < length; i++) {
      const word = this.#words[at + i] as number
      if (bitmap) into.words[i] = (into.words[i] as number) | word
      else if (word < this.#rows) into.add(word)
      else throw damagedIndex(`a posting of key "${this.entry.key}" names row ${word}`)
    }
  }
}

/** First of the sorted numbers that the lower bounds let through. */
function lowerBound(numbers: Numbers, { gt, gte }: Bounds<number | bigint>): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const value = numbers[middle] as number | bigint
    const passes = (gt === undefined || value > gt) && (gte === undefined || value >= gte)
    if (passes) high = middle
    else low = middle + 1
  }
  return low
}

/** First of the sorted numbers that the upper bounds keep out. */
function upperBound(numbers: Numbers, { lt, lte }: Bounds<number | bigint>): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const value = numbers[middle] as number | bigint
    const passes = (lt === undefined || value < lt) && (lte === undefined || value <= lte)
    if (passes) low = middle + 1
    else high = middle
  }
  return low
}

function doubles(bytes: Buffer): Float64Array {
  const even = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes)
  return new Float64Array(even.buffer, even.byteOffset, even.byteLength >>> 3)
}

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function words(bytes: Uint8Array): Uint32Array {
  const even = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  return new Uint32Array(even.buffer, even.byteOffset, even.byteLength >>> 2)
}

export const damagedIndex = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a field index is damaged: ${what}`, {
    hint: 'Run akidb check, then akidb repair.',
  })
