import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/core/json.ts'
import { checkQuery } from '../../../src/db/api/check-query.ts'
import {
  parseCount,
  parseFacet,
  parseQuery,
  parseScroll,
} from '../../../src/db/query/query-json.ts'

const read = (json: string) => parseQuery(parseJson(json))

describe('a query as JSON', () => {
  it('has the members of the request, in either spelling', () => {
    const wanted = {
      prefetch: [{ query: { vector: Float32Array.of(1, 0.5) }, k: 3, scoreThreshold: 0.25 }],
      query: { fusion: { kind: 'rrf', weights: [1] } },
      groupBy: 'lang',
      withPayload: false,
      asOf: '7',
    }
    const camel = read(`{"prefetch":[{"query":{"vector":[1,0.5]},"k":3,"scoreThreshold":0.25}],
      "query":{"fusion":{"kind":"rrf","weights":[1]}},"groupBy":"lang",
      "withPayload":false,"asOf":7}`)
    const snake = read(`{"prefetch":[{"query":{"vector":[1,0.5]},"top_k":3,"score_threshold":0.25}],
      "query":{"fusion":{"kind":"rrf","weights":[1]}},"group_by":"lang","with_payload":false,
      "as_of":"7","ef":null}`)
    expect(camel).toEqual(wanted)
    expect(snake).toEqual(wanted)
  })

  it('has short forms', () => {
    expect(read('{"query":{"fusion":"dbsf"},"prefetch":[]}').query).toEqual({
      fusion: { kind: 'dbsf' },
    })
    expect(read('{"query":{"orderBy":"n"}}').query).toEqual({ orderBy: { key: 'n' } })
    expect(read('{"query":{"recommend":{"positive":[7,[1,2]]}}}').query).toEqual({
      recommend: { positive: ['7', Float32Array.of(1, 2)] },
    })
  })

  it('has texts in parts', () => {
    expect(read('{"query":{"text":{"query":"a","must":["b"],"fields":["t^2"]}}}').query).toEqual({
      text: { query: 'a', must: ['b'], fields: ['t^2'] },
    })
  })

  it.each([
    ['[]', /an object/],
    ['{"query":{"text":{"must":"b"}}}', /must.*a list/],
    ['{}', /\$\.query/],
    ['{"query":{"vector":[1,"2"]}}', /\$\.query\.vector\[1\].*a number/],
    ['{"query":{"vector":[1e39]}}', /float32/],
    ['{"query":{"words":"x"}}', /no such field/],
    ['{"query":{"text":"x"},"limit":3}', /\$\.limit/],
    ['{"query":{"text":"x"},"k":1,"top_k":2}', /"k" once/],
    ['{"query":{"text":"x"},"filter":[]}', /\$\.filter/],
    ['{"query":{"fusion":"max"}}', /rrf or linear or dbsf/],
    ['{"query":{"text":"x","__proto__":{}}}', /no such field/],
    [`{"query":{"text":"x"},"prefetch":[${'{"query":{"text":"x"}},'.repeat(70)}7]}`, /at most 64/],
  ])('is refused as %s', (json, message) => {
    expect(() => read(json)).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
    expect(() => read(json)).toThrow(message)
  })

  it('is refused where it nests too deep, before anything of it runs', () => {
    const nested = (depth: number): string =>
      depth === 0
        ? '{"query":{"text":"x"}}'
        : `{"query":{"text":"x"},"prefetch":[${nested(depth - 1)}]}`
    expect(() => checkQuery(read(nested(20)))).toThrow(/queryDepthMax/)
    expect(() => read(nested(1_000))).toThrow(expect.objectContaining({ code: 'LIMIT' }))
  })
})

it('counts, facets and scrolls are read alike', () => {
  expect(parseCount(parseJson('{"filter":{"a":1},"as_of":3}'))).toEqual({
    filter: new Map([['a', 1]]),
    asOf: '3',
  })
  expect(parseFacet(parseJson('{"key":"a","limit":3}'))).toEqual({ key: 'a', limit: 3 })
  const scroll = parseScroll(parseJson('{"top_k":3,"order_by":{"key":"a","start_from":1}}'))
  expect(scroll).toEqual({ k: 3, orderBy: { key: 'a', startFrom: 1 } })
  for (const json of ['[]', '{"key":7}', '{"key":"a","n":1}']) {
    expect(() => parseFacet(parseJson(json))).toThrow(
      expect.objectContaining({ code: 'BAD_INPUT' }),
    )
  }
})
