import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Metric } from '../../src/core/metric.ts'
import type { OpenOptions, SearchRequest, StoredRecord } from '../../src/db/api/api.ts'
import { placeSegments } from '../../src/db/segment/placement.ts'
import type { SegmentNeed } from '../../src/db/segment/segment-need.ts'
import { defaultMemoryBytes, MemoryBudget } from '../../src/db/states/memory-budget.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import { clustered, type LargeShape, largeCollection } from '../support/large-collection.ts'
import { tempStore } from '../support/temp-store.ts'

const MIB = 1024 * 1024
const SEED = 20_260_301
/** A graph of its own, rows of odd length, and a pack beside it. */
const SHAPE = { segments: [10_100, 300], dimension: 421, seed: SEED } as const

const below = (n: number) => ({ must: { key: 'n', range: { lt: n } } })

async function reopened(
  url: string,
  memoryBytes: number,
  more: Partial<OpenOptions> = {},
): Promise<OpenedStore> {
  const store = await openStore({ url, mode: 'write', threads: 2, memoryBytes, ...more })
  onTestFinished(() => store.close())
  return store
}

/** A store with one collection, closed. */
async function storeOf(name: string, shape: LargeShape): Promise<string> {
  const store = await tempStore()
  await largeCollection(store, name, shape)
  await store.close()
  return store.url
}

/** The least budget that a collection can be searched with, as the refusal names it. */
async function leastOf(url: string, name: string): Promise<number> {
  const store = await openStore({ url, mode: 'write', threads: 2, memoryBytes: 1 })
  try {
    const docs = await store.collection(name)
    const vector = new Float32Array(SHAPE.dimension).fill(0.1)
    await docs.search({ vector })
  } catch (error) {
    return (error as { details: { needed: number } }).details.needed
  } finally {
    await store.close()
  }
  throw new Error('a search within one byte')
}

async function collect(records: AsyncIterable<StoredRecord>): Promise<StoredRecord[]> {
  const all: StoredRecord[] = []
  for await (const record of records) all.push(record)
  return all
}

describe.each<Metric>(['cosine', 'dot', 'l2'])('rows on disk, %s', (metric) => {
  it('are searched with the bits of rows in memory', { timeout: 60_000 }, async () => {
    const url = await storeOf('docs', { ...SHAPE, metric })
    const least = await leastOf(url, 'docs')
    const next = clustered(SHAPE.dimension, SEED)
    const requests: SearchRequest[] = []
    for (let i = 0; i < 8; i++) {
      const vector = next()
      requests.push({ vector }, { vector, k: 150 }, { vector, ef: 10, withVector: true })
      requests.push({ vector, filter: below(5_000) })
      requests.push({ vector, filter: below(40) })
      requests.push({ vector, filter: below(3), k: 20 })
    }
    requests.push({ vector: next(), exact: true }, { id: '0-17' })
    requests.push({ vector: next(), exact: true, k: 400, filter: below(900) })
    const results: unknown[] = []
    for (const memoryBytes of [1_024 * MIB, least]) {
      const store = await reopened(url, memoryBytes)
      const docs = await store.collection('docs')
      const found = []
      for (const request of requests) found.push((await docs.search(request)).hits)
      const segments = (await docs.info()).segments.map(({ memory }) => memory?.vectors)
      expect(segments).toEqual([memoryBytes === least ? 'disk' : 'memory', 'memory'])
      results.push(found)
      await store.close()
    }
    expect(results[1]).toStrictEqual(results[0])
  })
})

describe('a collection that is larger than its budget', () => {
  it('does everything that one in memory does', { timeout: 60_000 }, async () => {
    const url = await storeOf('docs', { ...SHAPE, metric: 'cosine' })
    const least = await leastOf(url, 'docs')
    const outcomes: unknown[] = []
    for (const memoryBytes of [1_024 * MIB, least]) {
      const store = await reopened(url, memoryBytes)
      const docs = await store.collection('docs')
      const got = await docs.get(['0-5', '1-7', '0-10099'], { withVector: true })
      const scanned = await collect(docs.scan({ withVector: true, filter: below(70) }))
      const recall = await docs.recall({ samples: 5 })
      const { problems } = await store.check({ readData: true })
      outcomes.push({ got, scanned, recall, problems })
      await store.close()
    }
    expect(outcomes[1]).toStrictEqual(outcomes[0])
    expect(outcomes[0]).toMatchObject({ problems: [], recall: { samples: 5 } })
  })

  it('is refused before anything is loaded, with the least that would do', async () => {
    const url = await storeOf('docs', { ...SHAPE, segments: [10_000], metric: 'l2' })
    const least = await leastOf(url, 'docs')
    const store = await reopened(url, least - MIB)
    const docs = await store.collection('docs')
    const vector = new Float32Array(SHAPE.dimension).fill(0.1)
    await expect(docs.search({ vector })).rejects.toMatchObject({
      code: 'LIMIT',
      hint: `Use --memory ${least / MIB}MiB or more.`,
    })
    expect(store.environment.memory?.used).toBe(0)
    const [record] = await docs.get(['0-3'], { withVector: true })
    expect(record?.vector).toHaveLength(SHAPE.dimension)
  })

  it('checks each chunk at its first read', { timeout: 30_000 }, async () => {
    const url = await storeOf('docs', { ...SHAPE, segments: [10_000], metric: 'dot' })
    const least = await leastOf(url, 'docs')
    const store = await reopened(url, least)
    const docs = await store.collection('docs')
    const [sound] = await docs.get(['0-9'], { withVector: true })
    const { state } = await store.core('docs').head()
    const blob = state.segments[0]?.blobs.find(({ role }) => role === 'vectors')
    const path = await blobPath(url, blob?.digest ?? '')
    const bytes = await readFile(path)
    // A row of another chunk.
    const at = 4_000 * SHAPE.dimension * 4
    bytes[at] = (bytes[at] ?? 0) ^ 1
    await writeFile(path, bytes)
    expect(await docs.get(['0-9'], { withVector: true })).toEqual([sound])
    const damaged = docs.get(['0-4000'], { withVector: true })
    await expect(damaged).rejects.toMatchObject({ code: 'INTEGRITY' })
    const exact = docs.search({ vector: sound?.vector as Float32Array, exact: true })
    await expect(exact).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('shares its budget with others: what was used longest ago gives way', async () => {
    const shape = { ...SHAPE, segments: [10_000], metric: 'l2' } as const
    const made = await tempStore()
    await largeCollection(made, 'a', shape)
    await largeCollection(made, 'b', shape)
    await made.close()
    const least = await leastOf(made.url, 'a')
    const vectors = 10_000 * SHAPE.dimension * 4
    // Room for one of them in memory, or for both on disk.
    const budget = Math.max(least + vectors + 4 * MIB, 2 * least)
    const store = await reopened(made.url, budget)
    const [a, b] = [await store.collection('a'), await store.collection('b')]
    const request = { vector: clustered(SHAPE.dimension, SEED)() }
    const first = await a.search(request)
    const memory = store.environment.memory as MemoryBudget
    expect(memory.used).toBeGreaterThan(vectors)
    for (let turn = 0; turn < 3; turn++) {
      await b.search(request)
      expect(memory.used).toBeLessThanOrEqual(budget)
      expect((await a.search(request)).hits).toStrictEqual(first.hits)
      expect(memory.used).toBeLessThanOrEqual(budget)
    }
    // Neither pushes the other out any more.
    const { changes } = memory
    await b.search(request)
    await a.search(request)
    expect(memory.changes).toBe(changes)
  })

  it('refuses to build an index that does not fit', { timeout: 30_000 }, async () => {
    const url = await storeOf('docs', { ...SHAPE, segments: [10_000], metric: 'l2' })
    const small = await reopened(url, 16 * MIB)
    const refused = (await small.collection('docs')).buildIndex({ again: true })
    await expect(refused).rejects.toMatchObject({ code: 'LIMIT' })
    await small.close()
    const store = await reopened(url, 28 * MIB)
    const docs = await store.collection('docs')
    const before = (await docs.info()).manifestVersion
    await docs.delete({ ids: ['0-1'] })
    // Rows are collected first, and are in memory twice.
    await expect(docs.compact()).rejects.toMatchObject({ code: 'LIMIT' })
    expect((await docs.info()).manifestVersion).toBe(before + 1)
    expect((await docs.buildIndex({ again: true })).segments).toBe(1)
  })
})

const blobPath = async (url: string, digest: string): Promise<string> => {
  const folder = join(url, 'blobs', '0', digest.slice(0, 2))
  expect(await readdir(folder)).toContain(digest)
  return join(folder, digest)
}

describe('where rows go', () => {
  const need = (vectors: number, more: Partial<SegmentNeed> = {}): SegmentNeed => ({
    vectors,
    codes: vectors / 4,
    links: 10,
    other: 5,
    movable: true,
    ...more,
  })

  it('is decided by size, then age, until the room is spent', () => {
    const needs = [need(400), need(100), need(400), need(200)]
    const least = 275 + 60
    const placed = (room: number) =>
      placeSegments(needs, room)
        .placements.map((p) => p[0])
        .join('')
    expect(placeSegments(needs, least)).toMatchObject({ least, bytes: least })
    expect(placed(least)).toBe('dddd')
    expect(placed(least + 99)).toBe('dddd')
    expect(placed(least + 100)).toBe('dmdd')
    expect(placed(least + 300)).toBe('dmdm')
    expect(placed(least + 699)).toBe('dmdm')
    expect(placed(least + 700)).toBe('dmmm')
    expect(placed(Infinity)).toBe('mmmm')
    expect(placed(0)).toBe('dddd')
  })

  it('is memory for what cannot stay on disk', () => {
    const needs = [need(400, { movable: false }), need(100)]
    expect(placeSegments(needs, 0)).toEqual({
      placements: ['memory', 'disk'],
      bytes: 555,
      least: 555,
    })
  })
})

describe('a budget', () => {
  const holder = (name: string, owner: object, gone: string[]) => ({
    owner,
    evict: () => void gone.push(name),
  })

  it('has what was used longest ago give way, and counts what others use', () => {
    let now = 1_000
    const budget = new MemoryBudget(100, { nowMs: () => now })
    const gone: string[] = []
    const [mine, theirs] = [{}, {}]
    const [a, b] = [holder('a', mine, gone), holder('b', mine, gone)]
    const [c, d] = [holder('c', theirs, gone), holder('d', theirs, gone)]
    budget.take(a, 40)
    budget.take(b, 40)
    budget.touch(a)
    budget.take(c, 50)
    expect(gone).toEqual(['b'])
    expect([budget.used, budget.heldByOthers(mine), budget.heldByOthers(theirs)]).toEqual([
      90, 50, 40,
    ])
    now += 3_600_000
    expect(budget.heldByOthers(mine)).toBe(0)
    budget.take(d, 100)
    expect(gone).toEqual(['b', 'a', 'c'])
    budget.release(d)
    expect(budget.used).toBe(0)
  })

  it('is half of what the machine or the container has', () => {
    expect(defaultMemoryBytes(8 * 1_024 * MIB, 0)).toBe(4 * 1_024 * MIB)
    expect(defaultMemoryBytes(8 * 1_024 * MIB, 2 * 1_024 * MIB)).toBe(1_024 * MIB)
    // Without a limit some kernels name a number beyond all memory.
    expect(defaultMemoryBytes(8 * 1_024 * MIB, 2 ** 63)).toBe(4 * 1_024 * MIB)
    expect(defaultMemoryBytes(128 * MIB, 0)).toBe(256 * MIB)
  })
})
