import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SearchRequest } from '../../src/db/api/api.ts'
import type { OpenCollection } from '../../src/db/collection.ts'
import { openQueries } from '../../src/db/search/query-file.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { sharedData } from '../support/shared-data.ts'
import { inputFile, lines, randomNumbers, suiteStore, tempStore } from '../support/temp-store.ts'

type Metric = 'cosine' | 'dot' | 'l2'

const jsonlOf = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** By the definitions of the contract, in float64. */
function measure(metric: Metric, a: ArrayLike<number>, b: ArrayLike<number>) {
  let [dot, normA, normB, squares] = [0, 0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0]
    dot += x * y
    normA += x * x
    normB += y * y
    squares += (x - y) ** 2
  }
  if (metric === 'l2') return { score: 1 / (1 + squares), distance: squares }
  if (metric === 'dot') return { score: dot, distance: -dot }
  const score = normA * normB === 0 ? 0 : dot / Math.sqrt(normA * normB)
  return { score, distance: 1 - score }
}

describe.each<Metric>(['cosine', 'dot', 'l2'])('a search by %s', (metric) => {
  it('ranks as brute force does, with the scores of the contract', async () => {
    const seed = Date.now() % 1_000_000
    const random = randomNumbers(seed)
    const vector = (): number[] => Array.from({ length: 12 }, () => Math.fround(random() - 0.5))
    const rows = Array.from({ length: 700 }, (_, n) => ({ id: `r${n}`, vector: vector(), n }))
    const store = await tempStore()
    const docs = store.prospect('docs')
    const file = await inputFile(dirname(store.url), 'a.jsonl', jsonlOf(rows))
    await docs.ingest({ inputs: [file], metric })
    await docs.delete({ filter: { must: [{ key: 'n', range: { lt: 100 } }] } })
    const late = { id: 'late', vector: Float32Array.from(vector()), payload: { n: 1_000 } }
    await docs.upsert([late])
    const live = [...rows.slice(100), { ...late, n: 1_000 }]
    for (let round = 0; round < 20; round++) {
      const query = Float32Array.from(vector())
      const from = Math.floor(random() * 900)
      const expected = live
        .filter(({ n }) => n >= from)
        .map((row) => ({ id: row.id, ...measure(metric, query, row.vector) }))
        .toSorted((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1))
        .slice(0, 10)
      const filter = { must: [{ key: 'n', range: { gte: from } }] }
      const { hits } = await docs.search({ vector: query, k: 10, filter, exact: round % 2 === 0 })
      const why = `seed ${seed}, round ${round}`
      expect(
        hits.map(({ id }) => id),
        why,
      ).toEqual(expected.map(({ id }) => id))
      for (const [i, hit] of hits.entries()) {
        expect(hit.score, why).toBeCloseTo(expected[i]?.score ?? Number.NaN, 9)
        if (metric !== 'dot') {
          expect(hit.distance, why).toBeCloseTo(expected[i]?.distance ?? Number.NaN, 9)
        }
      }
    }
  })
})

describe('a vector search', () => {
  async function fill(store: OpenedStore): Promise<OpenCollection> {
    const file = await inputFile(dirname(store.url), 'a.jsonl', lines('r', 30))
    const docs = store.prospect('docs')
    await docs.ingest({ inputs: [file] })
    return docs
  }
  const small = suiteStore(fill)

  it('by a record leaves that record out, in segments and in the log', async () => {
    const docs = await fill(await tempStore())
    const { hits } = await docs.search({ id: 'r5', k: 30 })
    expect(hits).toHaveLength(29)
    expect(hits.map(({ id }) => id)).not.toContain('r5')
    await docs.upsert([{ id: 'new', vector: Float32Array.of(1, 5, 0.5, -1) }])
    const near = await docs.search({ id: 'new', k: 1 })
    expect(near.hits).toMatchObject([{ id: 'r5' }])
    expect(near.hits[0]?.score).toBeCloseTo(1, 12)
    await expect(docs.search({ id: 'nobody' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('puts records of one distance in bytewise order of their ids', async () => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 1, metric: 'l2' })
    const ids = ['b', 'a', '10', '9', 'é', 'Z', 'a\u0301']
    for (const id of ids) {
      await docs.upsert([{ id, vector: Float32Array.of(1) }])
      await docs.flush()
    }
    const bytewise = ids.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
    const { hits } = await docs.search({ vector: Float32Array.of(1), k: 10 })
    expect(hits.map(({ id }) => id)).toEqual(bytewise)
    const first = await docs.search({ vector: Float32Array.of(1), k: 3 })
    expect(first.hits.map(({ id }) => id)).toEqual(bytewise.slice(0, 3))
  })

  it('answers a zero vector without NaN', async () => {
    const docs = await small()
    const { hits } = await docs.search({ vector: new Float32Array(4), k: 3 })
    expect(hits).toHaveLength(3)
    for (const { score, distance } of hits) {
      expect(Number.isFinite(score)).toBe(true)
      expect(Number.isFinite(distance)).toBe(true)
    }
  })

  it.each<[string, SearchRequest, string]>([
    ['nothing to search by', {}, 'USAGE'],
    ['another dimension', { vector: new Float32Array(3) }, 'DIMENSION_MISMATCH'],
    ['NaN', { vector: Float32Array.of(1, 2, 3, Number.NaN) }, 'BAD_INPUT'],
    ['Infinity', { vector: Float32Array.of(1, 2, 3, Number.POSITIVE_INFINITY) }, 'BAD_INPUT'],
    ['a text that is none', { text: { must: 'x' } as object }, 'BAD_INPUT'],
    ['k 0', { id: 'r1', k: 0 }, 'BAD_INPUT'],
    ['k 1.5', { id: 'r1', k: 1.5 }, 'BAD_INPUT'],
    ['k 10,001', { id: 'r1', k: 10_001 }, 'LIMIT'],
    ['ef 0', { id: 'r1', ef: 0 }, 'BAD_INPUT'],
    ['ef over its limit', { id: 'r1', ef: 32_769 }, 'LIMIT'],
    ['a weight above 1', { id: 'r1', fusion: { kind: 'linear', vectorWeight: 1.1 } }, 'USAGE'],
    ['text without a text index', { text: 'odd' }, 'USAGE'],
    ['a filter that is none', { id: 'r1', filter: 5 }, 'USAGE'],
    [
      'a condition of a later version',
      { id: 'r1', filter: { must: [{ key: 'x', geo_radius: {} }] } },
      'USAGE',
    ],
  ])('refuses %s', async (_what, request, code) => {
    await expect((await small()).search(request)).rejects.toMatchObject({ code })
  })

  it('takes k from 1 to 10,000 and gives what there is', async () => {
    const docs = await small()
    expect((await docs.search({ id: 'r1', k: 1 })).hits).toHaveLength(1)
    expect((await docs.search({ id: 'r1', k: 10_000 })).hits).toHaveLength(29)
    const none = await docs.search({ id: 'r1', filter: { tag: 'neither' } })
    expect(none.hits).toEqual([])
  })

  it('brings payload, vector and source along as asked', async () => {
    const docs = await small()
    const [plain] = (await docs.search({ id: 'r1', k: 1, withPayload: false })).hits
    expect(Object.keys(plain ?? {}).toSorted()).toEqual(['distance', 'id', 'score'])
    const all = { withVector: true, withSource: true }
    const [full] = (await docs.search({ vector: Float32Array.of(1, 2, 0.5, -1), k: 1, ...all }))
      .hits
    expect(full).toMatchObject({ id: 'r2', source: { file: 'a.jsonl', row: 3 } })
    expect(full?.vector).toEqual(Float32Array.of(1, 2, 0.5, -1))
    expect(full?.payload?.get('n')).toBe(2)
  })

  it('can be aborted', async () => {
    const docs = await small()
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(docs.search({ id: 'r1', signal })).rejects.toThrow('enough')
  })
})

describe('a hybrid search', () => {
  it('fuses both rankings, by rank and by weight', async () => {
    const store = await tempStore()
    const docs = store.prospect('docs')
    const rows = [
      { id: 'both', vector: [1, 0.1], text: 'red fox' },
      { id: 'near', vector: [1, 0], text: 'grey wolf' },
      { id: 'words', vector: [0, 1], text: 'red red fox' },
    ]
    const file = await inputFile(dirname(store.url), 'a.jsonl', jsonlOf(rows))
    await docs.ingest({ inputs: [file], textColumns: ['text'] })
    const query = { vector: Float32Array.of(1, 0), text: 'red fox' }
    const byRank = await docs.search({ ...query, fusion: { kind: 'rrf', k: 60 } })
    expect(byRank.hits.map(({ id }) => id)).toEqual(['words', 'both', 'near'])
    const scores = [1 / 61 + 1 / 63, 1 / 62 + 1 / 62, 1 / 61]
    for (const [i, score] of scores.entries()) expect(byRank.hits[i]?.score).toBeCloseTo(score, 12)
    expect(byRank.plan).toMatchObject({
      kind: 'hybrid',
      vector: { kind: 'vector' },
      text: { kind: 'text' },
    })
    const top = async (vectorWeight: number): Promise<string | undefined> =>
      (await docs.search({ ...query, k: 1, fusion: { kind: 'linear', vectorWeight } })).hits[0]?.id
    expect(await top(1)).toBe('near')
    expect(await top(0)).toBe('words')
    const byRecord = await docs.search({ id: 'both', text: 'red fox' })
    expect(byRecord.hits.map(({ id }) => id)).toEqual(['words', 'near'])
    const filtered = await docs.search({ ...query, filter: { must_not: [{ has_id: ['both'] }] } })
    expect(filtered.hits.map(({ id }) => id).toSorted()).toEqual(['near', 'words'])
  })
})

interface FilterTruth {
  readonly filter: { readonly field: string; readonly op: string; readonly value: unknown }
  readonly matching: number
  readonly neighbors: Record<string, { id: string }[]>
}

describe('on LaBSE', () => {
  const path = sharedData('labse-public.parquet')
  const json = <T>(name: string): T =>
    JSON.parse(readFileSync(join(dirname(path ?? ''), name), 'utf8')) as T

  it.skipIf(path === undefined)('finds what is near, with filters of every share too', async () => {
    const store = await tempStore()
    const docs = store.prospect('labse')
    await docs.ingest({ inputs: [path ?? ''] })
    const queries: { query: string; vector: Float32Array }[] = []
    const file = {
      path: join(dirname(path ?? ''), 'labse-queries.parquet'),
      dimension: 768,
      text: false,
    }
    const { rows } = await openQueries(file)
    for await (const { query, vector } of rows) if (vector) queries.push({ query, vector })
    expect(queries).toHaveLength(500)
    const recall = async (
      neighbors: Record<string, string[]>,
      options: { filter?: unknown; k: number },
    ): Promise<number> => {
      let [found, wanted] = [0, 0]
      for (const { query, vector } of queries) {
        const truth = neighbors[query]?.slice(0, 10)
        if (truth === undefined) continue
        const { hits } = await docs.search({ vector, withPayload: false, ...options })
        expect(hits).toHaveLength(options.k)
        wanted += truth.length
        found += hits.slice(0, 10).filter(({ id }) => truth.includes(id)).length
      }
      return found / wanted
    }
    const truth = json<{ neighbors: Record<string, string[]> }>('labse-truth.json')
    expect(await recall(truth.neighbors, { k: 10 })).toBeGreaterThanOrEqual(0.97)
    const { filters } = json<{ filters: FilterTruth[] }>('labse-filter-truth.json')
    for (const { filter, matching, neighbors } of filters) {
      const condition =
        filter.op === '==' ? { match: { value: filter.value } } : { range: { gte: filter.value } }
      const ids = Object.fromEntries(
        Object.entries(neighbors).map(([query, list]) => [query, list.map(({ id }) => id)]),
      )
      const options = { filter: { must: [{ key: filter.field, ...condition }] } }
      const k = Math.min(matching, 10)
      expect(await recall(ids, { ...options, k }), JSON.stringify(filter)).toBeGreaterThanOrEqual(
        0.95,
      )
    }
    const [first] = queries
    const exact = await docs.search({ vector: first?.vector ?? new Float32Array(), exact: true })
    expect(exact.hits.map(({ id }) => id).toSorted()).toEqual(
      truth.neighbors[first?.query ?? '']?.slice(0, 10).toSorted(),
    )
  })
})

describe('on Cranfield', () => {
  const path = sharedData('cranfield')

  it.skipIf(path === undefined)('BM25 reaches the reference', async () => {
    const folder = path ?? ''
    const store = await tempStore()
    const docs = store.prospect('cranfield')
    await docs.ingest({ inputs: [join(folder, 'docs.csv')], textColumns: ['text'] })
    const relevant = new Map<string, Set<string>>()
    for (const line of readFileSync(join(folder, 'qrels.tsv'), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(1)) {
      const [query = '', doc = '', relevance] = line.split('\t')
      const known = relevant.get(query) ?? new Set()
      relevant.set(query, Number(relevance) > 0 ? known.add(doc) : known)
    }
    const gain = (ranks: readonly number[]): number =>
      ranks.reduce((sum, rank) => sum + 1 / Math.log2(rank + 2), 0)
    let sum = 0
    const { rows } = await openQueries({ path: join(folder, 'queries.jsonl'), text: true })
    for await (const { query, text = '' } of rows) {
      const judged = relevant.get(query) ?? new Set()
      const { hits } = await docs.search({ text, k: 10, withPayload: false })
      const ranks = hits.flatMap(({ id }, rank) => (judged.has(id) ? [rank] : []))
      const best = Array.from({ length: Math.min(10, judged.size) }, (_, rank) => rank)
      sum += best.length === 0 ? 0 : gain(ranks) / gain(best)
    }
    expect(Math.abs(sum / relevant.size - 0.3492)).toBeLessThanOrEqual(0.005)
  })
})
