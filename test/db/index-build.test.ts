import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Collection, OnProgress } from '../../src/index.ts'
import { type LargeShape, largeCollection } from '../support/large-collection.ts'
import { inputFile, opened, tempStore } from '../support/temp-store.ts'

const DIMENSION = 72
const SHAPE: LargeShape = {
  segments: [10_100, 10_050],
  dimension: DIMENSION,
  metric: 'cosine',
  seed: 11,
}
const M8 = { type: 'hnsw', m: 8, efConstruction: 24 } as const

const vector = (n: number): Float32Array =>
  Float32Array.from({ length: DIMENSION }, (_, i) => Math.sin(n + i * i))

const linesOf = (prefix: string, rows: number): string =>
  Array.from({ length: rows }, (_, n) => {
    const vector = Array.from({ length: 8 }, (_, i) => Math.sin(n * (i + 1) + i))
    return `${JSON.stringify({ id: `${prefix}${n}`, vector })}\n`
  }).join('')

/** Does something once, when the first segment is built, and tells when it was done. */
function once(work: () => Promise<unknown>): {
  readonly onProgress: OnProgress
  readonly doneMs: () => Promise<number>
} {
  let done: Promise<number> | undefined
  return {
    onProgress: () => {
      done ??= work().then(() => performance.now())
    },
    doneMs: () => done ?? expect.fail('nothing was built'),
  }
}

const idsOf = async (docs: Collection): Promise<Set<string>> => {
  const ids = new Set<string>()
  for await (const { id } of docs.scan()) ids.add(id)
  return ids
}

describe('an index that is built while others write', { timeout: 60_000 }, () => {
  it('leaves what they wrote, and is taken', async () => {
    const store = await tempStore()
    await largeCollection(store, 'docs', SHAPE)
    const docs = await store.collection('docs')
    const work = once(async () => {
      await docs.upsert([{ id: 'new', vector: vector(1) }])
      await docs.delete({ ids: ['0-5', '1-7'] })
    })
    const built = await docs.buildIndex({ index: M8, onProgress: work.onProgress })
    expect(await work.doneMs()).toBeLessThan(performance.now())
    expect(built.segments).toBe(2)
    const status = await docs.indexStatus()
    expect(status.map(({ rows, m, graph }) => [rows, m, graph])).toEqual([
      [10_100, 8, true],
      [10_050, 8, true],
      [1, 8, false],
    ])
    const ids = await idsOf(docs)
    expect(ids.size).toBe(10_100 + 10_050 - 2 + 1)
    expect([ids.has('new'), ids.has('0-5'), ids.has('1-7')]).toEqual([true, false, false])
    const { hits } = await docs.search({ vector: vector(1), k: 1 })
    expect(hits[0]?.id).toBe('new')
    expect(await store.check({ readData: true })).toMatchObject({ ok: true })
  })

  it.each([
    ['before it', 2],
    ['behind it', 1],
  ])('and rows that are committed %s have the same codes', async (_, segments) => {
    const store = await tempStore()
    await largeCollection(store, 'docs', {
      ...SHAPE,
      segments: [10_100, 10_050].slice(0, segments),
    })
    const docs = await store.collection('docs')
    const record = { id: 'late', vector: [...vector(2)] }
    const path = await inputFile(dirname(store.url), 'late.jsonl', `${JSON.stringify(record)}\n`)
    // The codes of its row are made before the index changes, as the collection then says.
    const work = once(() => docs.ingest({ inputs: [path] }))
    const index = { ...M8, quantization: 'pq' } as const
    await docs.buildIndex({ index, onProgress: work.onProgress })
    await work.doneMs()
    expect(await store.check({ readData: true })).toMatchObject({ ok: true })
    await store.close()
    const again = await (await opened(store.url, 'read')).collection('docs')
    expect((await again.info()).index.quantization).toBe('pq')
    const { hits, plan } = await again.search({ vector: vector(2), k: 3 })
    expect(hits[0]?.id).toBe('late')
    expect(plan).toMatchObject({ segments: Array(segments + 1).fill({}) })
  })

  it.each(['an ingest', 'a merge'])('is that of %s which began before it', async (work) => {
    const store = await tempStore()
    const halves = [linesOf('a', 5_100), linesOf('b', 5_100)]
    const inputs = await Promise.all(
      (work === 'a merge' ? halves : [halves.join('')]).map((text, i) =>
        inputFile(dirname(store.url), `${i}.jsonl`, text),
      ),
    )
    const docs = await store.createCollection('docs', { dimension: 8, metric: 'l2' })
    // It has nothing to build, and is committed at once.
    const change = once(() => docs.buildIndex({ index: M8 }))
    const [first = '', second = ''] = inputs
    if (work === 'a merge') {
      await docs.ingest({ inputs: [first] })
      await docs.ingest({ inputs: [second] })
      await docs.compact({ onProgress: change.onProgress })
    } else await docs.ingest({ inputs: [first], onProgress: change.onProgress })
    await change.doneMs()
    const { index, stateRoot } = await docs.info()
    expect(index.m).toBe(8)
    expect((await docs.indexStatus()).map(({ rows, graph }) => [rows, graph])).toEqual([
      [10_200, true],
    ])
    // What is built anew by what the state says has the same bytes.
    expect((await docs.buildIndex({ again: true })).segments).toBe(1)
    expect((await docs.info()).stateRoot).toBe(stateRoot)
  })

  it('is refused where another build was faster, or the collection is another', async () => {
    const store = await tempStore()
    await largeCollection(store, 'docs', { ...SHAPE, segments: [10_100, 10] })
    const docs = await store.collection('docs')
    const first = docs.buildIndex({ index: M8 })
    const other = docs.buildIndex({ index: { ...M8, m: 12 } })
    const ended = await Promise.allSettled([first, other])
    expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const [failed] = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect(failed).toMatchObject({ code: 'CONFLICT' })
    const work = once(async () => {
      await store.drop('docs')
      await store.createCollection('docs', { dimension: DIMENSION })
    })
    const again = docs.buildIndex({ again: true, onProgress: work.onProgress })
    await expect(again).rejects.toMatchObject({ code: 'CONFLICT' })
    await work.doneMs()
    expect((await (await store.collection('docs')).info()).count).toBe(0)
  })
})
