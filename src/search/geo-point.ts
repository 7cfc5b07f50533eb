import type { JsonValue } from '../core/json.ts'

/** A place on Earth in degrees: longitude −180…180, latitude −90…90. */
export interface GeoPoint {
  readonly lon: number
  readonly lat: number
}

/** The point that a JSON value is; undefined where it is none. Other fields of it do not matter. */
export function geoPoint(value: JsonValue | undefined): GeoPoint | undefined {
  if (!(value instanceof Map)) return undefined
  const lon = value.get('lon')
  const lat = value.get('lat')
  if (typeof lon !== 'number' || typeof lat !== 'number') return undefined
  if (!(lon >= -180 && lon <= 180 && lat >= -90 && lat <= 90)) return undefined
  // −0 is 0: a cell and a comparison must not see two of them.
  return { lon: lon + 0, lat: lat + 0 }
}
