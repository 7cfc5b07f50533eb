// akidb through its library, in process: akidb.mjs <store> <collection>. One warm-up round, then
// each query on its own, at the default ef and at others; then the filters.

import { filterTruth, recallOf, truth, vectorsOf } from '../labse.mjs'
import { library } from '../library.mjs'
import { median } from '../measure.mjs'

const RANGES = { '>=': 'gte', '>': 'gt', '<=': 'lte', '<': 'lt' }
const [url, name] = process.argv.slice(2)
const { openStore } = await library()
const queries = await vectorsOf('labse-queries.parquet')
const store = await openStore({ url, mode: 'read' })
const collection = await store.collection(name)
const { neighbors } = truth()

await round(queries.slice(0, 100), {})
const searches = []
for (const ef of [undefined, 64, 128, 256]) {
  const options = ef === undefined ? {} : { ef }
  const { answers, p50Ms, p99Ms } = await round(queries, options)
  searches.push({ ef: ef ?? 'default', p50Ms, p99Ms, recall: recallOf(neighbors, answers) })
}
const payload = await round(queries, { withPayload: true })

const filters = []
for (const { filter, matching, neighbors: exact } of filterTruth().filters) {
  const some = queries.filter((query) => query.id in exact)
  const { answers, p50Ms } = await round(some, { filter: inOurLanguage(filter) })
  const short = answers.filter(([, ids]) => ids.length < Math.min(10, matching)).length
  const title = `${filter.field} ${filter.op} ${filter.value}`
  filters.push({ title, matching, p50Ms, short, recall: recallOf(exact, answers) })
}
await store.close()
console.log(JSON.stringify({ searches, payloadP50Ms: payload.p50Ms, filters }))

async function round(some, options) {
  const times = []
  const answers = []
  for (const { id, vector } of some) {
    const from = performance.now()
    const { hits } = await collection.search({ vector, k: 10, withPayload: false, ...options })
    times.push(performance.now() - from)
    answers.push([id, hits.map((hit) => hit.id)])
  }
  const sorted = times.toSorted((a, b) => a - b)
  return { answers, p50Ms: median(times), p99Ms: sorted[Math.floor(sorted.length * 0.99)] }
}

function inOurLanguage({ field, op, value }) {
  const condition = op === '==' ? { match: { value } } : { range: { [RANGES[op]]: value } }
  return { must: [{ key: field, ...condition }] }
}
