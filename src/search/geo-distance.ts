import { asin, cos, sin } from '../core/trigonometry.ts'
import type { AreaTest } from './geo-cell.ts'
import type { GeoPoint } from './geo-point.ts'

/** Mean radius of the Earth in metres (IUGG, R₁ of GRS 80). */
export const EARTH_METRES = 6_371_008.8

const RADIANS = Math.PI / 180

/**
 * Great-circle distance of two points in metres by the haversine formula, with the same bits on
 * every machine. On the sphere it is exact to about 1e-15 of the Earth's radius, save near
 * antipodes (1e-8); the sphere itself is up to 0.56 % off the ellipsoid.
 *
 * Source: Sinnott, Virtues of the Haversine, Sky and Telescope 68 (1984).
 */
export function haversineMetres(a: GeoPoint, b: GeoPoint): number {
  return distanceFrom(a)(b.lon, b.lat)
}

function distanceFrom(center: GeoPoint): (lon: number, lat: number) => number {
  const cosCenter = cos(center.lat * RADIANS)
  return (lon, lat) => {
    const height = sin(((lat - center.lat) * RADIANS) / 2)
    const width = sin(((lon - center.lon) * RADIANS) / 2)
    const h = height * height + cosCenter * cos(lat * RADIANS) * width * width
    return 2 * EARTH_METRES * asin(Math.sqrt(Math.min(1, h)))
  }
}

/** Far above what rounding can do to a distance, antipodes included, in metres. */
const SLACK = 1

/** The points nearer than `metres`. */
export function radiusTest(center: GeoPoint, metres: number): AreaTest {
  const distance = distanceFrom(center)
  return {
    contains: (lon, lat) => distance(lon, lat) < metres,
    side: ({ west, east, south, north }) => {
      const lat = (south + north) / 2
      // From the middle to any point of a rectangle: along its meridian, then along a parallel.
      const reach = (EARTH_METRES * RADIANS * (east - west + north - south)) / 2 + SLACK
      const middle = distance((west + east) / 2, lat)
      if (middle + reach < metres) return 'inside'
      return middle - reach > metres ? 'outside' : 'unknown'
    },
  }
}
