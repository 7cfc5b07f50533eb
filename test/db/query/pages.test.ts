import { describe, expect, it } from 'vitest'
import type { QueryNode, ScrollRequest } from '../../../src/db/api/api.ts'
import { byBytes, idsOf, type Row, sampleCollection, sharedSamples } from './sample-collection.ts'

const FI = { lang: 'fi' }
const bare = { withPayload: false } as const
const sample = sharedSamples()

describe('groups', () => {
  const valuesOf = (row: Row, key: 'lang' | 'tags' | 'n'): (string | number)[] =>
    [...new Set([row[key] ?? []].flat())] as (string | number)[]

  it('are the best ones and the best hits of each, however far down they lie', async () => {
    const { docs, rows, vector, seed } = await sample()
    const byId = new Map(rows.map((row) => [row.id, row]))
    const nodes: QueryNode[] = [
      { query: { vector: vector() } },
      { query: { text: 'fox whale' }, filter: FI },
      { query: { orderBy: { key: 'n', direction: 'desc' } } },
      {
        query: { fusion: { kind: 'rrf' } },
        prefetch: [
          { query: { vector: vector() }, k: 200 },
          { query: { text: 'red' }, k: 200 },
        ],
      },
    ]
    for (const [number, node] of nodes.entries()) {
      const all = (await docs.query({ ...node, k: 1_000, ef: 1_000, ...bare })).hits
      for (const [key, groups, groupSize] of [
        ['lang', 2, 3],
        ['tags', 10, 60],
        ['n', 30, 2],
        ['n', 60, 40],
        // These two need more than one search: rare values, and rooms that stay empty.
        ['n', 51, 1],
        ['n', 3, 8],
        ['lang', 4, 1],
      ] as const) {
        const wanted = new Map<string | number, string[]>()
        for (const { id } of all) {
          for (const value of valuesOf(byId.get(id) as Row, key)) {
            if (!wanted.has(value) && wanted.size === groups) continue
            const ids = wanted.get(value) ?? []
            wanted.set(value, ids.length < groupSize ? [...ids, id] : ids)
          }
        }
        const found = await docs.query({ ...node, groupBy: key, groups, groupSize, ...bare })
        const shown = found.groups?.map(({ value, hits }) => [value, idsOf(hits)])
        expect(shown, `seed ${seed}, node ${number}, ${key}`).toEqual([...wanted])
        expect(idsOf(found.hits)).toEqual([...wanted.values()].flat())
      }
    }
  })
})

describe('counts and facets', () => {
  it('are exact', async () => {
    const { docs, rows, seed } = await sample()
    expect((await docs.count()).count).toBe(rows.length)
    const filter = {
      must: [{ key: 'n', range: { gte: 3 } }],
      must_not: [{ key: 'lang', match: { value: 'sv' } }],
    }
    const passes = ({ n, lang }: Row): boolean => n !== undefined && n >= 3 && lang !== 'sv'
    expect((await docs.count({ filter })).count).toBe(rows.filter(passes).length)
    for (const key of ['lang', 'tags', 'n', 'nobody'] as const) {
      for (const part of [undefined, filter]) {
        const looked = part === undefined ? rows : rows.filter(passes)
        const counts = new Map<string | number, number>()
        for (const row of looked) {
          const values = key === 'nobody' ? [] : [row[key] ?? []].flat()
          for (const value of new Set(values)) {
            counts.set(value as string, (counts.get(value as string) ?? 0) + 1)
          }
        }
        const order = (a: string | number, b: string | number): number =>
          typeof a === typeof b
            ? typeof a === 'number'
              ? a - Number(b)
              : byBytes(a, String(b))
            : typeof a === 'number'
              ? -1
              : 1
        const wanted = [...counts]
          .map(([value, count]) => ({ value, count }))
          .toSorted((a, b) => b.count - a.count || order(a.value, b.value))
        const facet = await docs.facet({ key, limit: 30, ...(part && { filter: part }) })
        const why = `seed ${seed}, ${key}`
        expect(facet.values, why).toEqual(wanted.slice(0, 30))
        expect(facet, why).toMatchObject({ distinct: counts.size, count: looked.length })
      }
    }
  })

  it('are of the state that is asked for', async () => {
    const { docs, rows } = await sampleCollection()
    await docs.snapshots.create('friday')
    await docs.delete({ filter: FI })
    const fi = rows.filter(({ lang }) => lang === 'fi').length
    expect((await docs.count({ filter: FI })).count).toBe(0)
    expect((await docs.count({ filter: FI, asOf: 'friday' })).count).toBe(fi)
    const [first] = (await docs.facet({ key: 'lang', asOf: 'friday', filter: FI })).values
    expect(first).toEqual({ value: 'fi', count: fi })
  })
})

describe('a scroll', () => {
  it('gives every record once, in its order, whatever is written meanwhile', async () => {
    const { docs, rows, seed } = await sampleCollection()
    const requests: [ScrollRequest, (row: Row) => boolean, ((row: Row) => number)?][] = [
      [{ k: 37 }, () => true],
      [{ k: 50, filter: FI }, ({ lang }) => lang === 'fi'],
      [{ k: 9, orderBy: { key: 'n' } }, ({ n }) => n !== undefined, ({ n = 0 }) => n],
      [
        { k: 8, orderBy: { key: 'n', direction: 'desc', startFrom: 5 }, filter: FI },
        ({ n = 9, lang }) => n <= 5 && lang === 'fi',
        ({ n = 0 }) => -n,
      ],
    ]
    for (const [request, passes, rank = () => 0] of requests) {
      const wanted = rows
        .filter(passes)
        .toSorted((a, b) => rank(a) - rank(b) || byBytes(a.id, b.id))
      let page = await docs.scroll(request)
      const { stateRoot } = page
      const found = [...page.records]
      while (page.cursor !== undefined) {
        expect(page.records).toHaveLength(request.k ?? 0)
        const first = page.records[0]?.id ?? ''
        if (found.length === request.k) await docs.delete({ ids: [first] })
        await docs.upsert([{ id: `!${found.length}`, vector: Float32Array.of(1, 1, 1, 1, 1, 1) }])
        page = await docs.scroll({ ...request, cursor: page.cursor })
        expect(page.stateRoot).toBe(stateRoot)
        found.push(...page.records)
      }
      expect(idsOf(found), `seed ${seed}`).toEqual(idsOf(wanted))
      expect(found[0]?.payload.get('text')).toBe(wanted[0]?.text)
      await docs.revert(stateRoot)
    }
  })

  it('says that its state is gone', async () => {
    const { docs, store } = await sampleCollection()
    const { cursor, stateRoot } = await docs.scroll({ k: 5 })
    await docs.delete({ filter: FI })
    await store.gc({ keepMs: 0 })
    const again = docs.scroll({ k: 5, cursor: cursor ?? '' })
    await expect(again).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(stateRoot),
      hint: expect.stringContaining('without a cursor'),
    })
  })

  it('takes a cursor for the request that gave it alone', async () => {
    const { docs } = await sampleCollection()
    const { cursor = '' } = await docs.scroll({ k: 5 })
    const strange: [ScrollRequest, string][] = [
      [{ cursor, filter: FI }, 'USAGE'],
      [{ cursor, orderBy: { key: 'n' } }, 'USAGE'],
      [{ cursor, asOf: '1' }, 'USAGE'],
      [{ cursor: 'x' }, 'BAD_INPUT'],
      [{ cursor: '' }, 'BAD_INPUT'],
      [{ cursor: Buffer.from('{"v":2}').toString('base64url') }, 'BAD_INPUT'],
      [{ cursor: 'A'.repeat(5_000) }, 'LIMIT'],
    ]
    for (const [request, code] of strange) {
      await expect(docs.scroll(request), code).rejects.toMatchObject({ code })
    }
    const small = await docs.scroll({ k: 2, cursor })
    expect(small.records).toHaveLength(2)
  })
})
