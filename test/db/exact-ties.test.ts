import { dirname } from 'node:path'
import { expect, it } from 'vitest'
import type { Collection } from '../../src/index.ts'
import { largeCollection } from '../support/large-collection.ts'
import { inputFile, opened, tempStore } from '../support/temp-store.ts'

/** More than are kept of one segment, and of all, before they are cut. */
const ALIKE = 9_200

const nearestIds = async (docs: Collection, more: object = {}): Promise<string[]> => {
  const vector = Float32Array.of(1, 2, 3)
  const { hits } = await docs.search({ vector, k: 6, exact: true, withPayload: false, ...more })
  return hits.map(({ id }) => id)
}

it('of records that are alike gives the lowest ids, wherever they are stored', async () => {
  const store = await tempStore()
  const docs = await store.createCollection('docs', { dimension: 3 })
  const ids = Array.from({ length: ALIKE }, (_, i) => `r${String(i).padStart(4, '0')}`)
  const wanted = ids.slice(0, 6)
  // The lowest ids are in the last rows, and in both segments.
  for (const [part, name] of [0, 1].entries()) {
    const some = ids.filter((_, i) => i % 2 === part).toReversed()
    const lines = some.map((id) => `${JSON.stringify({ id, vector: [2, 4, 6], n: part })}\n`)
    await docs.ingest({
      inputs: [await inputFile(dirname(store.url), `${name}.jsonl`, lines.join(''))],
    })
  }
  expect(await nearestIds(docs)).toEqual(wanted)
  const odd = { filter: { n: 1 } }
  expect(await nearestIds(docs, odd)).toEqual(ids.filter((_, i) => i % 2 === 1).slice(0, 6))
  await docs.upsert([{ id: 'q', vector: Float32Array.of(3, 6, 9), payload: {} }])
  expect(await nearestIds(docs)).toEqual(['q', ...wanted.slice(0, 5)])
  await docs.delete({ ids: ['q', 'r0000'] })
  await docs.compact()
  expect(await nearestIds(docs)).toEqual(ids.slice(1, 7))
  const batch = docs.searchBatch([{ vector: Float32Array.of(1, 2, 3), k: 400, exact: true }])
  for await (const { hits } of batch) expect(hits.map(({ id }) => id)).toEqual(ids.slice(1, 401))
})

it('of rows on disk gives what it gives of rows in memory', async () => {
  const store = await tempStore()
  const dimension = 1_600
  const shape = { segments: [3_000], dimension, metric: 'cosine', seed: 7 } as const
  await largeCollection(store, 'docs', shape)
  const one = await (await store.collection('docs')).get(['0-17'], { withVector: true })
  const vector = one[0]?.vector as Float32Array
  const docs = await store.collection('docs')
  await docs.upsert(
    Array.from({ length: 60 }, (_, i) => ({
      id: `0-${2_000 - i}`,
      vector: vector.map((x) => x * 2),
    })),
  )
  const ask = async (from: Collection): Promise<unknown> => {
    const { hits } = await from.search({ vector, k: 20, exact: true, withPayload: false })
    return hits.map(({ id, distance }) => [id, distance])
  }
  const inLog = await ask(docs)
  await docs.compact()
  const whole = await ask(docs)
  expect(whole).toEqual(inLog)
  await store.close()
  const small = await opened(store.url, 'read', { memoryBytes: 12 * 2 ** 20 })
  const fromDisk = await small.collection('docs')
  expect((await fromDisk.info()).segments[0]?.memory?.vectors).toBe('disk')
  expect(await ask(fromDisk)).toEqual(whole)
})
