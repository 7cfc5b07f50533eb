import type { PointParts } from './field-index-format.ts'
import { type AreaTest, CELL_LEVELS, cellCode, cellRectangle } from './geo-cell.ts'
import type { CheckedNumbers, PartReader } from './part-reader.ts'
import { SortedRows } from './sorted-rows.ts'

/** Cells of fewer points are not parted: their points are looked at one by one. */
const POINTS_MIN = 16

/** Points by their cell (geo-cell.ts), and their rows. */
export class PointColumn {
  readonly count: number
  readonly #lons: CheckedNumbers<Float64Array>
  readonly #lats: CheckedNumbers<Float64Array>
  readonly #rows: SortedRows

  constructor(parts: PointParts, space: number, reader: PartReader) {
    this.count = parts.count
    this.#lons = reader.float64(parts.lons, parts.count)
    this.#lats = reader.float64(parts.lats, parts.count)
    const rows = reader.uint32(parts.rows, parts.count)
    const starts = reader.uint32([0, 0])
    this.#rows = new SortedRows({ count: parts.count, starts, rows, space })
  }

  /**
   * Adds the rows with a point in the area. Cells wholly inside cost nothing a point but its bit;
   * points of cells on the border are tested one by one.
   */
  addWithin(area: AreaTest, bits: Uint32Array): void {
    this.#walk(area, (from, to) => this.#rows.add(from, to, bits))
  }

  /** Points in the area, at most: those of all cells that it may touch. */
  countWithin(area: AreaTest): number {
    let count = 0
    const test: AreaTest = { contains: () => true, side: (cell) => area.side(cell) }
    this.#walk(test, (from, to) => {
      count += to - from
    })
    return count
  }

  #walk(area: AreaTest, visit: (from: number, to: number) => void): void {
    const open = [{ code: 0, level: 0, from: 0, to: this.count }]
    for (let cell = open.pop(); cell !== undefined; cell = open.pop()) {
      const { code, level, from, to } = cell
      if (from === to) continue
      const side = area.side(cellRectangle(code, level))
      if (side === 'outside') continue
      if (side === 'inside') visit(from, to)
      else if (level === CELL_LEVELS || to - from < POINTS_MIN) {
        for (let i = from; i < to; i++) {
          if (area.contains(this.#lons.at(i), this.#lats.at(i))) visit(i, i + 1)
        }
      } else {
        const width = 4 ** (CELL_LEVELS - level - 1)
        let start = from
        for (let quarter = 0; quarter < 4; quarter++) {
          const first = code + quarter * width
          const end = quarter === 3 ? to : this.#firstFrom(first + width, start, to)
          open.push({ code: first, level: level + 1, from: start, to: end })
          start = end
        }
      }
    }
  }

  /** The first of the points low…high whose cell is this one or behind it. */
  #firstFrom(code: number, low: number, high: number): number {
    let from = low
    let to = high
    while (from < to) {
      const middle = (from + to) >>> 1
      if (cellCode(this.#lons.at(middle), this.#lats.at(middle)) >= code) to = middle
      else from = middle + 1
    }
    return from
  }
}
