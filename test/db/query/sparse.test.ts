import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import { inputFile, opened, randomNumbers, tempStore } from '../../support/temp-store.ts'
import { byScore, idsOf, seedOf } from './sample-collection.ts'

type Pairs = ReadonlyMap<number, number>

const vectorOf = (pairs: Pairs) => ({
  indices: Uint32Array.from(pairs.keys()),
  values: Float32Array.from(pairs.values()),
})

function randomPairs(random: () => number, most: number): Pairs {
  const pairs = new Map<number, number>()
  const count = Math.floor(random() * most)
  for (let i = 0; i < count; i++) {
    const index = random() < 0.1 ? 4_294_967_295 : Math.floor(random() * 60)
    pairs.set(index, Math.fround(Math.floor(random() * 9) / 4 - 0.5))
  }
  return pairs
}

const bruteForce = (rows: ReadonlyMap<string, Pairs>, query: Pairs, k: number) =>
  [...rows]
    .flatMap(([id, pairs]) => {
      const shared = [...query].filter(([i, x]) => x !== 0 && (pairs.get(i) ?? 0) !== 0)
      if (shared.length === 0) return []
      return [{ id, score: shared.reduce((sum, [i, x]) => sum + x * (pairs.get(i) ?? 0), 0) }]
    })
    .toSorted(byScore)
    .slice(0, k)

describe('sparse vectors', () => {
  it('are searched exactly in each form of a file, through all that befalls them', async () => {
    const seed = seedOf()
    const random = randomNumbers(seed)
    const store = await tempStore()
    const docs = store.prospect('docs')
    const rows = new Map<string, Pairs>()
    const lines = Array.from({ length: 300 }, (_, i) => {
      const pairs = randomPairs(random, 12)
      rows.set(`r${i}`, pairs)
      const asPairs = { indices: [...pairs.keys()], values: [...pairs.values()] }
      const splade = i % 2 === 0 ? asPairs : Object.fromEntries(pairs)
      return `${JSON.stringify({ id: `r${i}`, splade, even: i % 2 === 0 })}\n`
    })
    const folder = dirname(store.url)
    for (const [name, part] of [
      ['a.jsonl', lines.slice(0, 150)],
      ['b.jsonl', lines.slice(150)],
    ] as const) {
      const file = await inputFile(folder, name, part.join(''))
      await docs.ingest({ inputs: [file], sparseColumns: ['splade'] })
    }
    const check = async (collection: typeof docs = docs): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        const query = randomPairs(random, 20)
        const even = round % 3 === 0
        const some = even
          ? new Map([...rows].filter(([id]) => Number(id.slice(1)) % 2 === 0))
          : rows
        const { hits, plan } = await collection.query({
          query: { sparse: vectorOf(query), using: 'splade' },
          k: 25,
          withPayload: false,
          ...(even && { filter: { even: true } }),
        })
        const wanted = bruteForce(some, query, 25)
        expect(idsOf(hits), `seed ${seed}`).toEqual(idsOf(wanted))
        expect(hits.map(({ score }) => score)).toEqual(wanted.map(({ score }) => score))
        expect(plan.kind).toBe('sparse')
      }
    }
    await check()
    await docs.delete({ ids: ['r3', 'r200'] })
    for (const id of ['r3', 'r200']) rows.delete(id)
    const changed = randomPairs(random, 12)
    await docs.upsert([
      { id: 'r4', sparse: { splade: vectorOf(changed) }, payload: { even: true } },
      { id: 'r500', payload: { even: true, splade: { '7': 2 } } },
    ])
    rows.set('r4', changed)
    rows.set('r500', new Map([[7, 2]]))
    await check()
    await docs.flush()
    await check()
    await docs.compact()
    await check()
    expect((await store.check({ readData: true })).problems).toEqual([])
    await store.close()
    const again = await opened(store.url, 'read')
    await check(await again.collection('docs'))
    const filled = await (await again.collection('docs')).count({
      filter: { must_not: [{ is_empty: { key: 'splade' } }] },
    })
    expect(filled.count).toBe(rows.size)
  })

  it('come from CSV and Parquet too, and take part in trees', async () => {
    const store = await tempStore()
    const folder = dirname(store.url)
    const csv = await inputFile(folder, 'a.csv', 'id,s\na,"{""1"":1,""2"":0.5}"\nb,\n')
    const docs = store.prospect('docs')
    await docs.ingest({ inputs: [csv], sparseColumns: ['s'] })
    const parquet = join(folder, 'b.parquet')
    const s = [
      { indices: [1, 9], values: [2, 1] },
      { indices: [], values: [] },
    ]
    const buffer = parquetWriteBuffer({
      columnData: [
        { name: 'id', data: ['c', 'd'], type: 'STRING' },
        { name: 's', data: s, type: 'JSON' },
      ],
    })
    await writeFile(parquet, Buffer.from(buffer))
    await docs.ingest({ inputs: [parquet] })
    const sparse = { indices: Uint32Array.of(1, 2), values: Float32Array.of(1, 1) }
    const near = { query: { sparse, using: 's' } }
    const { hits } = await docs.query({ ...near, withPayload: false })
    expect(hits).toEqual([
      { id: 'c', score: 2 },
      { id: 'a', score: 1.5 },
    ])
    const tree = { prefetch: [{ query: { sample: {} } }], ...near, scoreThreshold: 1.75 }
    expect(idsOf((await docs.query(tree)).hits)).toEqual(['c'])
    expect((await docs.info()).schema.vectors).toEqual({ s: { kind: 'sparse' } })
  })

  it('that are none are rejected, and asked for wrongly refused', async () => {
    const store = await tempStore()
    const bad = [
      '{"indices":[1],"values":[1,2]}',
      '{"indices":[1,1],"values":[1,2]}',
      '{"indices":[-1],"values":[1]}',
      '{"indices":[4294967296],"values":[1]}',
      '{"indices":[1],"values":[1e300]}',
      '{"a":1}',
      '{"1":"x"}',
      '[1,2]',
      '7',
    ]
    const text = bad.map((s, i) => `{"id":"b${i}","s":${s}}\n`).join('')
    const file = await inputFile(dirname(store.url), 'a.jsonl', `{"id":"a","s":{"1":1}}\n${text}`)
    const docs = store.prospect('docs')
    const report = await docs.ingest({ inputs: [file], sparseColumns: ['s'], maxRejects: 20 })
    expect(report).toMatchObject({ inserted: 1, rejected: bad.length })
    const one = Float32Array.of(1)
    const wrong: [object, string][] = [
      [
        { sparse: { indices: Uint32Array.of(1, 1), values: Float32Array.of(1, 1) }, using: 's' },
        'BAD_INPUT',
      ],
      [
        { sparse: { indices: Uint32Array.of(1), values: Float32Array.of(NaN) }, using: 's' },
        'BAD_INPUT',
      ],
      [{ sparse: { indices: [1], values: [1] }, using: 's' }, 'BAD_INPUT'],
      [{ sparse: { indices: Uint32Array.of(1), values: one }, using: 't' }, 'USAGE'],
      [{ sparse: { indices: Uint32Array.of(1), values: one } }, 'USAGE'],
      [
        {
          sparse: { indices: new Uint32Array(70_000), values: new Float32Array(70_000) },
          using: 's',
        },
        'LIMIT',
      ],
    ]
    for (const [query, code] of wrong) {
      await expect(docs.query({ query: query as never }), code).rejects.toMatchObject({ code })
    }
    const upsert = (record: object) => docs.upsert([{ id: 'x', ...record }])
    const pairs = { indices: Uint32Array.of(1), values: one }
    for (const record of [
      { payload: { s: 7 } },
      { sparse: { t: pairs } },
      { sparse: { s: pairs }, payload: { s: null } },
    ]) {
      await expect(upsert(record)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    }
    const other = docs.ingest({ inputs: [file], sparseColumns: ['t'], again: true })
    await expect(other).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    for (const sparseFields of [[''], ['s', 's']]) {
      const made = store.createCollection('c', { sparseFields })
      await expect(made).rejects.toMatchObject({ code: 'USAGE' })
    }
  })
})
