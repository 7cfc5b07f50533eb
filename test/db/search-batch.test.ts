import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { BatchSearch, SearchResult } from '../../src/db/api/api.ts'
import type { OpenCollection } from '../../src/db/collection.ts'
import { initStore } from '../../src/db/open/init.ts'
import { openStore } from '../../src/db/store.ts'
import { inputFile, randomNumbers, tempFolder, tempStore } from '../support/temp-store.ts'

const DIMENSION = 80

function vectors(seed: number): () => Float32Array {
  const random = randomNumbers(seed)
  return () => Float32Array.from({ length: DIMENSION }, () => random() - 0.5)
}

/** Two segments, some rows deleted, others in the log only. */
async function filled(docs: OpenCollection, folder: string, seed: number): Promise<void> {
  const vector = vectors(seed)
  for (const part of ['a', 'b']) {
    const rows = Array.from({ length: 300 }, (_, n) => ({
      id: `${part}${n}`,
      vector: Array.from(vector()),
      n,
      text: `row ${n}`,
    }))
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
    const file = await inputFile(folder, `${part}.jsonl`, text)
    await docs.ingest({ inputs: [file], textColumns: ['text'], metric: 'cosine' })
  }
  await docs.delete({ filter: { must: [{ key: 'n', range: { lt: 20 } }] } })
  await docs.upsert([{ id: 'late', vector: vector(), payload: { n: 1_000, text: 'late row' } }])
}

const requestsOf = (seed: number, count: number): BatchSearch[] => {
  const vector = vectors(seed)
  const filter = { must: [{ key: 'n', range: { gte: 150 } }] }
  return Array.from({ length: count }, (_, i): BatchSearch => {
    const kinds: BatchSearch[] = [
      { vector: vector() },
      { vector: vector(), k: 3, filter, withPayload: false },
      { text: `row ${i}` },
      { vector: vector(), text: 'late', k: 5 },
      { id: 'b77', withVector: true },
      { vector: vector(), exact: true, withSource: true },
    ]
    return kinds[i % kinds.length] as BatchSearch
  })
}

async function collected(results: AsyncIterable<SearchResult>): Promise<SearchResult[]> {
  const all: SearchResult[] = []
  for await (const result of results) all.push(result)
  return all
}

async function smallCollection(seed = 5): Promise<OpenCollection> {
  const store = await tempStore()
  const docs = store.prospect('docs')
  await filled(docs, dirname(store.url), seed)
  return docs
}

describe('a batch of searches', () => {
  /** Alone, all at once, in a batch that starts the workers, and in one that finds them. */
  async function fourWays(
    docs: OpenCollection,
    requests: readonly BatchSearch[],
  ): Promise<SearchResult[][]> {
    const alone: SearchResult[] = []
    for (const request of requests) alone.push(await docs.search(request))
    const together = await Promise.all(requests.map((request) => docs.search(request)))
    const first = await collected(docs.searchBatch(requests))
    // A worker that answers this runs.
    await docs.core.environment.workers?.().digests(new Uint8Array(1), 1)
    return [alone, together, first, await collected(docs.searchBatch(requests))]
  }

  it('has this thread search what waits while workers have enough to do', async () => {
    const docs = await smallCollection(7)
    const workers = docs.core.environment.workers?.() ?? expect.fail('no workers')
    workers.warm()
    await workers.digests(new Uint8Array(1), 1)
    const helped = vi.spyOn(workers, 'help')
    const next = vectors(8)
    const requests = Array.from({ length: 300 }, () => ({ vector: next(), withPayload: false }))
    expect(await collected(docs.searchBatch(requests))).toHaveLength(300)
    const times = helped.mock.results.filter(({ value }) => value === true).length
    expect(times).toBeGreaterThan(0)
    expect(times).toBeLessThan(600)
  })

  it('answers each as a search alone does, in order, with any number of threads', async () => {
    const seed = Date.now() % 1_000_000
    const url = join(await tempFolder(), 'store')
    await initStore({ url })
    const writer = await openStore({ url, mode: 'write' })
    await filled(writer.prospect('docs'), dirname(url), seed)
    await writer.close()
    const requests = requestsOf(seed + 1, 150)
    const answers: SearchResult[][] = []
    for (const threads of [1, 2, 3]) {
      const store = await openStore({ url, mode: 'read', threads })
      answers.push(...(await fourWays(store.prospect('docs'), requests)))
      await store.close()
    }
    const [expected, ...others] = answers
    for (const [i, other] of others.entries()) {
      expect(other, `seed ${seed}, way ${i + 1}`).toEqual(expected)
    }
    expect(expected?.[0]?.hits).toHaveLength(10)
  })

  it('sees rows that only the log has, as a search alone does', async () => {
    const seed = Date.now() % 1_000_000
    const docs = await smallCollection(seed)
    const [alone, ...others] = await fourWays(docs, requestsOf(seed + 1, 60))
    for (const other of others) expect(other, `seed ${seed}`).toEqual(alone)
    expect(JSON.stringify(alone)).toContain('"late"')
  })

  it('opens the vectors while the first query is being made, where it is told to', async () => {
    for (const preload of [true, false]) {
      const url = join(await tempFolder(), 'store')
      await initStore({ url })
      const writer = await openStore({ url, mode: 'write' })
      await filled(writer.prospect('docs'), dirname(url), 1)
      await writer.close()
      const store = await openStore({ url, mode: 'read', threads: 1 })
      const docs = await store.collection('docs')
      const isOpening = async (): Promise<boolean> =>
        await docs.core.read(undefined, async ({ segments }) =>
          segments.some(({ reader }) => reader.placement !== undefined),
        )
      const seen: boolean[] = []
      const slow = async function* () {
        for (let i = 0; i < 20; i++) await new Promise((turn) => setImmediate(turn))
        seen.push(await isOpening())
        yield { vector: vectors(9)(), k: 1 }
      }
      expect(await collected(docs.searchBatch(slow(), { preload }))).toHaveLength(1)
      expect(seen).toEqual([preload])
      await store.close()
    }
  })

  it('sees one state, whatever is written meanwhile', async () => {
    const docs = await smallCollection()
    const vector = vectors(9)()
    const roots = new Set<string>()
    const counts = new Set<string>()
    for await (const { hits, stateRoot } of docs.searchBatch(
      Array.from({ length: 200 }, () => ({ vector, k: 2, withPayload: false })),
    )) {
      if (roots.size === 0) await docs.upsert([{ id: 'nearest', vector, payload: {} }])
      roots.add(stateRoot)
      counts.add(hits.map(({ id }) => id).join())
    }
    expect(roots.size).toBe(1)
    expect(counts.size).toBe(1)
    expect([...counts][0]).not.toContain('nearest')
    expect((await docs.search({ vector, k: 1 })).hits[0]?.id).toBe('nearest')
  })

  it('takes queries only as far ahead as the limit says, and lets go of the rest', async () => {
    const docs = await smallCollection()
    let taken = 0
    let isClosed = false
    async function* endless(): AsyncGenerator<BatchSearch> {
      const vector = vectors(3)
      try {
        for (;;) {
          taken++
          yield { vector: vector(), withPayload: false }
        }
      } finally {
        isClosed = true
      }
    }
    let answered = 0
    for await (const _ of docs.searchBatch(endless())) {
      answered++
      expect(taken - answered).toBeLessThan(limits.batchSearchesMax)
      if (answered === 300) break
    }
    expect(isClosed).toBe(true)
    expect(await docs.core.read(undefined, async () => 'still there')).toBe('still there')
  })

  it('answers what came before a query that fails, then fails', async () => {
    const docs = await smallCollection()
    const good = { vector: vectors(1)(), k: 1 }
    for (const bad of [{ vector: new Float32Array(3) }, { k: 0, text: 'row' }, {}]) {
      const answered: SearchResult[] = []
      const batch = async (): Promise<void> => {
        for await (const result of docs.searchBatch([good, good, bad, good])) answered.push(result)
      }
      await expect(batch()).rejects.toMatchObject({ name: 'AkidbError' })
      expect(answered).toHaveLength(2)
    }
    async function* broken(): AsyncGenerator<BatchSearch> {
      yield good
      throw new Error('cannot be read')
    }
    const answered: SearchResult[] = []
    const batch = async (): Promise<void> => {
      for await (const result of docs.searchBatch(broken())) answered.push(result)
    }
    await expect(batch()).rejects.toThrow('cannot be read')
    expect(answered).toHaveLength(1)
  })

  it('ends when aborted, and reads the state that it was asked for', async () => {
    const docs = await smallCollection()
    const { stateRoot } = await docs.info()
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    const vector = vectors(2)
    const requests = Array.from({ length: 400 }, () => ({ vector: vector() }))
    let answered = 0
    const batch = async (): Promise<void> => {
      for await (const result of docs.searchBatch(requests, { asOf: '1', signal: stop.signal })) {
        expect(result.stateRoot).not.toBe(stateRoot)
        if (++answered === 5) stop.abort(new Error('enough'))
      }
    }
    await expect(batch()).rejects.toThrow('enough')
    expect(answered).toBe(5)
  })
})
