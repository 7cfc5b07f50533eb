import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import type { JsonObject } from '../../src/core/json.ts'
import { openTextIndex, type TextIndex } from '../../src/search/text-index.ts'
import { createTextIndexBuilder } from '../../src/search/text-index-builder.ts'
import { MemoryTextIndex } from '../../src/search/text-memory.ts'
import { parseTextQuery, type TextSearch } from '../../src/search/text-query.ts'
import { searchText, type TextSegment } from '../../src/search/text-search.ts'
import { type PlainSegment, plainSearch } from './plain-bm25.ts'
import { randomOf, type SearchRandom, seedOf } from './random.ts'

/** A word of 300, the first ones far more often; many begin alike. */
const wordOf = (random: SearchRandom): string => {
  const most = random.pick([2, 8, 40, 300])
  return `${random.pick(['a', 'b'])}${random.whole(1, most).toString(36)}`
}

const textOf = (random: SearchRandom, most: number): string =>
  Array.from({ length: random.whole(0, most) }, () => wordOf(random)).join(' ')

const rowsOf = (random: SearchRandom, count: number): JsonObject[] => {
  const most = random.pick([3, 30])
  return Array.from(
    { length: count },
    () =>
      new Map([
        ['title', textOf(random, 3)],
        ['text', textOf(random, most)],
      ]),
  )
}

const built = (
  fields: readonly string[],
  rows: readonly JsonObject[],
  positions: boolean,
): TextIndex => {
  const builder = createTextIndexBuilder(fields, { positions })
  for (const row of rows) builder.add(row)
  return openTextIndex(builder.encode(), rows.length)
}

const grown = (fields: readonly string[], rows: readonly JsonObject[]): TextIndex => {
  const index = new MemoryTextIndex(fields)
  for (const row of rows) index.add(row)
  return index
}

const someOf = (random: SearchRandom, rows: number, share: number): Bitset => {
  const set = new Bitset(rows)
  for (let row = 0; row < rows; row++) if (random.whole(1, 100) <= share) set.add(row)
  return set
}

const queryOf = (random: SearchRandom, fields: readonly string[]): TextSearch => {
  const words = (most: number): string =>
    Array.from({ length: random.whole(1, most) }, () => wordOf(random)).join(' ')
  const choices: (readonly string[] | undefined)[] = [
    undefined,
    ['title^2', 'text'],
    ['text^0.5', 'title^1.25'],
    ['title'],
    ['text', 'title'],
  ]
  const weighted = random
    .pick(choices)
    ?.filter((field) => fields.includes(field.replace(/\^.*/, '')))
  return {
    query: words(6),
    ...(random.whole(0, 3) === 0 ? { must: [wordOf(random)] } : {}),
    ...(random.whole(0, 3) === 0 ? { phrase: [words(2)] } : {}),
    ...(random.whole(0, 3) === 0 ? { prefix: [random.pick(['a', 'b1', 'a1', 'b', 'zz'])] } : {}),
    ...(weighted === undefined || weighted.length === 0 ? {} : { fields: weighted }),
  }
}

describe('a pruned search', () => {
  it('finds what scoring every row finds, bit by bit', { timeout: 60_000 }, () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 12; round++) {
      const fields = random.pick([['text'], ['title', 'text']])
      const parts: PlainSegment[] = Array.from({ length: random.whole(1, 3) }, () => {
        const payloads = rowsOf(random, random.pick([1, 129, 700, 3_000]))
        const alive = random.pick([100, 100, 99, 60])
        const allowed = random.pick([undefined, 50, 1])
        return {
          payloads,
          alive: someOf(random, payloads.length, alive),
          allowed: allowed === undefined ? undefined : someOf(random, payloads.length, allowed),
        }
      })
      const segments: TextSegment[] = parts.map(({ payloads, alive, allowed }, i) => {
        const index = built(fields, payloads, true)
        return { index, alive, allowed, ...(i % 2 === 0 ? {} : { documents: new Map() }) }
      })
      for (let i = 0; i < 12; i++) {
        const asked = queryOf(random, fields)
        const query = parseTextQuery(asked, fields)
        const k = random.pick([1, 3, 10, 50, 100_000])
        const wanted = plainSearch(parts, query, fields)
        const found = searchText({ segments, query, k })
        expect(found.hits, JSON.stringify(asked)).toEqual(wanted.slice(0, k))
        expect(found.matchedAtLeast).toBeLessThanOrEqual(wanted.length)
      }
    }
  })

  it('finds what it finds where nothing can be left out', { timeout: 60_000 }, () => {
    const random = randomOf(seedOf())
    // A search for as many as there are rows never has a worst hit that others must beat.
    for (const fields of [['text'], ['title', 'text']]) {
      // Long and short rows in runs, so that windows differ.
      const rows = Array.from({ length: 20_000 }, (_, row) => {
        const most = [2, 12, 5, 30][(row >>> 11) % 4] as number
        return new Map(fields.map((field) => [field, textOf(random, most)]))
      })
      const alive = someOf(random, rows.length, 98)
      const segments = [{ index: built(fields, rows, true), alive }]
      let [pruned, whole] = [0, 0]
      for (let i = 0; i < 60; i++) {
        const query = parseTextQuery(queryOf(random, fields), fields)
        const all = searchText({ segments, query, k: rows.length })
        for (const k of [1, 10]) {
          const found = searchText({ segments, query, k })
          expect(found.hits).toEqual(all.hits.slice(0, k))
          pruned += found.matchedAtLeast
          whole += all.matchedAtLeast
        }
        expect(all.matchedAtLeast).toBeGreaterThanOrEqual(all.hits.length)
      }
      // About half of the rows that match; which words are asked for is left to chance.
      expect(pruned).toBeLessThan(whole * 0.75)
    }
  })

  it('finds the same in rows that came one by one', () => {
    const random = randomOf(seedOf())
    const fields = ['title', 'text']
    for (const count of [1, 130, 900]) {
      const rows = rowsOf(random, count)
      const alive = someOf(random, count, 90)
      const stored = { index: built(fields, rows, false), alive }
      const memory = { index: grown(fields, rows), alive }
      expect([...memory.index.lengths()]).toEqual([...stored.index.lengths()])
      for (let i = 0; i < 30; i++) {
        const query = parseTextQuery(queryOf(random, fields), fields)
        expect(searchText({ segments: [memory], query, k: 20 })).toEqual(
          searchText({ segments: [stored], query, k: 20 }),
        )
      }
    }
  })

  it('passes over blocks that cannot hold a hit', () => {
    const rows = Array.from({ length: 20_000 }, (_, row) => {
      const rare = row === 5 ? 'rare rare rare' : ''
      return new Map([['text', `often ${rare} ${'x '.repeat(row % 7)}`]])
    })
    const index = built(['text'], rows, false)
    const segments = [{ index, alive: Bitset.full(rows.length) }]
    const query = parseTextQuery('often rare', ['text'])
    const { hits, matchedAtLeast } = searchText({ segments, query, k: 1 })
    expect(hits[0]?.row).toBe(5)
    expect(matchedAtLeast).toBeLessThan(3_000)
  })

  it('refuses a prefix with which too many terms begin', () => {
    const rows = Array.from({ length: 1_100 }, (_, i) => new Map([['text', `w${i} x${i % 1_024}`]]))
    const query = (text: string) => parseTextQuery(text, ['text'])
    for (const index of [built(['text'], rows, false), grown(['text'], rows)]) {
      const segments = [{ index, alive: Bitset.full(rows.length) }]
      expect(searchText({ segments, query: query('x*'), k: 2_000 }).hits).toHaveLength(1_100)
      expect(() => searchText({ segments, query: query('w*'), k: 1 })).toThrow('"w*"')
    }
    // Terms of all segments count together.
    const parts = [rows.slice(0, 600), rows.slice(600)].map((part) => ({
      index: built(['text'], part, false),
      alive: Bitset.full(part.length),
    }))
    expect(() => searchText({ segments: parts, query: query('w*'), k: 1 })).toThrow('"w*"')
  })

  it('orders equal scores as it is told, whatever was passed over', () => {
    const rows = Array.from({ length: 5_000 }, (_, i) => new Map([['text', i % 5 ? 'a b' : 'a']]))
    const segments = [{ index: built(['text'], rows, false), alive: Bitset.full(rows.length) }]
    const query = parseTextQuery('a', ['text'])
    const ties = (_a: number, rowA: number, _b: number, rowB: number) => rowB - rowA
    const { hits } = searchText({ segments, query, k: 3, ties })
    expect(hits.map(({ row }) => row)).toEqual([4_995, 4_990, 4_985])
  })
})

describe('phrases', () => {
  const rows = ['new york city', 'york new', 'new  "york', 'new yorker york', 'york, new york'].map(
    (text) => new Map([['text', text]]),
  )
  const query = parseTextQuery('"New York"', ['text'])
  const find = (positions: boolean): number[] => {
    const segments = [{ index: built(['text'], rows, positions), alive: Bitset.full(rows.length) }]
    return searchText({ segments, query, k: 10 })
      .hits.map(({ row }) => row)
      .sort()
  }

  it('are words one after the other where places are stored', () => {
    expect(find(true)).toEqual([0, 2, 4])
  })

  it('are words in one field where they are not', () => {
    expect(find(false)).toEqual([0, 1, 2, 3, 4])
  })

  it('do not go from one field into the next', () => {
    const row = new Map([
      ['title', 'new'],
      ['text', 'york'],
    ])
    const fields = ['title', 'text']
    for (const positions of [true, false]) {
      const segments = [{ index: built(fields, [row], positions), alive: Bitset.full(1) }]
      expect(searchText({ segments, query, k: 1 }).hits).toEqual([])
    }
  })
})
