import { join } from 'node:path'
import { vectorsOf } from '../labse.mjs'
import { newStore } from '../library.mjs'
import { data, median, ms } from '../measure.mjs'
import { writeParquet } from '../sets/parquet-set.mjs'

const QUERIES = 200
const [K, EF] = [10, 128]
const RECALL_MIN = 0.95
const ROWS_A_GROUP = 1_000
/** Shares of the rows that pass: what is farthest from the queries, and what is nearest. */
const SHARES = [0.9, 0.6, 0.4]

/**
 * Filters that follow the vectors, over LaBSE: they leave out what is nearest to the queries, or
 * leave just that. A walk of a graph comes upon other rows there than upon rows left by chance.
 */
export async function nearFilters() {
  const rows = await vectorsOf('labse-public.parquet')
  const order = byDistance(rows)
  const file = write(rows, order)
  const { store } = await newStore(join(data, 'near-filters'))
  try {
    const dimension = rows[0].vector.length
    const docs = await store.createCollection('docs', { dimension, metric: 'cosine' })
    await docs.ingest({ inputs: [file] })
    const queries = order.slice(0, QUERIES).map((row) => rows[row].vector)
    const all = await measured(docs, queries, undefined)
    const bars = []
    for (const share of SHARES) {
      const count = Math.round(rows.length * share)
      for (const [what, range] of [
        ['farthest from', { gte: rows.length - count }],
        ['nearest to', { lt: count }],
      ]) {
        const filter = { must: [{ key: 'rank', range }] }
        const taken = await measured(docs, queries, filter)
        bars.push(barOf(`the ${share * 100} % ${what} the queries`, all, taken))
      }
    }
    return { bars }
  } finally {
    await store.close()
  }
}

const barOf = (what, all, { recall, p50Ms, exactMs }) => ({
  name: `LaBSE: filter leaves ${what}, recall@${K} at ef ${EF}`,
  figure:
    `${recall.toFixed(4)}; p50 ${ms(p50Ms)}, without the filter ${ms(all.p50Ms)}, ` +
    `exact ${ms(exactMs)}`,
  value: recall,
  bar: RECALL_MIN,
  least: true,
  runs: QUERIES,
})

/** Numbers of the rows, the nearest to the first one first. */
function byDistance(rows) {
  const [{ vector: anchor }] = rows
  const nearness = rows.map(({ vector }) => {
    let [dot, squares] = [0, 0]
    for (let i = 0; i < vector.length; i++) {
      dot += vector[i] * anchor[i]
      squares += vector[i] ** 2
    }
    return dot / Math.sqrt(squares)
  })
  return rows.map((_, row) => row).sort((a, b) => nearness[b] - nearness[a] || a - b)
}

/** The rows as Parquet, each with its rank. */
function write(rows, order) {
  const ranks = new Int32Array(rows.length)
  for (const [rank, row] of order.entries()) ranks[row] = rank
  const dimension = rows[0].vector.length
  const path = join(data, 'near-filters.parquet')
  const file = writeParquet(path, { dimension, field: 'rank' })
  for (let first = 0; first < rows.length; first += ROWS_A_GROUP) {
    const group = rows.slice(first, first + ROWS_A_GROUP)
    const vectors = new Float32Array(group.length * dimension)
    for (const [at, { vector }] of group.entries()) vectors.set(vector, at * dimension)
    file.write(first, vectors, ranks.subarray(first, first + group.length))
  }
  file.finish()
  return path
}

async function measured(docs, queries, filter) {
  const times = { planned: [], exact: [] }
  let [found, wanted] = [0, 0]
  for (const vector of queries) {
    const ids = {}
    for (const exact of [false, true]) {
      const started = performance.now()
      const { hits } = await docs.search({ vector, k: K, ef: EF, filter, exact })
      times[exact ? 'exact' : 'planned'].push(performance.now() - started)
      ids[exact] = hits.map(({ id }) => id)
    }
    found += ids.false.filter((id) => ids.true.includes(id)).length
    wanted += ids.true.length
  }
  return {
    recall: found / wanted,
    p50Ms: median(times.planned),
    exactMs: median(times.exact),
  }
}
