import { describe, expect, it } from 'vitest'
import type { QueryNode, RankBy } from '../../../src/db/api/api.ts'
import {
  byBytes,
  byScore,
  idsOf,
  type Row,
  sampleCollection,
  sharedSamples,
  similarity,
} from './sample-collection.ts'

const FI = { must: [{ key: 'lang', match: { value: 'fi' } }] }
const bare = { withPayload: false } as const
const sample = sharedSamples()

describe('a query of one node', () => {
  it('is the search of that name', async () => {
    const { docs, vector, seed } = await sample()
    const query = vector()
    const nodes: [RankBy, object][] = [
      [{ vector: query }, { vector: query }],
      [{ text: 'red fox' }, { text: 'red fox' }],
      [{ id: (await docs.scroll({ k: 1 })).records[0]?.id ?? '' }, {}],
    ]
    nodes[2] = [nodes[2]?.[0] as RankBy, nodes[2]?.[0] as object]
    for (const [query, search] of nodes) {
      for (const filter of [undefined, FI]) {
        const found = await docs.query({ query, k: 20, ...(filter && { filter }) })
        const wanted = await docs.search({ ...search, k: 20, ...(filter && { filter }) })
        expect(found.hits, `seed ${seed}`).toEqual(wanted.hits)
        expect(found.stateRoot).toBe(wanted.stateRoot)
      }
    }
  })

  it('leaves out hits at the beginning and below a score', async () => {
    const { docs, vector } = await sample()
    const query = { vector: vector() }
    const all = (await docs.query({ query, k: 40, ...bare })).hits
    const page = await docs.query({ query, k: 10, offset: 25, ...bare })
    expect(page.hits).toEqual(all.slice(25, 35))
    const scoreThreshold = all[12]?.score as number
    const near = await docs.query({ query, k: 40, scoreThreshold, ...bare })
    expect(near.hits).toEqual(all.filter(({ score }) => score >= scoreThreshold))
    expect(near.plan).toMatchObject({ kind: 'vector', k: 40, scoreThreshold, found: 13 })
  })
})

describe('a tree', () => {
  it('ranks again only what its children found', async () => {
    const { docs, rows, vector, seed } = await sample('l2')
    const first = vector()
    const second = vector()
    const prefetch: QueryNode[] = [
      { query: { vector: first }, k: 30 },
      { query: { text: 'whale' }, k: 15 },
    ]
    const found = new Set<string>()
    for (const { query, k } of prefetch) {
      for (const { id } of (await docs.query({ query, k: k ?? 0, ...bare })).hits) found.add(id)
    }
    const wanted = rows
      .filter(({ id }) => found.has(id))
      .map(({ id, vector }) => ({ id, score: similarity('l2', second, vector) }))
      .toSorted(byScore)
    const result = await docs.query({ prefetch, query: { vector: second }, k: 20, ...bare })
    expect(idsOf(result.hits), `seed ${seed}`).toEqual(idsOf(wanted).slice(0, 20))
    expect(result.plan).toMatchObject({ prefetch: [{ kind: 'vector' }, { kind: 'text' }] })
    const words = await docs.query({ prefetch, query: { text: 'red' }, k: 50, ...bare })
    const all = await docs.query({ query: { text: 'red' }, k: 1_000, ...bare })
    expect(words.hits).toEqual(all.hits.filter(({ id }) => found.has(id)).slice(0, 50))
  })

  it('gives its filter to all that is below it', async () => {
    const { docs, rows, vector, seed } = await sample()
    const query = vector()
    const node = { prefetch: [{ query: { vector: query }, k: 1_000 }], query: { sample: {} } }
    const { hits } = await docs.query({ ...node, k: 1_000, filter: FI, ...bare })
    const wanted = rows.filter(({ lang }) => lang === 'fi').map(({ id }) => id)
    expect(idsOf(hits).toSorted(byBytes), `seed ${seed}`).toEqual(wanted.toSorted(byBytes))
    const inner = await docs.query({
      prefetch: [{ query: { vector: query }, k: 5, filter: { n: 3 } }],
      query: { text: 'red fox blue whale grey wolf green frog' },
      filter: FI,
      k: 1_000,
      ...bare,
    })
    const both = rows.filter(({ lang, n }) => lang === 'fi' && n === 3)
    expect(inner.hits).toHaveLength(Math.min(5, both.length))
  })

  it('fuses by rank, by stretched scores and by their spread', async () => {
    const { docs, vector, seed } = await sample('dot')
    const nodes = [
      { query: { vector: vector() }, k: 40 },
      { query: { text: 'fox' }, k: 25 },
    ]
    const lists = await Promise.all(nodes.map((node) => docs.query({ ...node, ...bare })))
    const weights = [0.7, 2]
    const fusions = [
      { kind: 'rrf' as const, k: 5, weights },
      { kind: 'linear' as const, weights },
      { kind: 'dbsf' as const, weights },
      { kind: 'dbsf' as const },
    ]
    for (const fusion of fusions) {
      const scores = new Map<string, number>()
      for (const [i, { hits }] of lists.entries()) {
        const weight = 'weights' in fusion ? (weights[i] ?? 0) : 1
        const numbers = hits.map(({ score }) => score)
        const mean = numbers.reduce((sum, score) => sum + score, 0) / numbers.length
        const spread = numbers.reduce((sum, score) => sum + (score - mean) ** 2, 0)
        const sigma = Math.sqrt(spread / (numbers.length - 1))
        const [low, high] = [Math.min(...numbers), Math.max(...numbers)]
        for (const [rank, { id, score }] of hits.entries()) {
          const part = {
            rrf: 1 / (5 + (rank + 1) / weight),
            linear: weight * (high === low ? 1 : (score - low) / (high - low)),
            dbsf: weight * (high === low ? 0.5 : (score - (mean - 3 * sigma)) / (6 * sigma)),
          }[fusion.kind]
          scores.set(id, (scores.get(id) ?? 0) + part)
        }
      }
      const found = await docs.query({ prefetch: nodes, query: { fusion }, k: 100, ...bare })
      expect(found.hits.length, `seed ${seed}`).toBe(scores.size)
      for (const { id, score } of found.hits) expect(score).toBeCloseTo(scores.get(id) ?? -1, 9)
      expect(found.hits).toEqual(found.hits.toSorted(byScore))
    }
  })

  it('of a fusion is the hybrid search', async () => {
    const { docs, vector } = await sample()
    const query = vector()
    const depth = { k: 50, ef: 128 }
    const prefetch = [
      { query: { vector: query }, ...depth },
      { query: { text: 'fox' }, ...depth },
    ]
    for (const kind of ['rrf', 'linear', 'dbsf'] as const) {
      const weights = kind === 'rrf' ? [0.6, 1.4] : [0.3, 0.7]
      const tree = await docs.query({ prefetch, query: { fusion: { kind, weights } }, ...bare })
      const fusion = { kind, vectorWeight: 0.3 }
      const hybrid = await docs.search({ vector: query, text: 'fox', fusion, ...bare })
      expect(idsOf(tree.hits)).toEqual(idsOf(hybrid.hits))
      for (const [i, { score }] of tree.hits.entries()) {
        expect(score).toBeCloseTo(hybrid.hits[i]?.score ?? -1, 12)
      }
    }
  })
})

describe.each(['cosine', 'dot', 'l2'] as const)('a recommendation under %s', (metric) => {
  const wantedOf = (rows: readonly Row[], named: readonly string[], score: (row: Row) => number) =>
    rows
      .filter(({ id }) => !named.includes(id))
      .map((row) => ({ id: row.id, score: score(row) }))
      .toSorted(byScore)

  it('ranks by the formulas of its strategy', async () => {
    const { docs, rows, vector, seed } = await sample(metric)
    const [like, unlike] = [rows[3] as Row, rows[7] as Row]
    const extra = vector()
    const recommend = { positive: [like.id, extra], negative: [unlike.id] }
    const near = (row: Row) =>
      Math.max(similarity(metric, like.vector, row.vector), similarity(metric, extra, row.vector))
    const far = (row: Row) => similarity(metric, unlike.vector, row.vector)
    const squash = (x: number) => 0.5 * (x / (1 + Math.abs(x)) + 1)
    const sum = (row: Row) =>
      similarity(metric, like.vector, row.vector) + similarity(metric, extra, row.vector) - far(row)
    const wanted = {
      best_score: (row: Row) => (near(row) > far(row) ? squash(near(row)) : -squash(far(row))),
      sum_scores: sum,
    }
    for (const strategy of ['best_score', 'sum_scores'] as const) {
      const { hits } = await docs.query({
        query: { recommend: { ...recommend, strategy } },
        k: 50,
        ...bare,
      })
      const expected = wantedOf(rows, [like.id, unlike.id], wanted[strategy])
      expect(idsOf(hits), `seed ${seed}, ${strategy}`).toEqual(idsOf(expected).slice(0, 50))
      for (const [i, { score }] of hits.entries()) {
        expect(score).toBeCloseTo(expected[i]?.score ?? Number.NaN, 9)
      }
    }
    const parts = [like.vector, [...extra], unlike.vector].map((vector) => {
      const norm = metric === 'cosine' ? Math.hypot(...vector) : 1
      return vector.map((x) => x / norm)
    })
    // Twice the mean of the two positive ones, less the negative one.
    const middle = Array.from(extra, (_, i) => {
      const [one = 0, two = 0, other = 0] = parts.map((part) => part[i] ?? 0)
      return one + two - other
    })
    const expected = wantedOf(rows, [like.id, unlike.id], (row) =>
      similarity(metric, middle, row.vector),
    )
    const { hits } = await docs.query({ query: { recommend }, k: 50, ...bare })
    expect(idsOf(hits), `seed ${seed}`).toEqual(idsOf(expected).slice(0, 50))
  })

  it('does with what is not wanted alone', async () => {
    const { docs, rows, seed } = await sample(metric)
    const unlike = rows[5] as Row
    const recommend = { negative: [unlike.id], strategy: 'sum_scores' as const }
    const { hits } = await docs.query({ query: { recommend }, k: 10, ...bare })
    const score = (row: Row) => -similarity(metric, unlike.vector, row.vector)
    const expected = wantedOf(rows, [unlike.id], score)
    expect(idsOf(hits), `seed ${seed}`).toEqual(idsOf(expected).slice(0, 10))
  })

  it('chooses hits that differ', async () => {
    const { docs, rows, vector, seed } = await sample(metric)
    const query = vector()
    const scale = (s: number) => (metric === 'l2' ? 1 / (1 - s) : s)
    const score = (a: ArrayLike<number>, b: ArrayLike<number>) => scale(similarity(metric, a, b))
    const near = wantedOf(rows, [], (row) => score(query, row.vector)).slice(0, 60)
    const vectorOf = new Map(rows.map(({ id, vector }) => [id, vector]))
    for (const diversity of [0, 0.4, 1]) {
      const left = [...near]
      const chosen: string[] = []
      while (chosen.length < 12) {
        const marginal = left.map(({ id, score: relevance }) => {
          if (chosen.length === 0) return relevance
          const like = chosen.map((other) =>
            score(vectorOf.get(other) ?? [], vectorOf.get(id) ?? []),
          )
          return (1 - diversity) * relevance - diversity * Math.max(...like)
        })
        const best = marginal.indexOf(Math.max(...marginal))
        chosen.push(left.splice(best, 1)[0]?.id ?? '')
      }
      const mmr = { diversity, candidates: 60 }
      const found = await docs.query({ query: { vector: query, mmr }, k: 12, ...bare })
      expect(idsOf(found.hits), `seed ${seed}, diversity ${diversity}`).toEqual(chosen)
      expect(found.plan).toMatchObject({ kind: 'vector', mmr })
    }
  })
})

describe('an order by a field', () => {
  it('is that of numbers and texts, of the lowest value of an array', async () => {
    const { docs, rows, seed } = await sample()
    const rank = (value: string | number): number => (typeof value === 'number' ? 0 : 1)
    const compare = (a: string | number, b: string | number): number =>
      rank(a) - rank(b) || (typeof a === 'string' ? byBytes(a, String(b)) : a - Number(b))
    for (const key of ['n', 'lang', 'tags'] as const) {
      for (const direction of ['asc', 'desc'] as const) {
        const sign = direction === 'asc' ? 1 : -1
        const wanted = rows
          .flatMap((row) => {
            const value = row[key]
            if (value === undefined) return []
            const values = [value].flat() as (string | number)[]
            return [{ id: row.id, value: values.toSorted((a, b) => sign * compare(a, b))[0] ?? 0 }]
          })
          .toSorted((a, b) => sign * compare(a.value, b.value) || byBytes(a.id, b.id))
        const orderBy = { key, direction }
        const { hits } = await docs.query({ query: { orderBy }, k: 500, ...bare })
        expect(idsOf(hits), `seed ${seed}, ${key} ${direction}`).toEqual(idsOf(wanted))
        const some = await docs.query({ query: { orderBy }, k: 7, offset: 11, ...bare })
        expect(idsOf(some.hits)).toEqual(idsOf(wanted).slice(11, 18))
      }
    }
  })

  it('goes on from a value, and compares times as times', async () => {
    const { docs, rows, seed } = await sample()
    const startFrom = '2024-03-01T00:00:00Z'
    const orderBy = { key: 'at', as: 'datetime' as const, startFrom }
    const { hits } = await docs.query({ query: { orderBy }, k: 500, ...bare })
    const wanted = rows
      .flatMap(({ id, at }) => (at === undefined ? [] : [{ id, ms: Date.parse(at) }]))
      .filter(({ ms }) => ms >= Date.parse(startFrom))
      .toSorted((a, b) => a.ms - b.ms || byBytes(a.id, b.id))
    expect(idsOf(hits), `seed ${seed}`).toEqual(idsOf(wanted))
    const down = { key: 'n', direction: 'desc' as const, startFrom: 10 }
    const numbers = await docs.query({ query: { orderBy: down }, k: 500, filter: FI })
    const values = numbers.hits.map(({ payload }) => payload?.get('n') as number)
    const count = rows.filter(({ lang, n = 99 }) => lang === 'fi' && n <= 10).length
    expect(values).toHaveLength(count)
    expect(values).toEqual(values.toSorted((a, b) => b - a))
  })
})

describe('a sample', () => {
  it('is the same at every call, another for another seed, and stays as others come', async () => {
    const { docs, rows } = await sampleCollection()
    const sample = async (seed: number, k: number) =>
      idsOf((await docs.query({ query: { sample: { seed } }, k, ...bare })).hits)
    const one = await sample(1, 30)
    expect(await sample(1, 30)).toEqual(one)
    expect(await sample(2, 30)).not.toEqual(one)
    expect((await sample(1, 10)).every((id) => one.includes(id))).toBe(true)
    expect((await sample(2 ** 40 + 1, 30)).toSorted()).not.toEqual(one.toSorted())
    const all = await sample(1, 1_000)
    expect(all.toSorted(byBytes)).toEqual(idsOf(rows).toSorted(byBytes))
    await docs.upsert([{ id: 'new', vector: Float32Array.of(1, 0, 0, 0, 0, 0) }])
    expect((await sample(1, 1_000)).filter((id) => id !== 'new')).toEqual(all)
  })

  it('takes every record with like chance', async () => {
    const { docs, rows } = await sample()
    const seen = new Map<string, number>()
    for (let seed = 0; seed < 60; seed++) {
      const { hits } = await docs.query({ query: { sample: { seed } }, k: 40, ...bare })
      for (const id of idsOf(hits)) seen.set(id, (seen.get(id) ?? 0) + 1)
    }
    // 60 · 40 draws of 400 records: 6 each; never to be seen has a chance of e^-6 a record.
    expect(seen.size).toBeGreaterThan(rows.length * 0.97)
    expect(Math.max(...seen.values())).toBeLessThan(25)
  })
})
