import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import { type JsonObject, type JsonValue, parseJson } from '../../src/core/json.ts'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { openTextIndex, type TextIndex } from '../../src/search/text-index.ts'
import { createTextIndexBuilder } from '../../src/search/text-index-builder.ts'
import { parseTextQuery } from '../../src/search/text-query.ts'
import {
  searchText as searchQuery,
  type TextResult,
  type TextSegment,
} from '../../src/search/text-search.ts'
import { tokenize } from '../../src/search/tokenizer.ts'
import { sharedData } from '../support/shared-data.ts'
import { randomOf, seedOf } from './random.ts'

const object = (entries: Record<string, JsonValue>): JsonObject => new Map(Object.entries(entries))

const encode = (fields: readonly string[], rows: readonly JsonObject[]): Uint8Array => {
  const builder = createTextIndexBuilder(fields)
  for (const row of rows) builder.add(row)
  return builder.encode()
}

const indexOf = (fields: readonly string[], rows: readonly JsonObject[]): TextIndex =>
  openTextIndex(encode(fields, rows), rows.length)

/** A search for a plain text. */
const searchText = (request: {
  readonly segments: readonly TextSegment[]
  readonly query: string
  readonly k: number
}): TextResult => {
  const known = request.segments[0]?.index.fields ?? []
  return searchQuery({ ...request, query: parseTextQuery(request.query, known) })
}

const whole = (index: TextIndex): TextSegment => ({ index, alive: Bitset.full(index.rows) })

describe('BM25 over Cranfield', () => {
  const folder = sharedData('cranfield')

  it.skipIf(folder === undefined)(
    'finds the reference rankings, in one segment or in three',
    () => {
      const lines = (name: string): JsonObject[] =>
        readFileSync(`${folder}/${name}`, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => parseJson(line) as JsonObject)
      const docs = lines('docs.jsonl')
      const texts = new Map(
        lines('queries.jsonl').map((query) => [query.get('id'), query.get('text')]),
      )
      const reference = JSON.parse(readFileSync(`${folder}/bm25-reference.json`, 'utf8'))
      const gains = relevance(readFileSync(`${folder}/qrels.tsv`, 'utf8'))
      for (const run of reference.runs) {
        const segments = [docs.slice(0, 500), docs.slice(500, 501), docs.slice(501)]
        const one = [whole(indexOf(run.fields, docs))]
        const three = segments.map((part) => whole(indexOf(run.fields, part)))
        let sum = 0
        for (const wanted of run.per_query) {
          const query = texts.get(wanted.query) as string
          const found = searchText({ segments: one, query, k: 10 })
          const ids = found.hits.map(({ row }) => docs[row]?.get('id') as string)
          expect(ids).toEqual(wanted.top.map(([id]: [string]) => id))
          const all = searchText({ segments: one, query, k: docs.length })
          expect(all.hits).toHaveLength(wanted.retrieved)
          expect(all.hits.slice(0, 10)).toEqual(found.hits)
          expect(found.matchedAtLeast).toBeLessThanOrEqual(wanted.retrieved)
          for (const [i, { score }] of found.hits.entries()) {
            expect(Math.abs(score - wanted.top[i][1])).toBeLessThan(1e-6)
          }
          const split = searchText({ segments: three, query, k: 10 })
          const starts = [0, 500, 501]
          expect(split.hits.map(({ segment, row }) => (starts[segment] as number) + row)).toEqual(
            found.hits.map(({ row }) => row),
          )
          expect(split.hits.map(({ score }) => score)).toEqual(found.hits.map(({ score }) => score))
          sum += ndcg(ids, gains.get(wanted.query) ?? new Set())
        }
        expect(Math.abs(sum / run.per_query.length - run.ndcg10)).toBeLessThan(0.0005)
      }
    },
  )
})

describe('searchText', () => {
  it('equals a plain BM25 over random rows, dead rows, filters and segments', () => {
    const random = randomOf(seedOf())
    const words = ['a', 'b', 'c', 'dd', 'ee', 'é', 'z9']
    const text = () =>
      Array.from({ length: random.whole(0, 9) }, () => random.pick(words)).join(' ')
    for (let round = 0; round < 60; round++) {
      const parts = Array.from({ length: random.whole(1, 3) }, () =>
        Array.from({ length: random.whole(1, 40) }, () =>
          object({ t: text(), u: [text(), text()] }),
        ),
      )
      const segments = parts.map((rows) => {
        const alive = Bitset.full(rows.length)
        const allowed = new Bitset(rows.length)
        for (let row = 0; row < rows.length; row++) {
          if (random.whole(0, 3) === 0) alive.remove(row)
          else if (random.whole(0, 2) > 0) allowed.add(row)
        }
        return { index: indexOf(['t', 'u'], rows), alive, ...(round % 2 === 0 ? {} : { allowed }) }
      })
      const query = `${text()} ${random.pick(words)}`
      const k = random.whole(1, 20)
      const wanted = plainRanking(parts, segments, query)
      const found = searchText({ segments, query, k })
      expect(found.matchedAtLeast).toBeLessThanOrEqual(wanted.length)
      const scores = found.hits.map(({ score }) => score)
      expect(scores).toHaveLength(Math.min(k, wanted.length))
      for (const [i, hit] of found.hits.entries()) {
        expect(hit.score).toBeCloseTo(wanted[i]?.score as number, 10)
      }
    }
  })

  it('orders equal scores by segment, then row', () => {
    const rows = [object({ t: 'same words' }), object({ t: 'same words' })]
    const segment = whole(indexOf(['t'], rows))
    const { hits } = searchText({ segments: [segment, segment], query: 'words', k: 3 })
    expect(hits.map(({ segment, row }) => [segment, row])).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
    ])
  })

  it('counts a repeated word of the query each time', () => {
    const rows = [object({ t: 'a x y' }), object({ t: 'b x y' }), object({ t: 'x' })]
    const segments = [whole(indexOf(['t'], rows))]
    const once = searchText({ segments, query: 'a', k: 1 }).hits[0]?.score as number
    const twice = searchText({ segments, query: 'a A', k: 1 }).hits[0]?.score as number
    expect(twice).toBe(2 * once)
  })

  it('finds nothing where there is nothing', () => {
    const nothing = { hits: [], matchedAtLeast: 0 }
    const empty = whole(indexOf(['t'], [object({}), object({ t: null }), object({ t: true })]))
    const some = whole(indexOf(['t'], [object({ t: 'word' })]))
    expect(searchText({ segments: [], query: 'word', k: 5 })).toEqual(nothing)
    expect(searchText({ segments: [empty], query: 'word', k: 5 })).toEqual(nothing)
    expect(searchText({ segments: [some], query: '…', k: 5 })).toEqual(nothing)
    expect(searchText({ segments: [some], query: 'other', k: 5 })).toEqual(nothing)
    const dead = { index: some.index, alive: new Bitset(1) }
    expect(searchText({ segments: [dead], query: 'word', k: 5 })).toEqual(nothing)
  })

  it('reads words that are names of the language itself', () => {
    const rows = [object({ t: '__proto__ constructor' }), object({ t: 'toString' })]
    const segments = [whole(indexOf(['t'], rows))]
    for (const [query, row] of [
      ['constructor', 0],
      ['proto', 0],
      ['tostring', 1],
    ] as const) {
      expect(searchText({ segments, query, k: 5 }).hits.map((hit) => hit.row)).toEqual([row])
    }
    expect(searchText({ segments, query: 'valueOf', k: 5 }).hits).toEqual([])
  })

  it('takes a query of the greatest length and refuses one byte more', () => {
    const segments = [whole(indexOf(['t'], [object({ t: 'a' })]))]
    const longest = 'a '.repeat(limits.queryTextBytesMax / 2)
    expect(searchText({ segments, query: longest, k: 1 }).matchedAtLeast).toBe(1)
    expect(() => searchText({ segments, query: `${longest}a`, k: 1 })).toThrow(
      `${limits.queryTextBytesMax + 1} bytes`,
    )
  })
})

describe('the bytes', () => {
  const rows = Array.from({ length: 30 }, (_, i) =>
    object({ t: `alpha ${'beta '.repeat(i % 4)} w${i}`, u: i % 3 === 0 ? 'alpha' : null }),
  )
  const bytes = encode(['t', 'u'], rows)

  it('are the same for the same rows', () => {
    expect(Buffer.compare(bytes, encode(['t', 'u'], rows))).toBe(0)
  })

  it('keep lengths and counts of any size', () => {
    const long = [object({ t: 'w '.repeat(70_000) }), object({ t: 'w '.repeat(300) }), object({})]
    const index = indexOf(['t'], long)
    expect([...index.lengths()]).toEqual([70_000, 300, 0])
    const found = index.postings('w')?.open(0)
    const first = (array?: Uint32Array) => [...(array ?? [])].slice(0, found?.count)
    expect([first(found?.rows), first(found?.counts(0))]).toEqual([
      [0, 1],
      [70_000, 300],
    ])
  })

  it('are refused for another number of rows', () => {
    expect(() => openTextIndex(bytes, 31)).toThrow('another number of rows')
  })

  it('never crash, cut or flipped: rows of the segment, or INTEGRITY', () => {
    let refused = 0
    const use = (damaged: Uint8Array): void => {
      try {
        const index = openTextIndex(damaged, rows.length)
        const { hits } = searchText({ segments: [whole(index)], query: 'alpha beta w7', k: 50 })
        for (const { row } of hits) expect(row).toBeLessThan(rows.length)
      } catch (error) {
        expect(error).toBeInstanceOf(AkidbError)
        expect((error as AkidbError).code).toMatch(/^(INTEGRITY|FORMAT_VERSION)$/)
        refused++
      }
    }
    for (let length = 0; length < bytes.length; length++) use(bytes.slice(0, length))
    expect(refused).toBe(bytes.length)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7))
      use(flipped)
    }
    expect(refused).toBeGreaterThan(bytes.length + 100)
  })
})

function relevance(tsv: string): Map<string, Set<string>> {
  const gains = new Map<string, Set<string>>()
  const [head, ...lines] = tsv.trim().split('\n')
  const columns = (head as string).trim().split('\t')
  for (const line of lines) {
    const cells = line.trim().split('\t')
    const cell = (name: string): string => cells[columns.indexOf(name)] as string
    if (Number(cell('relevance')) <= 0) continue
    const known = gains.get(cell('query')) ?? new Set()
    gains.set(cell('query'), known.add(cell('doc')))
  }
  return gains
}

function ndcg(ids: readonly string[], relevant: ReadonlySet<string>): number {
  const discount = (rank: number): number => 1 / Math.log2(rank + 2)
  const gain = ids.reduce((sum, id, i) => sum + (relevant.has(id) ? discount(i) : 0), 0)
  const best = Array.from({ length: Math.min(10, relevant.size) }, (_, i) => discount(i))
  return gain / best.reduce((sum, value) => sum + value, 0)
}

function plainRanking(
  parts: readonly (readonly JsonObject[])[],
  segments: readonly TextSegment[],
  query: string,
): { segment: number; row: number; score: number }[] {
  const documents = parts.flatMap((rows, segment) =>
    rows.flatMap((payload, row) => {
      const texts = [payload.get('t'), ...(payload.get('u') as readonly JsonValue[])]
      const alive = segments[segment]?.alive.has(row) === true
      return alive ? [{ segment, row, tokens: tokenize(texts.join(' ')) }] : []
    }),
  )
  const average = documents.reduce((sum, { tokens }) => sum + tokens.length, 0) / documents.length
  return documents
    .map(({ segment, row, tokens }) => {
      let score = 0
      for (const word of tokenize(query)) {
        const df = documents.filter((other) => other.tokens.includes(word)).length
        const count = tokens.filter((token) => token === word).length
        const idf = Math.log(1 + (documents.length - df + 0.5) / (df + 0.5))
        score += (idf * count) / (count + 1.2 * (0.25 + (0.75 * tokens.length) / average) || 1)
      }
      return { segment, row, score }
    })
    .filter(({ segment, row, score }) => {
      const { allowed } = segments[segment] as TextSegment
      return score > 0 && (allowed === undefined || allowed.has(row))
    })
    .sort((a, b) => b.score - a.score)
}
