import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { parseTextQuery, type TextSearch } from '../../src/search/text-query.ts'

const parse = (search: string | TextSearch) => {
  const query = parseTextQuery(search, ['title', 'text', 'a^2'])
  return {
    words: Object.fromEntries(query.words),
    ...(query.prefixes.size === 0 ? {} : { prefixes: Object.fromEntries(query.prefixes) }),
    ...(query.must.size === 0 ? {} : { must: [...query.must] }),
    ...(query.phrases.length === 0 ? {} : { phrases: query.phrases }),
    ...(query.fields === undefined ? {} : { fields: Object.fromEntries(query.fields) }),
  }
}

describe('a query text', () => {
  it.each<[string, ReturnType<typeof parse>]>([
    ['Plain words, plain', { words: { plain: 2, words: 1 } }],
    ['', { words: {} }],
    ['a "B c" d', { words: { a: 1, b: 1, c: 1, d: 1 }, must: ['b', 'c'], phrases: [['b', 'c']] }],
    ['"one"', { words: { one: 1 }, must: ['one'] }],
    ['"" "…"', { words: {} }],
    ['a 12" pipe', { words: { a: 1, 12: 1, pipe: 1 } }],
    ['"a b" c" d', { words: { a: 1, b: 1, c: 1, d: 1 }, must: ['a', 'b'], phrases: [['a', 'b']] }],
    ['wor* b', { words: { b: 1 }, prefixes: { wor: 1 } }],
    ['x Wör*, wör*', { words: { x: 1 }, prefixes: { wör: 2 } }],
    ['𝒳*', { words: {}, prefixes: { 𝒳: 1 } }],
    ['a*b * c *d **', { words: { a: 1, b: 1, c: 1, d: 1 } }],
    [
      'a** "b* c"',
      { words: { b: 1, c: 1 }, prefixes: { a: 1 }, must: ['b', 'c'], phrases: [['b', 'c']] },
    ],
  ])('%j means %j', (text, meaning) => {
    expect(parse(text)).toEqual(meaning)
  })

  it('may come in parts', () => {
    expect(
      parse({ query: 'a', must: ['b c'], phrase: ['d e'], prefix: ['f'], fields: ['title^2.5'] }),
    ).toEqual({
      words: { a: 1, b: 1, c: 1, d: 1, e: 1 },
      prefixes: { f: 1 },
      must: ['b', 'c', 'd', 'e'],
      phrases: [['d', 'e']],
      fields: { title: 2.5 },
    })
  })

  it('weighs a field that is really called so by 1', () => {
    expect(parse({ query: 'a', fields: ['a^2'] }).fields).toEqual({ 'a^2': 1 })
    expect(parse({ query: 'a', fields: ['a^2^3'] }).fields).toEqual({ 'a^2': 3 })
  })

  it('has no weights where all fields count as they are', () => {
    expect(parse({ query: 'a', fields: ['text', 'title^1', 'a^2'] }).fields).toBeUndefined()
  })

  it.each<[string, TextSearch, string]>([
    ['a field that is none', { query: 'a', fields: ['body'] }, 'no text index over "body"'],
    ['a field twice', { query: 'a', fields: ['text', 'text^2'] }, 'named twice'],
    ['no field', { query: 'a', fields: [] }, 'no text field'],
    ['a weight of 0', { query: 'a', fields: ['text^0'] }, 'not above 0'],
    ['a weight that is none', { query: 'a', fields: ['text^1.2.3'] }, 'not above 0'],
    ['a prefix of two words', { prefix: ['a b'] }, 'not the beginning of a word'],
  ])('refuses %s', (_what, search, message) => {
    expect(() => parse(search)).toThrow(message)
  })

  it('has a greatest length and number of words', () => {
    const { queryTextBytesMax: bytes, queryTermsMax: terms } = limits
    expect(Object.keys(parse('a '.repeat(bytes / 2)).words)).toEqual(['a'])
    expect(() => parse('a'.repeat(bytes + 1))).toThrow(`${bytes + 1} bytes`)
    expect(() => parse({ query: 'a'.repeat(bytes), must: ['b'] })).toThrow(`${bytes + 1} bytes`)
    expect(() => parse('a '.repeat(500_000))).toThrow('1000000 bytes')
    const words = Array.from({ length: terms }, (_, i) => i.toString(36)).join(' ')
    expect(Object.keys(parse(words).words)).toHaveLength(terms)
    expect(() => parse(`${words} more`)).toThrow(`${terms + 1} distinct words`)
  })
})
