// A working store in a folder, and one in a bucket: working-store.mjs <job.json> with {url, s3,
// stateHome, input}. Ingests with an index, searches, writes single rows by 16 writers; prints
// {ingestMs, p50Ms, written} (rows a second, each acknowledged).

import { readFileSync } from 'node:fs'
import { library } from '../library.mjs'
import { median } from '../measure.mjs'
import { gaussianFrom, randomFrom } from '../sets/random.mjs'
import { writers } from './pace.mjs'

const WRITERS = 16
const LASTS_MS = 4000
const QUERIES = 200
const ROUNDS = 5
const DIMENSION = 128

const { input, ...place } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { initStore, openStore } = await library()
const number = gaussianFrom(randomFrom(7))
const vectorOf = (length) => Float32Array.from({ length }, number)

await initStore(place)
const store = await openStore({ ...place, mode: 'write', threads: 2, resultCacheBytes: 0 })
const started = performance.now()
await store.prospect('docs').ingest({ inputs: [input] })
const ingestMs = performance.now() - started
const docs = await store.collection('docs')
const { dimension } = await docs.info()
const queries = Array.from({ length: QUERIES }, () => vectorOf(dimension))
for (const vector of queries) await docs.search({ vector, k: 10 })
const times = []
for (let round = 0; round < ROUNDS; round++) {
  for (const vector of queries) {
    const from = performance.now()
    await docs.search({ vector, k: 10 })
    times.push(performance.now() - from)
  }
}
await store.createCollection('rows', { dimension: DIMENSION })
const rows = await store.collection('rows')
let next = 0
const write = () => rows.upsert([{ id: `r${next++}`, vector: vectorOf(DIMENSION) }])
// The first makes this process the owner of the log.
await write()
const written = await writers(WRITERS, LASTS_MS, write)
await store.close()
console.log(JSON.stringify({ ingestMs, p50Ms: median(times), written }))
