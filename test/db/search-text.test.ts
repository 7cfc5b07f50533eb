import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/core/json.ts'
import { logText } from '../../src/db/search/log-text.ts'
import { LogRows } from '../../src/db/segment/log-rows.ts'
import type { Collection, TextSearch } from '../../src/index.ts'
import { MemoryTextIndex } from '../../src/search/text-memory.ts'
import { inputFile, randomNumbers, tempStore } from '../support/temp-store.ts'

const idsOf = async (
  docs: Collection,
  text: string | TextSearch,
  more: object = {},
): Promise<string[]> => {
  const { hits } = await docs.search({ text, k: 20, withPayload: false, ...more })
  return hits.map(({ id }) => id)
}

/** A store's collection of texts by id; `stored` ones are in segments, a file each. */
async function textsOf(
  texts: { readonly stored: readonly object[][]; readonly logged?: readonly object[] },
  options: { readonly textPositions?: boolean; readonly textFields?: readonly string[] } = {},
): Promise<Collection> {
  const store = await tempStore()
  const docs = await store.createCollection('docs', { textFields: ['text'], ...options })
  for (const [i, rows] of texts.stored.entries()) {
    const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
    const file = await inputFile(dirname(store.url), `${i}.jsonl`, lines)
    await docs.ingest({ inputs: [file] })
  }
  const rows = (texts.logged ?? []).map((row) => {
    const { id, ...payload } = row as { id: string }
    return { id, payload }
  })
  if (rows.length > 0) await docs.upsert(rows)
  return docs
}

const row = (id: string, text: string, title?: string): object =>
  title === undefined ? { id, text } : { id, text, title }

describe('a search for words', () => {
  it('orders equal scores by id, in segments, between them and in the log', async () => {
    const docs = await textsOf({
      stored: [
        [row('m', 'a b'), row('c', 'a b'), row('z', 'a b')],
        [row('é', 'a b'), row('b', 'a b')],
      ],
      logged: [row('d', 'a b'), row('a', 'a b')],
    })
    expect(await idsOf(docs, 'a')).toEqual(['a', 'b', 'c', 'd', 'm', 'z', 'é'])
    expect(await idsOf(docs, 'b', { k: 3 })).toEqual(['a', 'b', 'c'])
  })

  it('weighs fields', async () => {
    const stored = [
      [row('title', 'x y z', 'fox x y'), row('text', 'fox fox z', 'x y z'), row('no', 'x', 'y')],
    ]
    const docs = await textsOf({ stored }, { textFields: ['title', 'text'] })
    expect(await idsOf(docs, 'fox')).toEqual(['text', 'title'])
    expect(await idsOf(docs, { query: 'fox', fields: ['title^4', 'text'] })).toEqual([
      'title',
      'text',
    ])
    expect(await idsOf(docs, { query: 'fox', fields: ['title'] })).toEqual(['title'])
    const { plan } = await docs.search({ text: { query: 'fox', fields: ['title^4', 'text'] } })
    expect(plan).toMatchObject({ kind: 'text', fields: { title: 4, text: 1 }, matchedAtLeast: 2 })
    await expect(docs.search({ text: { query: 'fox', fields: ['body'] } })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('refuses a text of a megabyte', async () => {
    const docs = await textsOf({ stored: [[row('a', 'a')]] })
    await expect(docs.search({ text: 'a '.repeat(500_000) })).rejects.toMatchObject({
      code: 'LIMIT',
    })
    const words = Array.from({ length: 5_000 }, (_, i) => i.toString(36)).join(' ')
    await expect(docs.search({ text: words })).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('finds beginnings of words and words that must be there, in the log too', async () => {
    const docs = await textsOf({
      stored: [[row('a', 'river stone'), row('b', 'riverbank'), row('c', 'stone')]],
      logged: [row('d', 'rivers and stone'), row('e', 'bread')],
    })
    expect((await idsOf(docs, 'river*')).sort()).toEqual(['a', 'b', 'd'])
    expect((await idsOf(docs, { query: 'river*', must: ['stone'] })).sort()).toEqual([
      'a',
      'c',
      'd',
    ])
    expect(
      await idsOf(docs, 'bre* stone', { filter: { must_not: [{ has_id: ['a', 'c', 'd'] }] } }),
    ).toEqual(['e'])
  })
})

describe.each([true, false])('phrases, where places are stored: %s', (textPositions) => {
  it('are words one after the other, in segments and in the log', async () => {
    const docs = await textsOf(
      {
        stored: [
          [row('a', 'new york city'), row('b', 'york new'), row('c', 'New, York!')],
          [row('d', 'a new york')],
        ],
        logged: [row('e', 'in new york'), row('f', 'new in york'), row('b', 'york new york')],
      },
      { textPositions },
    )
    expect((await idsOf(docs, '"new york"')).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect((await idsOf(docs, 'city "york"')).length).toBe(6)
    expect((await idsOf(docs, { phrase: ['new york'], query: 'city' }))[0]).toBe('a')
    expect(await idsOf(docs, '"york city" "new york"')).toEqual(['a'])
    const wanted = { filter: { must: [{ has_id: ['b', 'd'] }] } }
    expect((await idsOf(docs, '"new york"', wanted)).sort()).toEqual(['b', 'd'])
    expect((await docs.info()).schema.text.positions).toBe(textPositions ? true : undefined)
  })

  it('are found behind many rows with the same words', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => row(`r${i}`, `york new x${i}`))
    rows.push(row('it', 'york york york york york new york and much else that is long'))
    const docs = await textsOf({ stored: [rows] }, { textPositions })
    const { hits, plan } = await docs.search({ text: '"new york"', k: 2 })
    expect(hits.map(({ id }) => id)).toEqual(['it'])
    expect(plan.phrasesRead).toBe(textPositions ? undefined : 301)
  })
})

describe('the text of the open log', () => {
  const core = () => ({}) as Parameters<typeof logText>[0]
  const payload = (text: string) => parseJson(JSON.stringify({ text })) as Map<string, string>
  const put = (log: LogRows, id: string, text: string): void =>
    log.put({ id, vector: undefined, payload: payload(text) })
  const found = (log: LogRows, owner: Parameters<typeof logText>[0], word: string): string[] => {
    const { index, alive, row } = logText(owner, log, ['text'])
    const postings = index.postings(word)
    if (postings === undefined) return []
    return Array.from({ length: postings.blocks }, (_, number) => {
      const block = postings.open(number)
      return [...block.rows.subarray(0, block.count)]
    })
      .flat()
      .filter((number) => alive.has(number))
      .map((number) => row(number).id)
      .sort()
  }

  it('follows the rows, in older states of the log too', () => {
    const owner = core()
    const log = new LogRows()
    put(log, 'a', 'one two')
    put(log, 'b', 'two')
    const before = log.snapshot()
    expect(found(log, owner, 'two')).toEqual(['a', 'b'])
    put(log, 'a', 'three')
    log.remove('b')
    put(log, 'c', 'two')
    expect(found(log, owner, 'two')).toEqual(['c'])
    expect(found(log, owner, 'three')).toEqual(['a'])
    expect(found(before, owner, 'two')).toEqual(['a', 'b'])
    expect(found(log.snapshot(), owner, 'two')).toEqual(['c'])
  })

  it('reads each row once, and forgets those that are gone in time', () => {
    const owner = core()
    const log = new LogRows()
    let read = 0
    for (let i = 0; i < 500; i++) {
      put(log, `r${i % 10}`, `word w${i}`)
      const { index } = logText(owner, log.snapshot(), ['text'])
      expect(index).toBeInstanceOf(MemoryTextIndex)
      read = index.rows
      expect(found(log, owner, 'word')).toHaveLength(Math.min(10, i + 1))
    }
    expect(read).toBe(500)
    for (let i = 500; i < 3_000; i++) {
      put(log, `r${i % 10}`, `word w${i}`)
      read = logText(owner, log, ['text']).index.rows
      expect(read).toBeLessThanOrEqual(1_024 + 2 * 10 + 10)
    }
    expect(found(log, owner, 'word')).toHaveLength(10)
    expect(found(log, owner, 'w1')).toEqual([])
  })

  it('scores as the same rows in a segment', async () => {
    const random = randomNumbers(7)
    const words = ['a', 'b', 'c', 'dd', 'ee']
    const rows = Array.from({ length: 200 }, (_, i) => {
      const count = Math.floor(random() * 8)
      const text = Array.from({ length: count }, () => words[Math.floor(random() * 5)]).join(' ')
      return row(`r${i}`, text)
    })
    const stored = await textsOf({ stored: [rows] })
    const logged = await textsOf({ stored: [], logged: rows })
    const mixed = await textsOf({
      stored: [rows.slice(50, 150)],
      logged: [...rows.slice(0, 50), ...rows.slice(150)],
    })
    for (const text of ['a', 'a dd', 'ee* c', '"a b" c', 'a b c dd ee']) {
      const request = { text, k: 50, withPayload: false }
      const { hits } = await stored.search(request)
      expect((await logged.search(request)).hits).toEqual(hits)
      expect((await mixed.search(request)).hits).toEqual(hits)
    }
  })
})
