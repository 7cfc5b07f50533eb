import type { Bounds } from './condition.ts'
import { damagedIndex, type NumberParts, type TimeParts } from './field-index-format.ts'
import type { CheckedBytes, CheckedNumbers, PartReader } from './part-reader.ts'
import { firstWhere, runWithin, SortedRows } from './sorted-rows.ts'

type Run = readonly [from: number, to: number]

/** Numbers, ascending, and their rows. */
export class NumberColumn {
  readonly count: number
  readonly rows: SortedRows
  readonly #doubles: CheckedNumbers<Float64Array>
  /** Empty where all are doubles. */
  readonly #tags: CheckedBytes
  readonly #values: CheckedBytes

  constructor(parts: NumberParts, space: number, reader: PartReader) {
    this.count = parts.count
    this.rows = openRows(parts, space, reader)
    this.#doubles = reader.float64(parts.values, parts.count)
    this.#values = reader.bytes(parts.values)
    this.#tags = reader.bytes(parts.tags)
    if (this.#tags.length !== 0 && this.#tags.length !== parts.count) {
      throw damagedIndex('tags of numbers have another length')
    }
  }

  value(i: number): number | bigint {
    const tag = this.#tags.length === 0 ? 0 : this.#tags.slice(i, i + 1)[0]
    if (tag === 0) return this.#doubles.at(i)
    const bytes = this.#values.slice(i * 8, i * 8 + 8)
    return tag === 1 ? bytes.readBigInt64LE() : bytes.readBigUint64LE()
  }

  within(bounds: Bounds<number | bigint>): Run {
    return runWithin(this.count, bounds, (i, bound) => {
      const value = this.value(i)
      return value < bound ? -1 : value > bound ? 1 : 0
    })
  }

  /** @param value canonical; −1 where it is none of them */
  find(value: number | bigint): number {
    const at = firstWhere(this.count, (i) => this.value(i) >= value)
    return at < this.count && this.value(at) === value ? at : -1
  }
}

/** Instants, ascending, and their rows. */
export class TimeColumn {
  readonly count: number
  readonly rows: SortedRows
  readonly #seconds: CheckedNumbers<Float64Array>
  /** Empty where all are whole seconds. */
  readonly #nanoseconds: CheckedNumbers<Uint32Array>

  constructor(parts: TimeParts, space: number, reader: PartReader) {
    this.count = parts.count
    this.rows = openRows(parts, space, reader)
    this.#seconds = reader.float64(parts.seconds, parts.count)
    this.#nanoseconds = reader.uint32(parts.nanoseconds)
    if (this.#nanoseconds.length !== 0 && this.#nanoseconds.length !== parts.count) {
      throw damagedIndex('parts of seconds have another length')
    }
  }

  /** @param bounds nanoseconds since 1970 UTC */
  within(bounds: Bounds<bigint>): Run {
    return runWithin(this.count, splitBounds(bounds), (i, bound) => {
      const seconds = this.#seconds.at(i) - bound.seconds
      if (seconds !== 0) return seconds
      return (this.#nanoseconds.length === 0 ? 0 : this.#nanoseconds.at(i)) - bound.nanoseconds
    })
  }
}

interface SplitInstant {
  readonly seconds: number
  readonly nanoseconds: number
}

function splitBounds(bounds: Bounds<bigint>): Bounds<SplitInstant> {
  const entries = Object.entries(bounds).map(([name, bound]: [string, bigint]) => {
    const nanoseconds = ((bound % BILLION) + BILLION) % BILLION
    const seconds = Number((bound - nanoseconds) / BILLION)
    return [name, { seconds, nanoseconds: Number(nanoseconds) }]
  })
  return Object.fromEntries(entries)
}

const BILLION = 1_000_000_000n

function openRows(parts: NumberParts | TimeParts, space: number, reader: PartReader): SortedRows {
  const starts = reader.uint32(parts.starts)
  return new SortedRows({ count: parts.count, starts, rows: reader.uint32(parts.rows), space })
}
