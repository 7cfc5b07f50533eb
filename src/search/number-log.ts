import { GrowingDoubles, GrowingWords } from './growing-array.ts'

/** Ascending distinct numbers, and the rows of each: those from starts[i] to starts[i + 1]. */
export interface NumberRows {
  readonly numbers: ArrayLike<number | bigint>
  readonly starts: Uint32Array
  readonly rows: Uint32Array
}

/** Collects the numbers of the rows of one key: 12 bytes each while they are doubles. */
export class NumberLog {
  readonly #doubles = new GrowingDoubles()
  readonly #doubleRows = new GrowingWords()
  /** Integers that no double holds exactly; they are few. */
  readonly #wide: bigint[] = []
  readonly #wideRows = new GrowingWords()

  get length(): number {
    return this.#doubles.length + this.#wide.length
  }

  /** @param number canonical; rows come in order */
  add(number: number | bigint, row: number): void {
    if (typeof number === 'number') {
      this.#doubles.push(number)
      this.#doubleRows.push(row)
    } else {
      this.#wide.push(number)
      this.#wideRows.push(row)
    }
  }

  finish(): NumberRows {
    const doubles = this.#doubles.view()
    const rows = this.#doubleRows.view()
    const distinct = distinctOf(doubles)
    if (this.#wide.length === 0) {
      const places = Uint32Array.from(doubles, (value) => placeOf(distinct, value))
      return { numbers: distinct, ...grouped(places, rows, distinct.length) }
    }
    const numbers = [...new Set<number | bigint>([...distinct, ...this.#wide])].sort((a, b) =>
      a < b ? -1 : a > b ? 1 : 0,
    )
    const order = new Map(numbers.map((number, i) => [number, i]))
    const places = Uint32Array.from([...doubles, ...this.#wide], (value) => order.get(value) ?? 0)
    const both = Uint32Array.from([...rows, ...this.#wideRows.view()])
    return { numbers, ...grouped(places, both, numbers.length) }
  }
}

function distinctOf(doubles: Float64Array): Float64Array {
  const sorted = doubles.slice().sort()
  let count = 0
  for (let i = 0; i < sorted.length; i++) {
    if (i > 0 && sorted[i] === sorted[i - 1]) continue
    sorted[count++] = sorted[i] as number
  }
  return sorted.subarray(0, count)
}

function placeOf(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] as number) >= value) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Rows by place. Pairs of one place come in the order of their rows; a row that a place has twice
 * is taken once.
 */
export function grouped(
  places: Uint32Array,
  rows: Uint32Array,
  count: number,
): { readonly starts: Uint32Array; readonly rows: Uint32Array } {
  const starts = new Uint32Array(count + 1)
  const last = new Int32Array(count).fill(-1)
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number
    if (last[place] === rows[i]) continue
    last[place] = rows[i] as number
    starts[place + 1] = (starts[place + 1] as number) + 1
  }
  for (let i = 1; i <= count; i++) starts[i] = (starts[i] as number) + (starts[i - 1] as number)
  const next = starts.slice()
  const ordered = new Uint32Array(starts[count] as number)
  last.fill(-1)
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number
    if (last[place] === rows[i]) continue
    last[place] = rows[i] as number
    const at = next[place] as number
    next[place] = at + 1
    ordered[at] = rows[i] as number
  }
  return { starts, rows: ordered }
}
