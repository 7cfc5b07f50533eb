// LanceDB, words and hybrid: lancedb-text.mjs <set> <work folder>. BM25 by its full-text index with
// no stemming and no stop words, HNSW for the vectors, hybrid by its reciprocal-rank reranker.

import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as lancedb from '@lancedb/lancedb'
import { quantile } from '../measure.mjs'
import { openSet } from '../sets/set-file.mjs'

const PIECE = 10_000
const [setFolder, folder] = process.argv.slice(2)
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const set = openSet(setFolder)
const base = set.base()
const words = JSON.parse(readFileSync(join(setFolder, 'words.json'), 'utf8'))
const texts = JSON.parse(readFileSync(join(setFolder, 'queries.json'), 'utf8'))
const started = performance.now()
const table = await filled()
await table.createIndex('text', {
  config: lancedb.Index.fts({ stem: false, removeStopWords: false, asciiFolding: false }),
})
await table.createIndex('vector', {
  config: lancedb.Index.hnswSq({ distanceType: 'cosine', numPartitions: 1, m: 16 }),
})
const ingestMs = performance.now() - started
const reranker = await lancedb.rerankers.RRFReranker.create()

const kinds = {
  text: (i) => table.query().fullTextSearch(texts[i], { columns: ['text'] }),
  vector: (i) => table.vectorSearch(set.queries[i]).ef(128),
  hybrid: (i) =>
    table
      .query()
      .nearestTo(set.queries[i])
      .ef(128)
      .fullTextSearch(texts[i], { columns: ['text'] })
      .rerank(reranker),
}
const told = { ingestMs }
for (const [kind, query] of Object.entries(kinds)) {
  const times = []
  for (let i = -30; i < 200; i++) {
    const from = performance.now()
    await query(Math.abs(i)).limit(10).select(['row']).toArrow()
    if (i >= 0) times.push(performance.now() - from)
  }
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((share) => quantile(times, share))
  told[kind] = { p50Ms, p95Ms, p99Ms }
}
console.log(JSON.stringify(told))

async function filled() {
  const db = await lancedb.connect(join(folder, 'lance'))
  let table
  for (let first = 0; first < set.rows; first += PIECE) {
    const rows = words.slice(first, first + PIECE).map((text, i) => {
      const from = (first + i) * set.dimension
      return { row: first + i, text, vector: Array.from(base.subarray(from, from + set.dimension)) }
    })
    if (table === undefined) table = await db.createTable('rows', rows)
    else await table.add(rows)
  }
  return table
}
