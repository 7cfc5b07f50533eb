import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { SearchRequest } from '../../src/db/api/api.ts'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { runSearch } from '../../src/db/search/search-run.ts'
import { initStore, type OpenedStore, openStore } from '../../src/index.ts'
import { createCachedStore } from '../../src/storage/cache/cached-store.ts'
import type { ByteRange, ObjectStore } from '../../src/storage/object-store.ts'

const SEGMENTS = 5
/** Longer than any request takes here: who asks for one blob after the other is told apart. */
const PATIENCE_MS = 5_000

let folder: string
let store: OpenedStore
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-prefetch-'))
  await initStore({ url: folder })
  store = await openStore({ url: folder, mode: 'write', threads: 1 })
  const docs = await store.createCollection('docs', {
    ...{ dimension: 2, metric: 'l2', textFields: ['text'] },
  })
  for (let i = 0; i < SEGMENTS; i++) {
    await docs.upsert([
      { id: `${i}`, vector: Float32Array.of(i, 0), payload: { text: `row ${i}` } },
    ])
    await docs.flush()
  }
})
afterAll(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

/** A bucket that answers for no blob before all that are there were asked for. */
function patient(inner: ObjectStore): {
  readonly source: ObjectStore
  readonly asked: Set<string>
} {
  const asked = new Set<string>()
  const all = Promise.withResolvers<void>()
  const get = async (key: string, range?: ByteRange) => {
    if (key.startsWith('blobs/')) {
      asked.add(key)
      if (asked.size === SEGMENTS) all.resolve()
      const late = setTimeout(PATIENCE_MS, 'late', { ref: false })
      if ((await Promise.race([all.promise, late])) === 'late') throw new Error('one by one')
    }
    return await inner.get(key, range)
  }
  const source = new Proxy(inner, {
    get: (target, name) => {
      if (name === 'get') return get
      // The store itself stays open.
      if (name === 'close') return async () => undefined
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { source, asked }
}

const vector = Float32Array.of(2, 0)
const filter = { must: [{ key: 'text', match: { value: 'row 2' } }] }
const requests: [string, SearchRequest][] = [
  ['vector', { vector }],
  ['words', { text: 'row' }],
  ['vector and filter', { vector, filter }],
  ['words and filter', { text: 'row', filter }],
]

it.each(requests)('segments in a bucket are asked for at once by %s', async (name, request) => {
  const { source, asked } = patient(store.environment.store)
  const cached = createCachedStore({ inner: source, folder: join(folder, `cache-${name}`) })
  const environment = { ...store.environment, store: cached, mode: 'read' as const }
  const core = new CollectionCore({ environment, name: 'docs' })
  expect((await core.head()).state.segments).toHaveLength(SEGMENTS)
  const { hits } = await runSearch(core, { ...request, k: 3, cached: false })
  expect(hits.map(({ id }) => id)).toContain('2')
  expect(asked.size).toBe(SEGMENTS)
  await core.close()
  await cached.close()
})
