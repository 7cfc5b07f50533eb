// akidb, words and hybrid: akidb-text.mjs <set> <cranfield folder> <work folder>. Prints times of
// text, vector and hybrid searches over the generated documents, and nDCG@10 on Cranfield.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { newStore } from '../library.mjs'
import { quantile } from '../measure.mjs'
import { openSet } from '../sets/set-file.mjs'

const [setFolder, cranfield, folder] = process.argv.slice(2)
const { store } = await newStore(folder)
const told = { ...(await documents()), ndcg: await judged() }
await store.close()
console.log(JSON.stringify(told))

async function documents() {
  const set = openSet(setFolder)
  const texts = JSON.parse(readFileSync(join(setFolder, 'queries.json'), 'utf8'))
  const from = performance.now()
  const inputs = [join(setFolder, 'base.parquet')]
  await store.prospect('documents').ingest({ inputs, textColumns: ['text'] })
  const ingestMs = performance.now() - from
  const rows = await store.collection('documents')
  const { plan } = await rows.search({ text: texts[0], vector: set.queries[0], k: 10 })
  const { depth } = plan
  const kinds = {
    text: (i) => ({ text: texts[i] }),
    vector: (i) => ({ vector: set.queries[i] }),
    hybrid: (i) => ({ text: texts[i], vector: set.queries[i] }),
    // The parts of a hybrid search as it runs them.
    deepText: (i) => ({ text: texts[i], k: depth }),
    deepVector: (i) => ({ vector: set.queries[i], k: depth }),
  }
  const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]))
  // A warm-up, then in turns, so that a busy moment hits them all.
  for (let i = -100; i < texts.length; i++) {
    for (const [kind, request] of Object.entries(kinds)) {
      const started = performance.now()
      await rows.search({ k: 10, ...request(Math.abs(i)), withPayload: false })
      if (i >= 0) times[kind].push(performance.now() - started)
    }
  }
  const shares = { p50Ms: 0.5, p95Ms: 0.95, p99Ms: 0.99 }
  const figures = (all) =>
    Object.fromEntries(Object.entries(shares).map(([name, share]) => [name, quantile(all, share)]))
  const kindsTold = Object.entries(times).map(([kind, all]) => [kind, figures(all)])
  return { ingestMs, depth, ...Object.fromEntries(kindsTold) }
}

/** Mean nDCG@10, gain 1 for each relevant document, as the reference counts. */
async function judged() {
  const inputs = [join(cranfield, 'docs.jsonl')]
  await store.prospect('cranfield').ingest({ inputs, textColumns: ['text'] })
  const docs = await store.collection('cranfield')
  const relevant = Map.groupBy(
    readFileSync(join(cranfield, 'qrels.tsv'), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split('\t'))
      .filter(([, , relevance]) => Number(relevance) > 0),
    ([query]) => query,
  )
  const queries = readFileSync(join(cranfield, 'queries.jsonl'), 'utf8').trim().split('\n')
  const gain = (rank) => 1 / Math.log2(rank + 2)
  const scores = []
  for (const line of queries) {
    const { id, text } = JSON.parse(line)
    const wanted = new Set((relevant.get(String(id)) ?? []).map(([, doc]) => doc))
    const { hits } = await docs.search({ text, k: 10, withPayload: false })
    const found = hits.reduce((sum, hit, rank) => sum + (wanted.has(hit.id) ? gain(rank) : 0), 0)
    const ideal = Array.from({ length: Math.min(10, wanted.size) }, (_, rank) => gain(rank))
    scores.push(ideal.length === 0 ? 0 : found / ideal.reduce((sum, one) => sum + one, 0))
  }
  return scores.reduce((sum, score) => sum + score, 0) / scores.length
}
