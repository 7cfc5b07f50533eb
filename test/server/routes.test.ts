import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseJson } from '../../src/core/json.ts'
import type { Store } from '../../src/db/api/api.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { serveCollections } from '../../src/server/collections.ts'
import { appOn, makeStoreFolder, openForWriting, removeFolder, send } from './support.ts'

let made = 0
let folder: string
let store: OpenedStore

beforeAll(async () => {
  folder = await makeStoreFolder()
  store = await openForWriting(folder)
})

afterAll(async () => {
  await store.close()
  await removeFolder(folder)
})

const post = (path: string, body: unknown, headers?: Record<string, string>) =>
  send(appOn(store).fetch, ['POST', path], body, headers)
const get = (path: string) => send(appOn(store).fetch, ['GET', path])

/** A collection of 2-d vectors with two records. */
async function filled(): Promise<string> {
  const name = `filled${made++}`
  await post('/collections', { name, vector_dim: 2, distance: 'cosine', text_fields: ['title'] })
  const vectors = [
    { id: 'a', vector: [1, 0], payload: { title: 'red fox', year: 1962 } },
    { id: 'b', vector: [0, 1], payload: { title: 'blue whale', year: 2024 } },
  ]
  expect((await post(`/collections/${name}/vectors`, { vectors })).json).toEqual({ upserted: 2 })
  return name
}

describe('POST /collections', () => {
  it.each([
    ['cosine', 'cosine'],
    ['Cosine', 'cosine'],
    ['DOT', 'dot'],
    ['L2', 'l2'],
    ['Euclid', 'l2'],
    ['EUCLIDEAN', 'l2'],
  ])('takes the distance "%s" as %s', async (distance, metric) => {
    const name = `distance${made++}`
    const { status, json } = await post('/collections', { name, vector_dim: 3, distance })
    expect(status).toBe(201)
    expect(json).toMatchObject({ name, vector_dim: 3, distance: metric, count: 0, version: 1 })
  })

  it('makes a collection of text alone where no dimension is given', async () => {
    const body = { name: 'texts', text_fields: ['t'] }
    expect((await post('/collections', body)).json).toMatchObject({
      vector_dim: null,
      distance: null,
      text_fields: ['t'],
    })
  })

  it('makes one with positions of words and codes of a form', async () => {
    const body = { name: 'binary', vector_dim: 256, text_fields: ['t'], text_positions: true }
    await post('/collections', { ...body, quantization: 'binary' })
    const made = { text_fields: ['t'], text_positions: true, quantization: 'binary' }
    expect((await get('/collections/binary')).json).toMatchObject(made)
    await post('/collections', { name: 'half', vector_dim: 2, storage: 'f16' })
    expect((await get('/collections/half')).json).toMatchObject({ storage: 'f16' })
    await post('/collections', { name: 'plain', vector_dim: 256 })
    expect((await get('/collections/plain')).json).toMatchObject({
      ...{ text_positions: false, quantization: 'int8', storage: 'f32' },
    })
  })

  it('refuses a name that is taken, in any case', async () => {
    await post('/collections', { name: 'taken', vector_dim: 2 })
    for (const name of ['taken', 'TAKEN']) {
      const { status, json } = await post('/collections', { name, vector_dim: 2 })
      expect(status).toBe(409)
      expect(json.error).toMatchObject({ code: 'EXISTS' })
    }
  })

  it.each([
    [{ vector_dim: 2 }, 400, /\$\.name/],
    [{ name: 'x', vector_dim: 2, distance: 'hamming' }, 400, /\$\.distance.*cosine/],
    [{ name: 'x', vector_dim: 0 }, 400, /\$\.vector_dim/],
    [{ name: 'x', vector_dim: 2.5 }, 400, /\$\.vector_dim/],
    [{ name: 'x', vector_dim: 2, quantization: 'f8' }, 400, /\$\.quantization.*pq/],
    [{ name: 'x', vector_dim: 2, quantization: 'pq' }, 400, /at least 65/],
    [{ name: 'x', vector_dim: 2, text_positions: true }, 400, /there is none/],
    [{ name: 'x', vector_dim: 16_385 }, 413, /dimensionMax/],
    [{ name: 'x', size: 2 }, 400, /\$\.size.*no such field/],
    [{ name: '../x', vector_dim: 2 }, 400, /no collection name/],
    [[], 400, /an object/],
  ])('refuses %j', async (body, status, message) => {
    const reply = await post('/collections', body)
    expect(reply.status).toBe(status)
    expect(reply.json.error?.['message']).toMatch(message)
  })
})

describe('GET and DELETE /collections', () => {
  it('list, show and drop', async () => {
    const name = await filled()
    const { json } = await get('/collections')
    const listed = json['collections'] as Record<string, unknown>[]
    expect(listed.find((one) => one['name'] === name)).toMatchObject({ vector_dim: 2, count: 2 })
    expect((await get(`/collections/${name}`)).json).toMatchObject({ name, count: 2 })
    const dropped = await send(appOn(store).fetch, ['DELETE', `/collections/${name}`])
    expect(dropped.json).toEqual({ name, rows: 2 })
    for (const path of [`/collections/${name}`, '/collections/never']) {
      const reply = await get(path)
      expect(reply.status).toBe(404)
      expect(reply.json.error).toMatchObject({ code: 'NOT_FOUND' })
    }
  })

  it('keep nothing of names that are none', async () => {
    for (const name of ['..%2f..%2flocal', '%00', 'a%2fb', '%ff']) {
      const { status } = await get(`/collections/${name}`)
      expect([400, 404]).toContain(status)
    }
  })
})

describe('POST /collections/:c/vectors', () => {
  it('replaces by id, and takes an integer for the text of its digits', async () => {
    const name = await filled()
    const vectors = [
      { id: 7, vector: [1, 1] },
      { id: '7', vector: [1, 2] },
      { id: 'a', vector: [-1, 0] },
    ]
    await post(`/collections/${name}/vectors`, { vectors })
    const { json } = await post(`/collections/${name}/search`, {
      vector: [1, 0],
      with_vector: true,
    })
    const hits = json['hits'] as Record<string, unknown>[]
    expect(hits.map((hit) => hit['id'])).toEqual(['7', 'b', 'a'])
    expect(hits[0]).toMatchObject({ vector: [1, 2], payload: {} })
  })

  it('gives back a payload as it came: order of keys, wide integers, __proto__', async () => {
    const name = await filled()
    const payload =
      '{"z":1,"10":2,"2":3,"wide":18446744073709551615,"__proto__":{"x":null},"f":1.5}'
    const body = `{"vectors":[{"id":"p","vector":[5,1],"payload":${payload}}]}`
    expect((await post(`/collections/${name}/vectors`, body)).status).toBe(200)
    const { text } = await post(`/collections/${name}/search`, { vector: [5, 1], top_k: 1 })
    expect(text).toContain(`"payload":${payload}`)
  })

  it('answers another dimension with both numbers, and takes nothing of that request', async () => {
    const name = await filled()
    const vectors = [
      { id: 'c', vector: [1, 1] },
      { id: 'd', vector: [1, 2, 3] },
    ]
    const { status, json } = await post(`/collections/${name}/vectors`, { vectors })
    expect(status).toBe(422)
    expect(json.error).toMatchObject({ code: 'DIMENSION_MISMATCH' })
    expect(json.error?.['message']).toMatch(/2-d.*3-d/)
    expect((await get(`/collections/${name}`)).json).toMatchObject({ count: 2 })
  })

  it.each([
    ['{"vectors":[{"vector":[1,2]}]}', /vectors\[0\]\.id/],
    ['{"vectors":[{"id":1.5,"vector":[1,2]}]}', /1\.5/],
    ['{"vectors":[{"id":"","vector":[1,2]}]}', /empty/],
    ['{"vectors":[{"id":"x"}]}', /no vector/],
    ['{"vectors":[{"id":"x","vector":[1,"2"]}]}', /vector\[1\].*a number/],
    ['{"vectors":[{"id":"x","vector":[1,1e39]}]}', /vector\[1\].*float32/],
    ['{"vectors":[{"id":"x","vector":[1,1e999]}]}', /vector\[1\].*a number/],
    ['{"vectors":[{"id":"x","vector":[0,0]}]}', /zero/],
    ['{"vectors":[{"id":"x","vector":[1,2],"payload":[]}]}', /payload.*an object/],
    ['{"vectors":{}}', /a list/],
    ['{"vectors":[],"vectors":[]}', /twice|duplicate/i],
    ['{"vectors":[', /JSON/],
    ['', /no body/],
  ])('refuses %s', async (body, message) => {
    const name = await filled()
    const reply = await post(`/collections/${name}/vectors`, body)
    expect(reply.status).toBe(400)
    expect(reply.json.error).toMatchObject({ code: 'BAD_INPUT' })
    expect(reply.json.error?.['message']).toMatch(message)
  })

  it('takes no records for no change', async () => {
    const name = await filled()
    expect((await post(`/collections/${name}/vectors`, { vectors: [] })).json).toEqual({
      upserted: 0,
    })
  })

  it('refuses more records than one request may hold', async () => {
    const name = await filled()
    const vectors = Array.from({ length: 10_001 }, (_, i) => ({ id: i, vector: [1, 1] }))
    expect((await post(`/collections/${name}/vectors`, { vectors })).status).toBe(400)
  })
})

describe('POST /collections/:c/search', () => {
  const ids = (json: Record<string, unknown>): unknown[] =>
    (json['hits'] as Record<string, unknown>[]).map((hit) => hit['id'])

  it('finds by vector, by text and by both', async () => {
    const path = `/collections/${await filled()}/search`
    const near = await post(path, { vector: [1, 0.1], top_k: 1 })
    expect(near.json).toMatchObject({ hits: [{ id: 'a', payload: { year: 1962 } }] })
    expect(near.json['state_root']).toMatch(/^[0-9a-f]{64}$/)
    expect(ids((await post(path, { text: 'whale' })).json)).toEqual(['b'])
    expect(ids((await post(path, { vector: [1, 0.1], text: 'whale' })).json)).toHaveLength(2)
  })

  it('takes a text as words or in parts', async () => {
    const path = `/collections/${await filled()}`
    const texts = [
      '"blue whale"',
      'wha*',
      { prefix: ['wha'] },
      { query: 'whale fox', must: ['blue'] },
    ]
    for (const text of [...texts, { phrase: ['blue whale'], fields: ['title^2'] }]) {
      expect(ids((await post(`${path}/search`, { text })).json)).toEqual(['b'])
      expect(ids((await post(`${path}/query`, { query: { text } })).json)).toEqual(['b'])
    }
    for (const text of [7, ['x'], { must: 'x' }, { any: ['x'] }, { query: 'x', fields: ['no'] }]) {
      const { status, json } = await post(`${path}/search`, { text })
      expect(status).toBe(400)
      expect(json.error?.['message']).toMatch(/\$\.text|no text index over "no"/)
    }
  })

  it('filters', async () => {
    const path = `/collections/${await filled()}/search`
    const filter = { must: [{ key: 'year', range: { gt: 2000 } }] }
    expect(ids((await post(path, { vector: [1, 0], filter })).json)).toEqual(['b'])
    expect(ids((await post(path, { vector: [1, 0], filter: { year: 1962 } })).json)).toEqual(['a'])
  })

  it('sees an older state', async () => {
    const name = await filled()
    const path = `/collections/${name}/search`
    await store.flush(name)
    const { version } = (await get(`/collections/${name}`)).json
    await post(`/collections/${name}/vectors`, { vectors: [{ id: 'c', vector: [1, 1] }] })
    expect(ids((await post(path, { vector: [1, 0] })).json)).toHaveLength(3)
    for (const asOf of [version, String(version)]) {
      expect(ids((await post(path, { vector: [1, 0], as_of: asOf })).json)).toHaveLength(2)
    }
    expect((await post(path, { vector: [1, 0], as_of: 'never' })).status).toBe(404)
  })

  it('leaves out payloads and adds vectors where it is told to', async () => {
    const path = `/collections/${await filled()}/search`
    const { json } = await post(path, {
      vector: [1, 0],
      top_k: 1,
      with_payload: false,
      with_vector: true,
      exact: true,
      ef: 10,
    })
    expect(json['hits']).toEqual([{ id: 'a', score: 1, distance: 0, vector: [1, 0] }])
  })

  it('takes null for "not given"', async () => {
    const path = `/collections/${await filled()}/search`
    const body = { vector: [1, 0], text: null, filter: null, as_of: null, top_k: null }
    expect((await post(path, body)).status).toBe(200)
  })

  it.each([
    [{}, 400, /needs a vector/],
    [{ vector: [1, 0, 0] }, 422, /2-d.*3-d/],
    [{ vector: [1, 0], top_k: 0 }, 400, /top_k/],
    [{ vector: [1, 0], top_k: 10_001 }, 413, /searchCountMax/],
    [{ vector: [1, 0], filter: [] }, 400, /filter/],
    [{ vector: [1, 0], filter: { must: [{ key: 'a', geo_radius: {} }] } }, 400, /geo_radius/],
    [{ vector: [1, 0], limit: 3 }, 400, /limit.*no such field/],
  ])('refuses %j', async (body, status, message) => {
    const reply = await post(`/collections/${await filled()}/search`, body)
    expect(reply.status).toBe(status)
    expect(reply.json.error?.['message']).toMatch(message)
  })

  it('sees what another process committed at once', async () => {
    const name = await filled()
    const other = await store.collection(name)
    await other.ingest({
      inputs: ['-'],
      stdin: (async function* () {
        yield Buffer.from('{"id":"i","vector":[9,1],"title":"new"}\n')
      })(),
      format: 'jsonl',
    })
    const { json } = await post(`/collections/${name}/search`, { vector: [9, 1], top_k: 1 })
    expect(ids(json)).toEqual(['i'])
  })
})

describe('POST /collections/:c/{query,count,facet,scroll}', () => {
  const ids = (list: unknown): unknown[] => (list as { id: string }[]).map(({ id }) => id)

  it('answer trees, groups, counts, facets and pages', async () => {
    const path = `/collections/${await filled()}`
    const tree = await post(`${path}/query`, {
      prefetch: [
        { query: { vector: [1, 0.1] }, top_k: 5 },
        { query: { text: 'whale' }, top_k: 5, score_threshold: 0 },
      ],
      query: { fusion: { kind: 'rrf', weights: [1, 3] } },
      with_vector: true,
    })
    expect(tree.status).toBe(200)
    expect(tree.json).toMatchObject({
      plan: { kind: 'fusion' },
      hits: [{ id: 'b', vector: [0, 1] }, { id: 'a' }],
    })
    const grouped = await post(`${path}/query`, { query: { text: 'fox whale' }, group_by: 'year' })
    const groups = grouped.json['groups'] as { value: number; ids: string[] }[]
    expect(groups.toSorted((a, b) => a.value - b.value)).toEqual([
      { value: 1962, ids: ['a'] },
      { value: 2024, ids: ['b'] },
    ])
    const newest = { query: { order_by: { key: 'year', direction: 'desc' } }, with_payload: false }
    expect((await post(`${path}/query`, newest)).json['hits']).toEqual([
      { id: 'b', score: 0 },
      { id: 'a', score: 0 },
    ])
    expect((await post(`${path}/count`, { filter: { year: 2024 } })).json).toMatchObject({
      count: 1,
    })
    expect((await post(`${path}/facet`, { key: 'year' })).json).toMatchObject({
      values: [
        { value: 1962, count: 1 },
        { value: 2024, count: 1 },
      ],
      ...{ distinct: 2, count: 2, key: 'year' },
    })
    const page = (await post(`${path}/scroll`, { top_k: 1, with_vector: true })).json
    expect(page['records']).toEqual([
      { id: 'a', payload: { title: 'red fox', year: 1962 }, vector: [1, 0] },
    ])
    const next = (await post(`${path}/scroll`, { top_k: 1, cursor: page['cursor'] })).json
    expect(ids(next['records'])).toEqual(['b'])
    expect(next).not.toHaveProperty('cursor')
    const hybrid = { vector: [1, 0], text: 'whale', fusion: 'linear', vector_weight: 0 }
    expect(ids((await post(`${path}/search`, hybrid)).json['hits'])[0]).toBe('b')
  })

  it.each([
    ['query', {}, 400, /\$\.query/],
    ['query', { query: {} }, 400, /one of/],
    ['query', { query: { vector: [1, 0, 0] } }, 422, /2-d.*3-d/],
    ['query', { query: { vector: [1, 0] }, top_k: 0 }, 400, /k is 0/],
    ['query', { query: { vector: [1, 0] }, top_k: 10_001 }, 413, /searchCountMax/],
    ['query', { query: { id: 'nobody' } }, 404, /nobody/],
    ['query', { query: { vector: [1, 0] }, limit: 3 }, 400, /limit.*no such field/],
    ['query', { query: { fusion: 'rrf' } }, 400, /prefetch/],
    ['count', { filter: [] }, 400, /filter/],
    ['count', { as_of: 'never' }, 404, /never/],
    ['facet', {}, 400, /key/],
    ['facet', { key: 'year', limit: 0 }, 400, /limit/],
    ['scroll', { cursor: 'x' }, 400, /cursor/],
    ['scroll', { top_k: 20_000 }, 413, /searchCountMax/],
  ])('%s refuses %j', async (route, body, status, message) => {
    const reply = await post(`/collections/${await filled()}/${route}`, body)
    expect(reply.json.error?.['message']).toMatch(message)
    expect(reply.status).toBe(status)
  })

  it('refuse a query that nests without end', async () => {
    const nested = `${'{"query":{"text":"x"},"prefetch":['.repeat(1_000)}${']}'.repeat(1_000)}`
    const reply = await post(`/collections/${await filled()}/query`, nested)
    expect([400, 413]).toContain(reply.status)
  })
})

it('has vectors searched by worker threads while other requests wait', async () => {
  const asked: unknown[] = []
  const answered = async ({ offThread }: { readonly offThread?: boolean }) => {
    asked.push(offThread)
    return { hits: [], plan: {}, stateRoot: '' }
  }
  const collection = { search: answered, query: answered }
  const answering = { collection: async () => collection } as unknown as Store
  const { signal } = new AbortController()
  for (const isBusy of [true, false]) {
    const { search, query } = serveCollections(answering, undefined, () => isBusy)
    await search('docs', parseJson('{"vector":[1,0]}'), signal)
    await query('docs', parseJson('{"query":{"vector":[1,0]}}'), signal)
  }
  expect(asked).toEqual([true, true, false, false])
})
