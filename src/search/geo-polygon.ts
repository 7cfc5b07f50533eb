import type { AreaTest, GeoRectangle } from './geo-cell.ts'
import type { GeoPoint } from './geo-point.ts'

/** Bands of latitude over which a ring's edges are spread, so that a point meets few of them. */
const BANDS_MAX = 256

/**
 * The points inside the first ring and outside the others, by straight lines in degrees; points
 * on a ring are outside. Inside is where the ring winds around a point, so a ring may cross itself.
 * Decisions are exact: no rounding moves a point across an edge.
 *
 * Source: Sunday, Practical Geometry Algorithms (2021), winding number of a polygon.
 */
export function polygonTest(rings: readonly (readonly GeoPoint[])[]): AreaTest {
  const [exterior, ...interiors] = rings.map((ring) => new Ring(ring))
  if (exterior === undefined) throw new Error('a polygon without a ring')
  const contains = (lon: number, lat: number): boolean =>
    exterior.place(lon, lat) === 'inside' &&
    interiors.every((ring) => ring.place(lon, lat) === 'outside')
  return {
    contains,
    side: (cell) => {
      if (exterior.liesBeside(cell)) return 'outside'
      if (exterior.touches(cell) || interiors.some((ring) => ring.touches(cell))) return 'unknown'
      const middle = [(cell.west + cell.east) / 2, (cell.south + cell.north) / 2] as const
      return contains(...middle) ? 'inside' : 'outside'
    },
  }
}

class Ring {
  /** Four numbers an edge: longitude and latitude of its start and of its end. */
  readonly #edges: Float64Array
  readonly #box: GeoRectangle
  /** Edges of each band, by number. */
  readonly #bands: readonly (readonly number[])[]

  constructor(points: readonly GeoPoint[]) {
    this.#edges = edgesOf(points)
    const [lons, lats] = [points.map(({ lon }) => lon), points.map(({ lat }) => lat)]
    this.#box = {
      west: lons.reduce((a, b) => Math.min(a, b)),
      east: lons.reduce((a, b) => Math.max(a, b)),
      south: lats.reduce((a, b) => Math.min(a, b)),
      north: lats.reduce((a, b) => Math.max(a, b)),
    }
    const bands: number[][] = Array.from(
      { length: Math.min(BANDS_MAX, points.length - 1) },
      () => [],
    )
    for (let edge = 0; edge < points.length - 1; edge++) {
      const [low, high] = this.#heights(edge)
      const last = bandOf(high, this.#box, bands.length)
      for (let band = bandOf(low, this.#box, bands.length); band <= last; band++) {
        bands[band]?.push(edge)
      }
    }
    this.#bands = bands
  }

  #heights(edge: number): readonly [number, number] {
    const from = this.#edges[edge * 4 + 1] as number
    const to = this.#edges[edge * 4 + 3] as number
    return from < to ? [from, to] : [to, from]
  }

  place(lon: number, lat: number): 'inside' | 'outside' | 'border' {
    const { west, east, south, north } = this.#box
    if (lon < west || lon > east || lat < south || lat > north) return 'outside'
    let winding = 0
    for (const edge of this.#bands[bandOf(lat, this.#box, this.#bands.length)] ?? []) {
      const at = edge * 4
      const x1 = this.#edges[at] as number
      const y1 = this.#edges[at + 1] as number
      const x2 = this.#edges[at + 2] as number
      const y2 = this.#edges[at + 3] as number
      if ((lat < y1 && lat < y2) || (lat > y1 && lat > y2)) continue
      const turn = orientation(x1 - lon, y1 - lat, x2 - lon, y2 - lat, [x1, y1, x2, y2, lon, lat])
      if (turn === 0 && !((lon < x1 && lon < x2) || (lon > x1 && lon > x2))) return 'border'
      if (y1 <= lat) {
        if (y2 > lat && turn > 0) winding++
      } else if (y2 <= lat && turn < 0) winding--
    }
    return winding === 0 ? 'outside' : 'inside'
  }

  liesBeside(cell: GeoRectangle): boolean {
    const { west, east, south, north } = this.#box
    return cell.east < west || cell.west > east || cell.north < south || cell.south > north
  }

  /** Whether an edge may touch the rectangle; false only where none does. */
  touches(cell: GeoRectangle): boolean {
    if (this.liesBeside(cell)) return false
    const first = bandOf(Math.max(cell.south, this.#box.south), this.#box, this.#bands.length)
    const last = bandOf(Math.min(cell.north, this.#box.north), this.#box, this.#bands.length)
    for (let band = first; band <= last; band++) {
      for (const edge of this.#bands[band] ?? []) if (this.#touches(edge, cell)) return true
    }
    return false
  }

  #touches(edge: number, { west, east, south, north }: GeoRectangle): boolean {
    const x1 = this.#edges[edge * 4] as number
    const y1 = this.#edges[edge * 4 + 1] as number
    const x2 = this.#edges[edge * 4 + 2] as number
    const y2 = this.#edges[edge * 4 + 3] as number
    if ((x1 < west && x2 < west) || (x1 > east && x2 > east)) return false
    if ((y1 < south && y2 < south) || (y1 > north && y2 > north)) return false
    // All four corners far enough on one side of the line: rounding errs by less than 1e-10.
    const turn = (x: number, y: number): number => (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
    const turns = [turn(west, south), turn(west, north), turn(east, south), turn(east, north)]
    return !(turns.every((t) => t > 1e-9) || turns.every((t) => t < -1e-9))
  }
}

function edgesOf(points: readonly GeoPoint[]): Float64Array {
  const edges = new Float64Array((points.length - 1) * 4)
  for (let i = 0; i + 1 < points.length; i++) {
    const [from, to] = [points[i] as GeoPoint, points[i + 1] as GeoPoint]
    edges.set([from.lon, from.lat, to.lon, to.lat], i * 4)
  }
  return edges
}

/** Never falls as the latitude rises, so an edge lies in every band that its points lie in. */
function bandOf(lat: number, { south, north }: GeoRectangle, bands: number): number {
  if (!(north > south)) return 0
  const band = Math.floor(((lat - south) / (north - south)) * bands)
  return Math.min(bands - 1, Math.max(0, band))
}

type SixNumbers = readonly [number, number, number, number, number, number]

/** (3 + 16ε)ε for ε = 2⁻⁵³: the share of rounding in the products. */
const ERROR_SHARE = 3.3306690738754716e-16

/**
 * On which side of the line from (x1, y1) to (x2, y2) the point (x, y) lies: above 0 on the left,
 * 0 on the line. The differences are those of the six numbers, in doubles.
 *
 * Source: Shewchuk, Adaptive Precision Floating-Point Arithmetic (1997), orient2d, its filter; what
 * the filter leaves open is computed in whole numbers.
 */
function orientation(ax: number, ay: number, bx: number, by: number, numbers: SixNumbers): number {
  const left = ax * by
  const right = ay * bx
  const turn = left - right
  const size = Math.abs(left) + Math.abs(right)
  if (Math.abs(turn) > ERROR_SHARE * size && size > 1e-290) return turn
  if ((ax === 0 || by === 0) && (ay === 0 || bx === 0)) return 0
  const [x1, y1, x2, y2, x, y] = numbers.map(scaled) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ]
  const exact = (x1 - x) * (y2 - y) - (y1 - y) * (x2 - x)
  return exact > 0n ? 1 : exact < 0n ? -1 : 0
}

const view = new DataView(new ArrayBuffer(8))

/** A double times 2¹⁰⁷⁴, which is a whole number. */
function scaled(value: number): bigint {
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const exponent = (bits >> 52n) & 0x7ffn
  const fraction = bits & 0xfffffffffffffn
  const size = exponent === 0n ? fraction : (fraction | 0x10000000000000n) << (exponent - 1n)
  return value < 0 ? -size : size
}
