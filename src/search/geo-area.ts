import type { AreaTest } from './geo-cell.ts'
import { radiusTest } from './geo-distance.ts'
import type { GeoPoint } from './geo-point.ts'
import { polygonTest } from './geo-polygon.ts'

/** A part of the Earth's surface. Its border is no part of it. */
export type GeoArea =
  | { readonly kind: 'radius'; readonly center: GeoPoint; readonly metres: number }
  /** Crosses the antimeridian where its left lies east of its right. */
  | { readonly kind: 'box'; readonly topLeft: GeoPoint; readonly bottomRight: GeoPoint }
  /** The first ring without the others; each ring ends where it begins. */
  | { readonly kind: 'polygon'; readonly rings: readonly (readonly GeoPoint[])[] }

type Box = Extract<GeoArea, { kind: 'box' }>

/** Made once for all the points that an area is asked about. */
const tests = new WeakMap<GeoArea, AreaTest>()

/** The test of an area: a sphere for the radius, straight lines in degrees for the others. */
export function areaTest(area: GeoArea): AreaTest {
  const known = tests.get(area) ?? newTest(area)
  tests.set(area, known)
  return known
}

function newTest(area: GeoArea): AreaTest {
  if (area.kind === 'radius') return radiusTest(area.center, area.metres)
  return area.kind === 'box' ? boxTest(area) : polygonTest(area.rings)
}

function boxTest({ topLeft, bottomRight }: Box): AreaTest {
  const [west, east] = [topLeft.lon, bottomRight.lon]
  const [south, north] = [bottomRight.lat, topLeft.lat]
  const crosses = west > east
  return {
    contains: (lon, lat) => {
      const inWidth = crosses ? lon > west || lon < east : lon > west && lon < east
      return inWidth && lat > south && lat < north
    },
    side: (cell) => {
      if (cell.north <= south || cell.south >= north) return 'outside'
      const tall = cell.south > south && cell.north < north
      if (crosses) {
        if (cell.west >= east && cell.east <= west) return 'outside'
        return tall && (cell.west > west || cell.east < east) ? 'inside' : 'unknown'
      }
      if (cell.east <= west || cell.west >= east) return 'outside'
      return tall && cell.west > west && cell.east < east ? 'inside' : 'unknown'
    },
  }
}
