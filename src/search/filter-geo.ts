import type { JsonObject, JsonValue } from '../core/json.ts'
import { wrong } from './filter-errors.ts'
import type { GeoArea } from './geo-area.ts'
import { type GeoPoint, geoPoint } from './geo-point.ts'

type GeoConditionName = 'geo_radius' | 'geo_bounding_box' | 'geo_polygon'

/** The area that a geo condition names. @throws USAGE where it names none */
export function geoArea(kind: GeoConditionName, node: JsonObject): GeoArea {
  if (kind === 'geo_radius') {
    const [center, radius] = fieldsOf(node, kind, ['center', 'radius'])
    if (typeof radius !== 'number' || radius < 0)
      throw wrong('a radius is metres, 0 or more', radius)
    return { kind: 'radius', center: pointOf(center), metres: radius }
  }
  if (kind === 'geo_bounding_box') {
    const [topLeft, bottomRight] = fieldsOf(node, kind, ['top_left', 'bottom_right'])
    return { kind: 'box', topLeft: pointOf(topLeft), bottomRight: pointOf(bottomRight) }
  }
  const interiors = node.get('interiors') ?? []
  const [exterior] = fieldsOf(new Map([...node].filter(([name]) => name !== 'interiors')), kind, [
    'exterior',
  ])
  if (!Array.isArray(interiors)) throw wrong('"interiors" is a list', interiors)
  return { kind: 'polygon', rings: [exterior, ...(interiors as JsonValue[])].map(ringOf) }
}

function fieldsOf(node: JsonObject, kind: string, names: readonly string[]): JsonValue[] {
  if (node.size !== names.length || names.some((name) => !node.has(name))) {
    throw wrong(`"${kind}" has ${names.join(' and ')}`, node)
  }
  return names.map((name) => node.get(name) as JsonValue)
}

function pointOf(value: JsonValue | undefined): GeoPoint {
  const point = geoPoint(value)
  if (point === undefined) {
    throw wrong('a point is {"lon": −180…180, "lat": −90…90}', value)
  }
  return point
}

function ringOf(value: JsonValue | undefined): readonly GeoPoint[] {
  const points = value instanceof Map && value.size === 1 ? value.get('points') : undefined
  if (!Array.isArray(points)) throw wrong('a ring of a polygon has {"points": […]}', value)
  const ring = (points as JsonValue[]).map(pointOf)
  const [first, last] = [ring[0], ring.at(-1)]
  if (ring.length < 4 || first?.lon !== last?.lon || first?.lat !== last?.lat) {
    throw wrong('a ring has 4 points or more, the last equal to the first', `${ring.length} points`)
  }
  return ring
}
