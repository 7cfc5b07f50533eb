// Searches LaBSE one query at a time in a store that lies in a bucket or in a folder:
// bucket-search.mjs <job.json> with {url, s3, stateHome, queries}; prints {openMs, p50Ms}, the
// latter of the last of several rounds.

import { readFileSync } from 'node:fs'
import { library } from '../library.mjs'
import { median } from '../measure.mjs'

/** The first of them bring payload pages into memory. */
const ROUNDS = 4

const { collection: name, queries, ...request } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { openStore } = await library()
const started = performance.now()
const store = await openStore({ ...request, mode: 'read', resultCacheBytes: 0 })
const collection = await store.collection(name)
const vectors = queries.map((query) => Float32Array.from(query))
await collection.search({ vector: vectors[0], k: 10 })
const openMs = performance.now() - started
const times = []
for (let round = 0; round < ROUNDS; round++) {
  times.length = 0
  for (const vector of vectors) {
    const from = performance.now()
    await collection.search({ vector, k: 10 })
    times.push(performance.now() - from)
  }
}
await store.close()
console.log(JSON.stringify({ openMs, p50Ms: median(times) }))
