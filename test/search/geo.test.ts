import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import type { JsonObject } from '../../src/core/json.ts'
import { openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import { parseFilter } from '../../src/search/filter.ts'
import { areaTest, type GeoArea } from '../../src/search/geo-area.ts'
import { CELL_LEVELS, cellCode, cellRectangle } from '../../src/search/geo-cell.ts'
import { EARTH_METRES, haversineMetres } from '../../src/search/geo-distance.ts'
import type { GeoPoint } from '../../src/search/geo-point.ts'
import { randomOf, type SearchRandom, seedOf } from './random.ts'

const at = (lon: number, lat: number): GeoPoint => ({ lon, lat })
const ring = (...points: readonly (readonly [number, number])[]): GeoPoint[] =>
  [...points, points[0] ?? [0, 0]].map(([lon, lat]) => at(lon, lat))
const polygon = (...rings: readonly GeoPoint[][]) => areaTest({ kind: 'polygon', rings })

describe('haversineMetres', () => {
  it('is known between known places', () => {
    const quarter = (Math.PI / 2) * EARTH_METRES
    expect(haversineMetres(at(0, 0), at(0, 90))).toBeCloseTo(quarter, 6)
    expect(haversineMetres(at(0, 0), at(90, 0))).toBeCloseTo(quarter, 6)
    expect(haversineMetres(at(0, 0), at(180, 0))).toBeCloseTo(2 * quarter, 6)
    expect(haversineMetres(at(-179.5, 0), at(179.5, 0))).toBeCloseTo(quarter / 90, 6)
    expect(haversineMetres(at(10, 90), at(-100, 90))).toBeCloseTo(0, 6)
    expect(haversineMetres(at(13, 52), at(13, 52))).toBe(0)
    // Berlin to Moscow.
    expect(haversineMetres(at(13.405, 52.52), at(37.6173, 55.7558))).toBeCloseTo(1_608_833.558, 3)
  })

  it('has the same bits on every machine', () => {
    expect(haversineMetres(at(13.404954, 52.520008), at(11.582, 48.1351))).toBe(504416.04958856537)
    expect(haversineMetres(at(-70.25, -33.5), at(174.75, -41.25))).toBe(9376065.017621187)
  })
})

describe('a polygon', () => {
  const square = polygon(ring([0, 0], [10, 0], [10, 10], [0, 10]))

  it('holds what is inside, and not its border', () => {
    expect(square.contains(5, 5)).toBe(true)
    expect(square.contains(1e-300, 1e-300)).toBe(true)
    for (const [lon, lat] of [
      [0, 0],
      [10, 10],
      [5, 0],
      [0, 5],
      [10, 5],
      [5, 10],
      [-1e-300, 5],
      [11, 5],
    ] as const) {
      expect(square.contains(lon, lat), `${lon} ${lat}`).toBe(false)
    }
  })

  it('is the same whichever way it winds and wherever it begins', () => {
    const reversed = polygon(ring([0, 10], [10, 10], [10, 0], [0, 0]))
    for (let lon = -1; lon <= 11; lon++) {
      for (let lat = -1; lat <= 11; lat++) {
        expect(reversed.contains(lon, lat)).toBe(square.contains(lon, lat))
      }
    }
  })

  it('does not hold its holes, nor their border', () => {
    const holed = polygon(
      ring([0, 0], [10, 0], [10, 10], [0, 10]),
      ring([4, 4], [6, 4], [6, 6], [4, 6]),
    )
    expect([holed.contains(5, 5), holed.contains(4, 5), holed.contains(3, 5)]).toEqual([
      false,
      false,
      true,
    ])
  })

  it('holds both halves where it crosses itself', () => {
    const bow = polygon(ring([0, 0], [10, 10], [10, 0], [0, 10]))
    expect([bow.contains(1, 5), bow.contains(9, 5), bow.contains(5, 9)]).toEqual([
      true,
      true,
      false,
    ])
    expect(bow.contains(5, 5)).toBe(false)
  })

  it('decides exactly beside a slanted edge', () => {
    const triangle = polygon(ring([0, 0], [30, 10], [0, 10]))
    // The edge is lon = 3 · lat. Three times the double 0.1 lies between these two neighbours.
    expect(triangle.contains(0.3, 0.1)).toBe(true)
    expect(triangle.contains(0.30000000000000004, 0.1)).toBe(false)
    expect(triangle.contains(0.75, 0.25)).toBe(false)
    expect(triangle.contains(0.75 - 2 ** -53, 0.25)).toBe(true)
    expect(triangle.contains(0.75 + 2 ** -53, 0.25)).toBe(false)
  })
})

describe('cells', () => {
  it('hold the points of their codes', () => {
    const random = randomOf(seedOf())
    for (let i = 0; i < 20_000; i++) {
      const { lon, lat } = anywhere(random)
      const code = cellCode(lon, lat)
      for (const level of [0, 1, 7, CELL_LEVELS]) {
        const first = Math.floor(code / 4 ** (CELL_LEVELS - level)) * 4 ** (CELL_LEVELS - level)
        const { west, east, south, north } = cellRectangle(first, level)
        expect(lon >= west && lon <= east && lat >= south && lat <= north).toBe(true)
      }
    }
    expect(cellCode(-180, -90)).toBe(0)
    expect(cellCode(180, 90)).toBe(2 ** 32 - 1)
  })

  it('are never wrongly inside or outside an area', () => {
    const random = randomOf(seedOf())
    const sides = { inside: 0, outside: 0, unknown: 0 }
    for (let i = 0; i < 4_000; i++) {
      const area = areaTest(anyArea(random))
      const { lon, lat } = anywhere(random)
      const level = random.whole(0, CELL_LEVELS)
      const code =
        Math.floor(cellCode(lon, lat) / 4 ** (CELL_LEVELS - level)) * 4 ** (CELL_LEVELS - level)
      const cell = cellRectangle(code, level)
      const side = area.side(cell)
      sides[side]++
      for (let j = 0; j < 5; j++) {
        const x = Math.min(180, Math.max(-180, cell.west + ((cell.east - cell.west) * j) / 4))
        const y = Math.min(
          90,
          Math.max(-90, cell.south + ((cell.north - cell.south) * ((j * 3) % 5)) / 4),
        )
        if (side !== 'unknown') expect(area.contains(x, y)).toBe(side === 'inside')
      }
    }
    for (const side of ['inside', 'outside', 'unknown'] as const) {
      expect(sides[side], side).toBeGreaterThan(100)
    }
  })
})

describe('the filter index', () => {
  it('finds the points of random areas as a look at each does', () => {
    const random = randomOf(seedOf())
    const points = Array.from({ length: 4_000 }, () => anywhere(random))
    const builder = createFieldIndexBuilder()
    for (const { lon, lat } of points) {
      builder.add(
        new Map([
          [
            'p',
            new Map([
              ['lon', lon],
              ['lat', lat],
            ]),
          ],
        ]) as JsonObject,
      )
    }
    const index = openFieldIndex(builder.encode(), points.length)
    for (let i = 0; i < 150; i++) {
      const area = anyArea(random)
      const test = areaTest(area)
      const wanted = points.flatMap(({ lon, lat }, row) => (test.contains(lon, lat) ? [row] : []))
      const filter = parseFilter({ must: [conditionOf(area)] })
      const { sure, exact } = index.select(filter, () => [])
      expect([exact, [...sure]], JSON.stringify(area)).toEqual([
        true,
        [...Bitset.from(4_000, wanted)],
      ])
      expect(index.estimate(filter)).toBeGreaterThanOrEqual(wanted.length)
    }
  })
})

const anywhere = (random: SearchRandom): GeoPoint => {
  const round = random.pick([1, 1e9])
  const lon = random.whole(0, 360 * round) / round - 180
  return at(lon, random.whole(0, 180 * round) / round - 90)
}

const anyArea = (random: SearchRandom): GeoArea => {
  const kind = random.whole(0, 2)
  if (kind === 0) {
    const metres = random.pick([1, 1e3, 1e5, 1e6, 5e6, 1.5e7, 2.0015e7, 2.1e7])
    return { kind: 'radius', center: anywhere(random), metres }
  }
  if (kind === 1) return { kind: 'box', topLeft: anywhere(random), bottomRight: anywhere(random) }
  const ringOf = (): GeoPoint[] => {
    const points = Array.from({ length: random.whole(3, 12) }, () => anywhere(random))
    return [...points, points[0] as GeoPoint]
  }
  return { kind: 'polygon', rings: Array.from({ length: random.whole(1, 3) }, ringOf) }
}

function conditionOf(area: GeoArea): object {
  if (area.kind === 'radius') {
    return { key: 'p', geo_radius: { center: area.center, radius: area.metres } }
  }
  if (area.kind === 'box') {
    return {
      key: 'p',
      geo_bounding_box: { top_left: area.topLeft, bottom_right: area.bottomRight },
    }
  }
  const [exterior, ...interiors] = area.rings.map((points) => ({ points }))
  return { key: 'p', geo_polygon: { exterior, interiors } }
}
