import { describe, expect, it } from 'vitest'
import { fromPlain, type JsonObject, parseJson } from '../../src/core/json.ts'
import { limits } from '../../src/core/limits.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { matchesFilter } from '../../src/search/evaluate.ts'
import { parseFilter } from '../../src/search/filter.ts'

const passes = (filter: unknown, payload: unknown, id = 'a'): boolean =>
  matchesFilter(parseFilter(filter), { id, payload: fromPlain(payload) as JsonObject })

const codeOf = (filter: unknown): string => {
  try {
    parseFilter(filter)
    return 'taken'
  } catch (error) {
    return hasCode(error, 'USAGE', 'LIMIT') ? error.code : `thrown ${String(error)}`
  }
}

const square = (from: number, to: number): { lon: number; lat: number }[] => [
  { lon: from, lat: from },
  { lon: to, lat: from },
  { lon: to, lat: to },
  { lon: from, lat: to },
  { lon: from, lat: from },
]

const on = (condition: object): object => ({ must: [condition] })

describe('the meaning of a filter', () => {
  it('takes the short form as exact matches, all of them', () => {
    expect(passes({ lang: 'fi', year: 2024 }, { lang: 'fi', year: 2024 })).toBe(true)
    expect(passes({ lang: 'fi', year: 2024 }, { lang: 'fi', year: 2023 })).toBe(false)
    expect(passes({ lang: ['fi', 'sv'] }, { lang: 'sv' })).toBe(true)
    expect(passes({ lang: null }, { lang: null })).toBe(true)
    expect(passes({ lang: null }, {})).toBe(false)
    expect(passes({}, {})).toBe(true)
  })

  it('takes a filter as Maps like one as plain objects', () => {
    const filter = parseFilter(
      parseJson('{"must":[{"key":"n","match":{"value":9007199254740993}}]}'),
    )
    const record = (n: bigint) => ({ id: 'a', payload: new Map([['n', n]]) })
    expect(matchesFilter(filter, record(9007199254740993n))).toBe(true)
    expect(matchesFilter(filter, record(9007199254740992n))).toBe(false)
  })

  it('keeps 1 and "1" apart, and 1 and 1.0 and 1n together', () => {
    expect(passes({ n: 1 }, { n: '1' })).toBe(false)
    expect(passes({ n: '1' }, { n: 1 })).toBe(false)
    expect(passes({ n: 1 }, { n: 1.0 })).toBe(true)
    expect(passes({ n: 1n }, { n: 1 })).toBe(true)
    expect(passes({ n: true }, { n: 1 })).toBe(false)
    expect(passes({ n: 0 }, { n: -0 })).toBe(true)
  })

  it('matches arrays on any element, through nested objects too', () => {
    const payload = { tags: ['x', 'y'], people: [{ name: 'Ada' }, { name: 'Bo' }], 'a.b': 5 }
    expect(passes({ tags: 'y' }, payload)).toBe(true)
    expect(passes({ 'people.name': 'Bo' }, payload)).toBe(true)
    expect(passes({ 'people[].name': 'Bo' }, payload)).toBe(true)
    expect(passes({ 'tags[]': 'x' }, payload)).toBe(true)
    expect(passes({ 'a.b': 5 }, payload)).toBe(true)
    expect(passes({ people: 'Bo' }, payload)).toBe(false)
  })

  it('lets except through where some value is not in the list, never without a value', () => {
    const filter = on({ key: 'lang', match: { except: ['fi'] } })
    expect(passes(filter, { lang: 'sv' })).toBe(true)
    expect(passes(filter, { lang: 'fi' })).toBe(false)
    expect(passes(filter, { lang: ['fi', 'sv'] })).toBe(true)
    expect(passes(filter, { lang: 7 })).toBe(true)
    for (const empty of [{}, { lang: null }, { lang: [] }])
      expect(passes(filter, empty)).toBe(false)
    expect(passes(on({ key: 'lang', match: { except: [] } }), { lang: 'fi' })).toBe(true)
    expect(passes(on({ key: 'lang', match: { any: [] } }), { lang: 'fi' })).toBe(false)
  })

  it('tells missing, null and [] apart', () => {
    const isNull = on({ is_null: { key: 'x' } })
    const isEmpty = on({ is_empty: { key: 'x' } })
    const cases: [object, boolean, boolean][] = [
      [{}, false, true],
      [{ x: null }, true, true],
      [{ x: [] }, false, true],
      [{ x: [null] }, false, false],
      [{ x: {} }, false, false],
      [{ x: '' }, false, false],
      [{ x: 0 }, false, false],
    ]
    for (const [payload, whenNull, whenEmpty] of cases) {
      expect([passes(isNull, payload), passes(isEmpty, payload)]).toEqual([whenNull, whenEmpty])
    }
  })

  it('compares numbers exactly across integers and floats', () => {
    const range = (bounds: object) => on({ key: 'n', range: bounds })
    expect(passes(range({ gt: 9007199254740992 }), { n: 9007199254740993n })).toBe(true)
    expect(passes(range({ gt: 9007199254740993n }), { n: 9007199254740993n })).toBe(false)
    expect(passes(range({ gte: 1, lt: 2 }), { n: 1.5 })).toBe(true)
    expect(passes(range({ gte: 1, lt: 2 }), { n: 2 })).toBe(false)
    expect(passes(range({ lte: 2, gt: null }), { n: 2 })).toBe(true)
    expect(passes(range({ gte: 1 }), { n: '5' })).toBe(false)
    expect(passes(range({ gte: 1e300 }), { n: 2n ** 64n - 1n })).toBe(false)
  })

  it('compares times by their instant, to the nanosecond', () => {
    const range = (bounds: object) => on({ key: 't', range: bounds })
    const noon = '2026-07-01T12:00:00Z'
    expect(passes(range({ gte: noon }), { t: '2026-07-01T14:00:00+02:00' })).toBe(true)
    expect(passes(range({ gt: noon }), { t: '2026-07-01T14:00:00+02:00' })).toBe(false)
    expect(passes(range({ gt: noon }), { t: '2026-07-01T12:00:00.000000001Z' })).toBe(true)
    expect(passes(range({ lt: '2026-07-02' }), { t: noon })).toBe(true)
    expect(passes(range({ gte: noon }), { t: '2026-07-01T13:00:00' })).toBe(false)
    expect(passes(range({ gte: noon }), { t: 'tomorrow' })).toBe(false)
  })

  it('joins the clauses and nests', () => {
    const filter = {
      must: { key: 'a', match: { value: 1 } },
      should: [{ key: 'b', match: { value: 1 } }, { must: [{ has_id: ['z', 7] }] }],
      must_not: [{ is_null: { key: 'c' } }],
    }
    expect(passes(filter, { a: 1, b: 1 })).toBe(true)
    expect(passes(filter, { a: 1 }, 'z')).toBe(true)
    expect(passes(filter, { a: 1 }, '7')).toBe(true)
    expect(passes(filter, { a: 1 })).toBe(false)
    expect(passes(filter, { a: 1, b: 1, c: null })).toBe(false)
  })

  it('reads keys that name parts of the language itself as plain keys', () => {
    const payload = parseJson('{"__proto__":1,"constructor":"x"}') as JsonObject
    const filter = parseFilter(parseJson('{"__proto__":1,"constructor":"x"}'))
    expect(matchesFilter(filter, { id: 'a', payload })).toBe(true)
    expect(matchesFilter(filter, { id: 'a', payload: new Map() })).toBe(false)
    expect(passes({ toString: 'x' }, {})).toBe(false)
  })
})

describe('what is no filter', () => {
  it.each([
    [null],
    [[]],
    ['lang'],
    [{ must: [1] }],
    [{ must: [{}] }],
    [{ must: [{ key: 'a' }] }],
    [{ must: [{ key: '', match: { value: 1 } }] }],
    [{ must: [{ key: 'a', match: { value: null } }] }],
    [{ must: [{ key: 'a', match: { value: {} } }] }],
    [{ must: [{ key: 'a', match: { any: 1 } }] }],
    [{ must: [{ key: 'a', match: { any: [1], value: 1 } }] }],
    [{ must: [{ key: 'a', match: { value: 1 }, range: { gt: 1 } }] }],
    [{ must: [{ key: 'a', range: {} }] }],
    [{ must: [{ key: 'a', range: { above: 1 } }] }],
    [{ must: [{ key: 'a', range: { gt: 1, lt: '2026-01-01T00:00:00Z' } }] }],
    [{ must: [{ key: 'a', range: { gt: '2026-01-01T00:00:00' } }] }],
    [{ must: [{ key: 'a', range: { gt: '2026-02-30T00:00:00Z' } }] }],
    [{ must: [{ has_id: [1.5] }] }],
    [{ must: [], lang: 'fi' }],
    [{ key: 'lang', match: { value: 'fi' } }],
  ])('refuses %j', (filter) => {
    expect(codeOf(filter)).toBe('USAGE')
  })

  it.each([
    [{ key: 'a', match: { text: 1 } }],
    [{ key: 'a', match: { phrase: ['x'] } }],
    [{ key: 'a', match: { fuzzy: 'x' } }],
    [{ key: 'a', match: { toString: 'x' } }],
    [{ key: 'a', values_count: {} }],
    [{ key: 'a', values_count: { gt: null } }],
    [{ key: 'a', values_count: { gt: 1.5 } }],
    [{ key: 'a', values_count: { gte: -1 } }],
    [{ key: 'a', values_count: { eq: 1 } }],
    [{ key: 'a', is_empty: 'yes' }],
    [{ nested: { key: 'a' } }],
    [{ nested: { filter: {} } }],
    [{ nested: { key: 'a', filter: [] } }],
    [{ nested: { key: 'a', filter: {} }, key: 'b' }],
    [{ nested: { key: 'a', filter: { must: [{ has_id: ['x'] }] } } }],
    [{ key: 'a', geo_radius: { center: { lon: 0, lat: 0 } } }],
    [{ key: 'a', geo_radius: { center: { lon: 0, lat: 0 }, radius: -1 } }],
    [{ key: 'a', geo_radius: { center: { lon: 0, lat: 91 }, radius: 1 } }],
    [{ key: 'a', geo_radius: { center: { lon: 181, lat: 0 }, radius: 1 } }],
    [{ key: 'a', geo_radius: { center: [0, 0], radius: 1 } }],
    [{ key: 'a', geo_bounding_box: { top_left: { lon: 0, lat: 0 } } }],
    [{ key: 'a', geo_polygon: { exterior: { points: square(0, 1).slice(1) } } }],
    [{ key: 'a', geo_polygon: { exterior: { points: square(0, 1).slice(0, 3) } } }],
    [{ key: 'a', geo_polygon: { exterior: square(0, 1) } }],
    [{ key: 'a', geo_polygon: { exterior: { points: square(0, 1) }, interiors: [{}] } }],
    [{ key: 'a', geo_polygon: { exterior: { points: square(0, 1) }, holes: [] } }],
  ])('refuses the condition %j', (condition) => {
    expect(codeOf(on(condition))).toBe('USAGE')
  })

  it.each([
    [{ conditions: [] }],
    [{ min_count: 1 }],
    [{ conditions: [], min_count: -1 }],
    [{ conditions: [], min_count: 0.5 }],
    [{ conditions: {}, min_count: 1 }],
    [{ conditions: [], min_count: 1, max_count: 2 }],
    [1],
  ])('refuses min_should %j', (clause) => {
    expect(codeOf({ min_should: clause })).toBe('USAGE')
  })

  it.each(['has_vector', 'slice'])('says that there is no %s', (name) => {
    expect(() => parseFilter(on({ [name]: 'x' }))).toThrow(`no filter condition ${name}`)
    expect(codeOf(on({ [name]: 'x' }))).toBe('USAGE')
  })

  it('takes the greatest number of points of polygons and refuses one more', () => {
    const polygon = (points: number): object => {
      const ring = Array.from({ length: points - 1 }, (_, i) => ({ lon: i / 1_000, lat: i % 2 }))
      return { key: 'a', geo_polygon: { exterior: { points: [...ring, ring[0]] } } }
    }
    const half = limits.filterPolygonPointsMax / 2
    expect(codeOf({ must: [polygon(half), polygon(half)] })).toBe('taken')
    expect(codeOf({ must: [polygon(half), polygon(half + 1)] })).toBe('LIMIT')
  })

  it('takes the greatest depth and refuses one more', () => {
    const deep = (depth: number): object => {
      let filter: object = { must: [{ key: 'a', match: { value: 1 } }] }
      for (let i = 1; i < depth; i++) filter = { must: filter }
      return filter
    }
    expect(codeOf(deep(limits.filterDepthMax))).toBe('taken')
    expect(codeOf(deep(limits.filterDepthMax + 1))).toBe('LIMIT')
    expect(codeOf(deep(5_000))).toBe('LIMIT')
    const nested = (depth: number): object => {
      let filter: object = {}
      for (let i = 1; i < depth; i++) filter = { must: [{ nested: { key: 'a', filter } }] }
      return filter
    }
    expect(codeOf(nested(32))).toBe('taken')
    expect(codeOf(nested(limits.filterDepthMax + 1))).toBe('LIMIT')
    expect(codeOf(nested(1_000))).toBe('LIMIT')
  })

  it('reads a thousand levels of JSON without running out of stack', () => {
    for (const [open, close] of [
      ['{"must":', '}'],
      ['{"min_should":{"min_count":1,"conditions":[', ']}}'],
      ['{"must":[{"nested":{"key":"a","filter":', '}}]}'],
    ] as const) {
      const text = `${open.repeat(1_000)}{}${close.repeat(1_000)}`
      try {
        parseFilter(parseJson(text))
        expect.unreachable()
      } catch (error) {
        expect(hasCode(error, 'LIMIT', 'BAD_INPUT')).toBe(true)
      }
    }
  })

  it('takes the greatest number of conditions and refuses one more', () => {
    const many = (count: number): object => ({
      should: Array.from({ length: count }, (_, i) => ({ key: 'a', match: { value: i } })),
    })
    expect(codeOf(many(limits.filterConditionsMax))).toBe('taken')
    expect(codeOf(many(limits.filterConditionsMax + 1))).toBe('LIMIT')
    const words = (count: number): object =>
      on({ key: 'a', match: { text: 'word '.repeat(count) } })
    expect(codeOf(words(limits.filterConditionsMax))).toBe('taken')
    expect(codeOf(words(limits.filterConditionsMax + 1))).toBe('LIMIT')
  })
})
