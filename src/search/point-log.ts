import { cellCode } from './geo-cell.ts'
import type { GeoPoint } from './geo-point.ts'
import { GrowingDoubles, GrowingWords } from './growing-array.ts'

/** Collects the points of the rows of one key, 20 bytes each. */
export class PointLog {
  readonly #lons = new GrowingDoubles()
  readonly #lats = new GrowingDoubles()
  readonly #rows = new GrowingWords()

  get length(): number {
    return this.#rows.length
  }

  add({ lon, lat }: GeoPoint, row: number): void {
    this.#lons.push(lon)
    this.#lats.push(lat)
    this.#rows.push(row)
  }

  /** By cell (geo-cell.ts), then in the order in which they came. */
  finish(): {
    readonly lons: Float64Array
    readonly lats: Float64Array
    readonly rows: Uint32Array
  } {
    const [lons, lats, rows] = [this.#lons.view(), this.#lats.view(), this.#rows.view()]
    const codes = rows.map((_, i) => cellCode(lons[i] as number, lats[i] as number))
    const order = sortedByCode(codes)
    return {
      lons: Float64Array.from(order, (i) => lons[i] as number),
      lats: Float64Array.from(order, (i) => lats[i] as number),
      rows: Uint32Array.from(order, (i) => rows[i] as number),
    }
  }
}

/** Indexes in the order of their codes, equal ones ascending: radix sort by two digits. */
function sortedByCode(codes: Uint32Array): Uint32Array {
  let order = Uint32Array.from(codes.keys())
  for (const shift of [0, 16]) {
    const starts = new Uint32Array(0x10001)
    for (const code of codes) {
      const digit = (code >>> shift) & 0xffff
      starts[digit + 1] = (starts[digit + 1] as number) + 1
    }
    for (let i = 1; i < starts.length; i++) {
      starts[i] = (starts[i] as number) + (starts[i - 1] as number)
    }
    const next = new Uint32Array(order.length)
    for (const i of order) {
      const digit = ((codes[i] as number) >>> shift) & 0xffff
      const at = starts[digit] as number
      starts[digit] = at + 1
      next[at] = i
    }
    order = next
  }
  return order
}
