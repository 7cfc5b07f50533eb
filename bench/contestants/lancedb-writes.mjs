// LanceDB, single rows by 16 writers beside searches: lancedb-writes.mjs <set> <work folder>. Each
// add is a version of the table; whether it is synced to the disk is left to its default.

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as lancedb from '@lancedb/lancedb'
import { openSet } from '../sets/set-file.mjs'
import { paced, writers } from './pace.mjs'

const WRITERS = 16
const LASTS_MS = 4000
const [setFolder, folder] = process.argv.slice(2)
const set = openSet(setFolder)
const base = set.base()
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const rowOf = (row) => ({
  row,
  vector: Array.from(base.subarray(row * set.dimension, (row + 1) * set.dimension)),
})
const db = await lancedb.connect(join(folder, 'lance'))
const table = await db.createTable(
  'rows',
  Array.from({ length: set.rows }, (_, i) => rowOf(i)),
)
await table.createIndex('vector', {
  config: lancedb.Index.hnswSq({ distanceType: 'cosine', numPartitions: 1, m: 16 }),
})
const search = (i) =>
  table
    .vectorSearch(set.queries[i % set.queries.length])
    .limit(10)
    .ef(128)
    .select(['row'])
    .toArrow()
const forSome = () => {
  const until = performance.now() + LASTS_MS
  return () => performance.now() < until
}
const write = (i) => table.add([rowOf(i % set.rows)])

await paced(search, forSome())
const idle = await paced(search, forSome())
const alone = await writers(WRITERS, LASTS_MS, write)
const [beside, during] = await Promise.all([
  writers(WRITERS, LASTS_MS, write),
  paced(search, forSome()),
])
console.log(JSON.stringify({ idle, alone, beside, during }))
