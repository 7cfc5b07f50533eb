// Searches LaBSE one query at a time in stores that lie in a bucket or in a folder, each query in
// all of them in turn: bucket-search.mjs <job.json> with {places: [{url, s3, stateHome}],
// collection, queries}; prints {openMs, p50Ms}, a number a place. Opening goes from nothing to the
// first answer; p50Ms is the median over the queries of each one's fastest round, so that what else
// the machine does in between counts for nobody.

import { readFileSync } from 'node:fs'
import { library } from '../library.mjs'
import { median } from '../measure.mjs'

const ROUNDS = 8

const { places, collection, queries } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { openStore } = await library()
const vectors = queries.map((query) => Float32Array.from(query))
const opened = []
for (const place of places) {
  const started = performance.now()
  const store = await openStore({ ...place, mode: 'read', resultCacheBytes: 0 })
  const found = await store.collection(collection)
  await found.search({ vector: vectors[0], k: 10 })
  const openMs = performance.now() - started
  opened.push({ store, found, openMs, times: vectors.map(() => Number.POSITIVE_INFINITY) })
}
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, vector] of vectors.entries()) {
    const turn = (i + round) % 2 === 0 ? opened : opened.toReversed()
    for (const { found, times } of turn) {
      const from = performance.now()
      await found.search({ vector, k: 10 })
      times[i] = Math.min(times[i], performance.now() - from)
    }
  }
}
for (const { store } of opened) await store.close()
const openMs = opened.map((each) => each.openMs)
console.log(JSON.stringify({ openMs, p50Ms: opened.map(({ times }) => median(times)) }))
