import { instantOf } from '../core/instant.ts'
import type { JsonValue } from '../core/json.ts'
import type { Scalar } from './condition.ts'
import { DISTINCT_BYTES_MAX, VALUE_BYTES_MAX } from './field-index-format.ts'
import { canonical, countOf, isScalar, isVoid, itemsOf } from './field-values.ts'
import { geoPoint } from './geo-point.ts'
import { NumberLog } from './number-log.ts'
import { PointLog } from './point-log.ts'
import { TokenLog } from './token-log.ts'

/** Rows that hold one value, ascending and without repeats; most values of an id stand once. */
export type Rows = number | number[]

/** Rows that come in order; long runs take no room. */
export class RowRuns {
  /** First row and end of each run. */
  readonly #runs: number[] = []

  add(row: number): void {
    const end = this.#runs.length - 1
    const last = this.#runs[end]
    if (last === row + 1) return
    if (last === row) this.#runs[end] = row + 1
    else this.#runs.push(row, row + 1)
  }

  rows(): Uint32Array {
    let count = 0
    for (let i = 0; i < this.#runs.length; i += 2) {
      count += (this.#runs[i + 1] as number) - (this.#runs[i] as number)
    }
    const rows = new Uint32Array(count)
    let at = 0
    for (let i = 0; i < this.#runs.length; i += 2) {
      const end = this.#runs[i + 1] as number
      for (let row = this.#runs[i] as number; row < end; row++) rows[at++] = row
    }
    return rows
  }
}

/** What the rows of a segment hold under one key, as it is collected. */
export class FieldRows {
  readonly strings = new Map<string, Rows>()
  readonly numbers = new NumberLog()
  readonly booleans: readonly [RowRuns, RowRuns] = [new RowRuns(), new RowRuns()]
  readonly nulls = new RowRuns()
  readonly filled = new RowRuns()
  readonly counts = new Map<number, RowRuns>()
  readonly points = new PointLog()
  /** The row of each text that is not listed. */
  readonly unlisted: number[] = []
  /** Whether one of them is no longer than VALUE_BYTES_MAX. */
  shortUnlisted = false
  /** Those that are times. */
  readonly unlistedTimes: { readonly row: number; readonly text: string }[] = []
  readonly tokens = new TokenLog()
  #distinctBytes = 0

  /** @param row at least that of the call before */
  add(value: JsonValue, row: number): void {
    const count = countOf(value)
    const known = this.counts.get(count)
    if (known === undefined) {
      const rows = new RowRuns()
      rows.add(row)
      this.counts.set(count, rows)
    } else known.add(row)
    if (value === null) this.nulls.add(row)
    if (isVoid(value)) return
    this.filled.add(row)
    for (const item of itemsOf(value)) {
      if (isScalar(item)) this.#scalar(item, row)
      else {
        const point = geoPoint(item)
        if (point !== undefined) this.points.add(point, row)
      }
    }
  }

  #scalar(value: Scalar, row: number): void {
    if (typeof value === 'boolean') this.booleans[value ? 1 : 0].add(row)
    else if (typeof value === 'string') this.#string(value, row)
    else this.numbers.add(canonical(value) as number | bigint, row)
  }

  #string(value: string, row: number): void {
    const known = this.strings.get(value)
    if (known !== undefined) {
      if (typeof known !== 'number') {
        if (known[known.length - 1] !== row) known.push(row)
      } else if (known !== row) this.strings.set(value, [known, row])
      return
    }
    const bytes = Buffer.byteLength(value)
    const short = bytes <= VALUE_BYTES_MAX
    if (short && this.#distinctBytes + bytes <= DISTINCT_BYTES_MAX) {
      this.#distinctBytes += bytes
      this.strings.set(value, row)
      return
    }
    this.tokens.add(value, this.unlisted.length, 'unlisted')
    this.unlisted.push(row)
    if (!short) return
    this.shortUnlisted = true
    if (instantOf(value) !== undefined) this.unlistedTimes.push({ row, text: value })
  }
}
