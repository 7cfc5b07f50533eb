import { describe, expect, it } from 'vitest'
import { fromPlain, type JsonObject } from '../../src/core/json.ts'
import { matchesFilter } from '../../src/search/evaluate.ts'
import { openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import { parseFilter } from '../../src/search/filter.ts'

/*
 * The examples of Qdrant's documentation of filtering (qdrant.tech, Concepts, Filtering), with the
 * points and the answers that it gives.
 */

const CITIES = [
  { id: '1', city: 'London', color: 'green' },
  { id: '2', city: 'London', color: 'red' },
  { id: '3', city: 'London', color: 'blue' },
  { id: '4', city: 'Berlin', color: 'red' },
  { id: '5', city: 'Moscow', color: 'green' },
  { id: '6', city: 'Moscow', color: 'blue' },
]

const COUNTRIES = [
  {
    id: '1',
    country: {
      name: 'Germany',
      cities: [
        { name: 'Berlin', population: 3.7, sightseeing: ['Brandenburg Gate', 'Reichstag'] },
        { name: 'Munich', population: 1.5, sightseeing: ['Marienplatz', 'Olympiapark'] },
      ],
    },
  },
  {
    id: '2',
    country: {
      name: 'Japan',
      cities: [
        { name: 'Tokyo', population: 9.3, sightseeing: ['Tokyo Tower', 'Tokyo Skytree'] },
        {
          name: 'Osaka',
          population: 2.7,
          sightseeing: ['Osaka Castle', 'Universal Studios Japan'],
        },
      ],
    },
  },
]

const DIETS = [
  {
    id: '1',
    dinosaur: 't-rex',
    diet: [
      { food: 'leaves', likes: false },
      { food: 'meat', likes: true },
    ],
  },
  {
    id: '2',
    dinosaur: 'diplodocus',
    diet: [
      { food: 'leaves', likes: true },
      { food: 'meat', likes: false },
    ],
  },
]

/** Ids that pass, by the plain evaluator and by the filter index. */
function passing(points: readonly { id: string }[], filter: object): readonly string[] {
  const parsed = parseFilter(filter)
  const payloads = points.map(({ id: _, ...payload }) => fromPlain(payload) as JsonObject)
  const plain = points.filter(({ id }, row) =>
    matchesFilter(parsed, { id, payload: payloads[row] as JsonObject }),
  )
  const builder = createFieldIndexBuilder()
  for (const payload of payloads) builder.add(payload)
  const index = openFieldIndex(builder.encode(), payloads.length)
  const { sure, maybe } = index.select(parsed, (id) =>
    points.flatMap((point, row) => (point.id === id ? [row] : [])),
  )
  const indexed = points.filter(
    (point, row) => sure.has(row) || (maybe.has(row) && plain.includes(point)),
  )
  expect(indexed).toEqual(plain)
  return plain.map(({ id }) => id)
}

const london = { key: 'city', match: { value: 'London' } }
const red = { key: 'color', match: { value: 'red' } }

describe('clauses', () => {
  it.each([
    ['must', { must: [london, red] }, ['2']],
    ['should', { should: [london, red] }, ['1', '2', '3', '4']],
    ['must_not', { must_not: [london, red] }, ['5', '6']],
    ['must with must_not', { must: [london], must_not: [red] }, ['1', '3']],
    ['a filter inside', { must_not: [{ must: [london, red] }] }, ['1', '3', '4', '5', '6']],
    ['min_should', { min_should: { conditions: [london, red], min_count: 2 } }, ['2']],
    [
      'min_should of one',
      { min_should: { conditions: [london, red], min_count: 1 } },
      ['1', '2', '3', '4'],
    ],
    [
      'min_should of none',
      { min_should: { conditions: [], min_count: 0 } },
      ['1', '2', '3', '4', '5', '6'],
    ],
    ['min_should of too many', { min_should: { conditions: [london, red], min_count: 3 } }, []],
    ['any', { must: [{ key: 'color', match: { any: ['black', 'green'] } }] }, ['1', '5']],
    [
      'except',
      { must: [{ key: 'color', match: { except: ['black', 'green'] } }] },
      ['2', '3', '4', '6'],
    ],
    ['has_id', { must: [{ has_id: [1, 3, 5, 7, 9, 11] }] }, ['1', '3', '5']],
  ])('%s', (_, filter, ids) => {
    expect(passing(CITIES, filter)).toEqual(ids)
  })
})

describe('nested keys', () => {
  const population = { range: { gte: 9.0 } }
  it.each([
    ['a path', { key: 'country.name', match: { value: 'Germany' } }, ['1']],
    ['a path through arrays', { key: 'country.cities[].population', ...population }, ['2']],
    [
      'a path to an array',
      { key: 'country.cities[].sightseeing', match: { value: 'Osaka Castle' } },
      ['2'],
    ],
  ])('%s', (_, condition, ids) => {
    expect(passing(COUNTRIES, { should: [condition] })).toEqual(ids)
  })

  const food = (key: string) => [
    { key: `${key}food`, match: { value: 'meat' } },
    { key: `${key}likes`, match: { value: true } },
  ]

  it('of plain conditions may hold on different elements', () => {
    expect(passing(DIETS, { must: food('diet[].') })).toEqual(['1', '2'])
  })

  it('of nested conditions hold on one and the same element', () => {
    const nested = { nested: { key: 'diet', filter: { must: food('') } } }
    expect(passing(DIETS, { must: [nested] })).toEqual(['1'])
    expect(passing(DIETS, { must_not: [nested] })).toEqual(['2'])
    expect(passing(DIETS, { must: [nested, { has_id: [2] }] })).toEqual([])
  })
})

describe('conditions on a key', () => {
  const points = [
    { id: '1', a: 'red' },
    { id: '2', a: ['red', 'blue', 'green'] },
    { id: '3', a: [] },
    { id: '4', a: null },
    { id: '5' },
    { id: '6', a: 'useful, cheap and good' },
    { id: '7', a: ['good', 'cheap'] },
  ]
  const on = (condition: object) => ({ must: [{ key: 'a', ...condition }] })

  it.each([
    ['values_count', on({ values_count: { gt: 2 } }), ['2']],
    ['values_count of one', on({ values_count: { gte: 1, lt: 3 } }), ['1', '6', '7']],
    [
      'values_count of none, also where the field is missing',
      on({ values_count: { lt: 1 } }),
      ['3', '4', '5'],
    ],
    ['is_empty', { must: [{ is_empty: { key: 'a' } }] }, ['3', '4', '5']],
    ['is_empty beside a key', on({ is_empty: true }), ['3', '4', '5']],
    ['is_empty: false', on({ is_empty: false }), ['1', '2', '6', '7']],
    ['is_null', { must: [{ is_null: { key: 'a' } }] }, ['4']],
    ['text: all words, in any order, of one element', on({ match: { text: 'good cheap' } }), ['6']],
    ['text_any', on({ match: { text_any: 'good cheap' } }), ['6', '7']],
    ['phrase', on({ match: { phrase: 'cheap and good' } }), ['6']],
    ['phrase in another order', on({ match: { phrase: 'good cheap' } }), []],
    [
      'except of nothing: points that have the field',
      on({ match: { except: [] } }),
      ['1', '2', '6', '7'],
    ],
    ['except of another type', on({ match: { except: [7] } }), ['1', '2', '6', '7']],
  ])('%s', (_, filter, ids) => {
    expect(passing(points, filter)).toEqual(ids)
  })
})

describe('geo', () => {
  const points = [
    { id: 'berlin', location: { lon: 13.404954, lat: 52.520008 } },
    { id: 'munich', location: { lon: 11.582, lat: 48.1351 } },
    {
      id: 'both',
      location: [
        { lon: 11.582, lat: 48.1351 },
        { lon: 13.404954, lat: 52.520008 },
      ],
    },
    { id: 'fiji', location: { lon: 179.9, lat: -17.7 } },
    { id: 'samoa', location: { lon: -172.1, lat: -13.8 } },
    { id: 'none', location: { lon: 'east', lat: 52.52 } },
  ]
  const on = (condition: object) => ({ must: [{ key: 'location', ...condition }] })

  it.each([
    [
      'geo_bounding_box',
      {
        geo_bounding_box: {
          bottom_right: { lon: 13.455868, lat: 52.495862 },
          top_left: { lon: 13.403683, lat: 52.520711 },
        },
      },
      ['berlin', 'both'],
    ],
    [
      'geo_bounding_box across the antimeridian',
      {
        geo_bounding_box: { top_left: { lon: 170, lat: 0 }, bottom_right: { lon: -170, lat: -30 } },
      },
      ['fiji', 'samoa'],
    ],
    [
      'geo_bounding_box upside down',
      { geo_bounding_box: { top_left: { lon: 0, lat: 0 }, bottom_right: { lon: 20, lat: 60 } } },
      [],
    ],
    [
      'geo_radius',
      { geo_radius: { center: { lon: 13.403683, lat: 52.520711 }, radius: 1_000 } },
      ['berlin', 'both'],
    ],
    [
      'geo_radius of 600 km',
      { geo_radius: { center: { lon: 13.403683, lat: 52.520711 }, radius: 6e5 } },
      ['berlin', 'munich', 'both'],
    ],
    [
      'geo_polygon',
      {
        geo_polygon: {
          exterior: { points: ring([-70, -70], [60, -70], [60, 60], [-70, 60]) },
          interiors: [{ points: ring([12, 50], [15, 50], [15, 55], [12, 55]) }],
        },
      },
      ['munich', 'both'],
    ],
  ])('%s', (_, condition, ids) => {
    expect(passing(points, on(condition))).toEqual(ids)
  })
})

function ring(...points: readonly (readonly [number, number])[]): object[] {
  return [...points, points[0]].map((point) => ({ lon: point?.[0], lat: point?.[1] }))
}
