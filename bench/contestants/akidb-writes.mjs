// akidb, writes beside searches: akidb-writes.mjs <set> <large Parquet file> <work folder>. Single
// rows by 16 writers in this process, with and without searches; then an ingest without index by a
// process of its own into another collection of the store, while this one searches.

import { join } from 'node:path'
import { newStore } from '../library.mjs'
import { akidb, run } from '../measure.mjs'
import { openSet } from '../sets/set-file.mjs'
import { paced, writers } from './pace.mjs'

const WRITERS = 16
const LASTS_MS = 4000
const [setFolder, large, folder] = process.argv.slice(2)
const set = openSet(setFolder)
const base = set.base()
const { store, url } = await newStore(folder)
await store.prospect('rows').ingest({ inputs: [join(setFolder, 'base.parquet')] })
const rows = await store.collection('rows')

const search = (i) =>
  rows.search({ vector: set.queries[i % set.queries.length], k: 10, withPayload: false })
const forSome = () => {
  const until = performance.now() + LASTS_MS
  return () => performance.now() < until
}
let next = 0
const write = async () => {
  const row = next++ % set.rows
  const vector = base.slice(row * set.dimension, (row + 1) * set.dimension)
  await rows.upsert([{ id: `new-${next}`, vector, payload: { u: row } }])
}

const alone = await writers(WRITERS, LASTS_MS, write)
await rows.flush()
await paced(search, forSome())
const idle = await paced(search, forSome())
const [beside, during] = await Promise.all([
  writers(WRITERS, LASTS_MS, write),
  paced(search, forSome()),
])
await rows.flush()
await paced(search, forSome())
// There are more rows and segments now.
const idleAfter = await paced(search, forSome())

let ingesting = true
const started = performance.now()
const command = ['--store', url, 'ingest', 'more', large, '--no-index', '--json']
const [, duringIngest] = await Promise.all([
  run(akidb, command).finally(() => {
    ingesting = false
  }),
  paced(search, () => ingesting),
])
const ingestMs = performance.now() - started
await store.close()
console.log(JSON.stringify({ idle, idleAfter, alone, beside, during, ingestMs, duringIngest }))
