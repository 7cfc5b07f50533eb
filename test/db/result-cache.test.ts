import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { ResultCache } from '../../src/db/states/result-cache.ts'
import { initStore, type OpenedStore, openStore } from '../../src/index.ts'

describe('answers that are kept', () => {
  const asked = async (cache: ResultCache, question: unknown, value: unknown = { hits: [] }) => {
    let isMade = false
    const found = await cache.answer([question], async () => {
      isMade = true
      return value
    })
    return { isMade, found }
  }

  it('are given for the same question alone', async () => {
    const cache = new ResultCache()
    const vector = Float32Array.of(0, 1)
    const questions = [
      { vector },
      { vector: Float32Array.of(-0, 1) },
      { vector: new Uint32Array(vector.buffer.slice(0)) },
      { vector, k: 1 },
      { vector, k: '1' },
      { vector, k: 1n },
      { vector, k: -0 },
      { vector, k: 0 },
      { vector, filter: new Map([['a', 1]]) },
      { vector, filter: [['a', 1]] },
      { text: 'a,b' },
      { text: 'a', more: 'b' },
      { text: ['a', 'b'] },
      { text: [['a'], 'b'] },
      { text: null },
    ]
    for (const question of questions) expect((await asked(cache, question)).isMade).toBe(true)
    for (const question of questions) expect((await asked(cache, question)).isMade).toBe(false)
    expect((await asked(cache, { vector: vector.slice(), k: undefined })).isMade).toBe(false)
    expect(cache.usage).toMatchObject({ hits: 16, misses: 15, entries: 15 })
  })

  it('are copies, whatever their owner does to them', async () => {
    const cache = new ResultCache()
    const payload = new Map<string, unknown>([['tags', ['a', 1n]]])
    const value = { hits: [{ id: 'x', vector: Float32Array.of(1, 2), payload }] }
    const first = (await asked(cache, 1, value)).found as typeof value
    const second = (await asked(cache, 1)).found as typeof value
    for (const one of [first, second]) {
      one.hits[0]?.payload.set('tags', 'gone')
      one.hits[0]?.vector.fill(9)
    }
    const expected = new Map([['tags', ['a', 1n]]])
    const third = (await asked(cache, 1)).found as typeof value
    expect(third).toEqual({ hits: [{ id: 'x', vector: Float32Array.of(1, 2), payload: expected }] })
  })

  it('are no more than may be, the one asked for longest ago goes', async () => {
    const cache = new ResultCache(100_000)
    const large = { text: 'x'.repeat(4_000) }
    for (let i = 0; i < 50; i++) {
      await asked(cache, i, large)
      expect((await asked(cache, 0)).isMade).toBe(false)
    }
    expect(cache.usage.bytes).toBeLessThanOrEqual(100_000)
    expect((await asked(cache, 49)).isMade).toBe(false)
    expect((await asked(cache, 5)).isMade).toBe(true)
    // One that would take it all is not kept.
    for (let i = 0; i < 2; i++) {
      expect((await asked(cache, 'all', { text: 'x'.repeat(20_000) })).isMade).toBe(true)
    }
    const small = new ResultCache()
    for (let i = 0; i < limits.resultCacheEntriesMax + 10; i++) await asked(small, i)
    expect(small.usage.entries).toBe(limits.resultCacheEntriesMax)
  })

  it('are none of what is not known here, nor of failures', async () => {
    const cache = new ResultCache()
    const ring: unknown[] = []
    ring.push(ring)
    for (const question of [new Date(0), { deep: ring }, () => 1]) {
      for (let i = 0; i < 2; i++) expect((await asked(cache, question)).isMade).toBe(true)
    }
    for (const value of [{ at: new Date(0) }, ring]) {
      for (let i = 0; i < 2; i++) expect((await asked(cache, 'q', value)).isMade).toBe(true)
    }
    const failure = cache.answer(['f'], async () => {
      throw new Error('no')
    })
    await expect(failure).rejects.toThrow('no')
    expect((await asked(cache, 'f')).isMade).toBe(true)
  })
})

describe('a store that is searched again', () => {
  let folder: string
  let store: OpenedStore
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'akidb-results-'))
    await initStore({ url: folder })
    store = await openStore({ url: folder, mode: 'write' })
    const docs = await store.createCollection('docs', { dimension: 2, metric: 'l2' })
    await docs.upsert(['a', 'b'].map((id, i) => ({ id, vector: Float32Array.of(i, 0) })))
    await docs.flush()
  })
  afterEach(async () => {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })

  const hits = () => store.environment.results?.usage.hits ?? -1
  const ids = async (more: object = {}) => {
    const docs = await store.collection('docs')
    const found = await docs.search({ vector: Float32Array.of(0, 0), k: 5, ...more })
    return found.hits.map(({ id }) => id)
  }

  it('answers by what it said, and anew after every change', async () => {
    const docs = await store.collection('docs')
    const { stateRoot } = await docs.info()
    expect(await ids()).toEqual(['a', 'b'])
    expect(await ids()).toEqual(['a', 'b'])
    expect(hits()).toBe(1)
    await ids({ cached: false })
    await ids({ k: 1 })
    await ids({ withVector: true })
    expect(hits()).toBe(1)
    // In the write-ahead log alone, then in a segment, then an id that is gone.
    await docs.upsert([{ id: 'c', vector: Float32Array.of(0, 0) }])
    expect(await ids()).toEqual(['a', 'c', 'b'])
    await docs.upsert([{ id: 'c', vector: Float32Array.of(9, 0) }])
    expect(await ids()).toEqual(['a', 'b', 'c'])
    await docs.flush()
    expect(await ids()).toEqual(['a', 'b', 'c'])
    expect(hits()).toBe(1)
    expect(await ids()).toEqual(['a', 'b', 'c'])
    expect(hits()).toBe(2)
    await docs.delete({ ids: ['a'] })
    expect(await ids()).toEqual(['b', 'c'])
    // An older state is found again by its root.
    expect(await ids({ asOf: stateRoot })).toEqual(['a', 'b'])
    expect(hits()).toBe(3)
    const gone = new AbortController()
    gone.abort(new Error('stopped'))
    await expect(ids({ signal: gone.signal })).rejects.toThrow('stopped')
  })

  it('tells queries from searches and collections apart, and keeps a batch out', async () => {
    const vector = Float32Array.of(0, 0)
    const other = await store.createCollection('other', { dimension: 2, metric: 'l2' })
    await other.upsert([{ id: 'z', vector }])
    await other.flush()
    const docs = await store.collection('docs')
    await docs.search({ vector, k: 1 })
    expect((await other.search({ vector, k: 1 })).hits[0]?.id).toBe('z')
    const request = { query: { vector }, k: 1 } as const
    const first = await docs.query(request)
    expect(await docs.query(request)).toEqual(first)
    expect(hits()).toBe(1)
    for await (const _ of docs.searchBatch([{ vector, k: 1 }])) expect(hits()).toBe(1)
  })

  it('keeps nothing where it may not', async () => {
    const plain = await openStore({ url: folder, mode: 'read', resultCacheBytes: 0 })
    const docs = await plain.collection('docs')
    for (let i = 0; i < 2; i++) await docs.search({ vector: Float32Array.of(0, 0) })
    expect(plain.environment.results?.usage).toEqual({ hits: 0, misses: 0, entries: 0, bytes: 0 })
    await plain.close()
  })
})
