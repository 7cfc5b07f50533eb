// akidb through its library, in process: a store is made, the set's Parquet file ingested without
// index, then the graph built. m 16, efConstruction 200, its defaults. `threads` workers.

import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { library } from '../library.mjs'
import { contest } from './harness.mjs'

const { initStore, openStore, akidbVersion } = await library()
const RANGES = { '>=': 'gte', '>': 'gt', '<=': 'lte', '<': 'lt' }
const EF = [16, 32, 48, 64, 96, 128, 192, 256, 512]

const urlOf = (job) => join(job.folder, 'store')

await contest({
  version: akidbVersion(),
  settings: () => EF.map((ef) => ({ label: `ef ${ef}`, ef })),
  filterSetting: () => ({ label: 'ef 128', ef: 128 }),
  load: () => undefined,
  async build(_input, set, job) {
    const url = urlOf(job)
    mkdirSync(job.folder, { recursive: true })
    await initStore({ url, noKey: true })
    const store = await openStore({ url, mode: 'write', threads: job.threads })
    const rows = store.prospect('rows')
    const from = performance.now()
    const inputs = [join(set.folder, 'base.parquet')]
    await rows.ingest({ inputs, metric: set.metric, noIndex: true })
    const ingestMs = performance.now() - from
    const collection = await store.collection('rows')
    const before = performance.now()
    await collection.buildIndex()
    const indexMs = performance.now() - before
    await store.close()
    return { told: { ingestMs, indexMs } }
  },
  save: () => undefined,
  async open(set, job) {
    const store = await openStore({
      url: urlOf(job),
      mode: 'read',
      threads: job.threads,
      resultCacheBytes: 0,
    })
    const rows = await store.collection('rows')
    return { store, rows, numbers: numbersOf(set) }
  },
  query: (vector) => vector,
  async search({ rows, numbers }, vector, k, { ef, filter }) {
    const request = { vector, k, ef, withPayload: false }
    const { hits } = await rows.search(filter === undefined ? request : { ...request, filter })
    return hits.map(({ id }) => numbers(id))
  },
  async batch({ rows }, vectors, k, { ef }) {
    const requests = vectors.map((vector) => ({ vector, k, ef, withPayload: false }))
    if (rows.searchBatch === undefined) return Promise.all(requests.map((one) => rows.search(one)))
    return Array.fromAsync(rows.searchBatch(requests))
  },
  filter(_set, { field, op, value }) {
    const condition = op === '==' ? { match: { value } } : { range: { [RANGES[op]]: value } }
    return { must: [{ key: field, ...condition }] }
  },
  close: ({ store }) => store.close(),
})

/** LaBSE's ids are its own; every generated set has the row's number as id. */
function numbersOf({ folder, name }) {
  if (name !== 'labse') return Number
  const ids = JSON.parse(readFileSync(join(folder, 'ids.json'), 'utf8'))
  const numbers = new Map(ids.map((id, row) => [id, row]))
  return (id) => numbers.get(id)
}
