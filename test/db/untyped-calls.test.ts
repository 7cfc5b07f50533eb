import { beforeAll, expect, it } from 'vitest'
import { initStore } from '../../src/db/open/init.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import { checkBundle } from '../../src/transfer/bundles.ts'
import { suiteStore } from '../support/temp-store.ts'

/** Nothing that a caller without types can write ends in an error of the language's own. */
const store = suiteStore(async (made) => {
  await made.createCollection('docs', { dimension: 2 })
  return made
})
let opened: OpenedStore
beforeAll(async () => {
  opened = await store()
})

// biome-ignore lint/suspicious/noExplicitAny: what these callers have
type Untyped = any

const CALLS: Record<string, (docs: Untyped, open: Untyped) => unknown> = {
  'search()': (docs) => docs.search(),
  'search(null)': (docs) => docs.search(null),
  'search([])': (docs) => docs.search([]),
  'query()': (docs) => docs.query(),
  'facet()': (docs) => docs.facet(),
  'ingest()': (docs) => docs.ingest(),
  'ingest({})': (docs) => docs.ingest({}),
  'ingest of one text': (docs) => docs.ingest({ inputs: 'rows.csv' }),
  'preview({})': (docs) => docs.preview({}),
  'upsert()': (docs) => docs.upsert(),
  'upsert of one record': (docs) => docs.upsert({ id: 'a', vector: [1, 2] }),
  'delete()': (docs) => docs.delete(),
  'get()': (docs) => docs.get(),
  'get of one id': (docs) => docs.get('a'),
  'searchBatch()': (docs) => Array.fromAsync(docs.searchBatch()),
  'searchBatch([null])': (docs) => Array.fromAsync(docs.searchBatch([null])),
  'createCollection()': (_docs, open) => open.createCollection(),
  'openStore()': () => (openStore as Untyped)(),
  'openStore({})': () => (openStore as Untyped)({}),
  'openStore without url': () => (openStore as Untyped)({ mode: 'read' }),
  'another mode': (_docs, open) => openStore({ url: open.url, mode: 'write ' as 'write' }),
  'threads as text': (_docs, open) =>
    openStore({ url: open.url, mode: 'read', threads: '2' as unknown as number }),
  'no threads': (_docs, open) => openStore({ url: open.url, mode: 'read', threads: 0 }),
  'initStore()': () => (initStore as Untyped)(),
  'initStore({})': () => (initStore as Untyped)({}),
  'verifyBundle({})': () => (checkBundle as Untyped)({}),
}

it.each(Object.keys(CALLS))('%s is USAGE', async (name) => {
  const call = CALLS[name] as (docs: Untyped, open: Untyped) => unknown
  const docs = await opened.collection('docs')
  const made = (async () => call(docs, opened))()
  await expect(made).rejects.toMatchObject({ code: 'USAGE' })
})

it('a record that is none is BAD_INPUT, and too many threads are LIMIT', async () => {
  const docs = await opened.collection('docs')
  await expect(docs.upsert([null as never])).rejects.toMatchObject({ code: 'BAD_INPUT' })
  const made = openStore({ url: opened.url, mode: 'read', threads: 1e6 })
  await expect(made).rejects.toMatchObject({ code: 'LIMIT' })
})
