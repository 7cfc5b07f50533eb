// hnswlib-node: single-threaded build (M 16, efConstruction 200) and searches at several ef.
// Vectors are plain arrays before any clock starts, as its interface wants them.

import hnswlib from 'hnswlib-node'
import { recallOf, truth, vectorsOf } from '../labse.mjs'
import { median } from '../measure.mjs'

const EF = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]

const rows = await vectorsOf('labse-public.parquet')
const queries = await vectorsOf('labse-queries.parquet')
const points = rows.map((row) => Array.from(row.vector))
const wanted = queries.map((query) => [query.id, Array.from(query.vector)])

const index = new hnswlib.HierarchicalNSW('cosine', points[0].length)
index.initIndex(points.length, 16, 200, 100)
const started = performance.now()
for (const [label, point] of points.entries()) index.addPoint(point, label)
const buildMs = performance.now() - started

const { neighbors } = truth()
const searches = EF.map((ef) => {
  index.setEf(ef)
  const times = []
  const answers = wanted.map(([id, point]) => {
    const from = performance.now()
    const found = index.searchKnn(point, 10)
    times.push(performance.now() - from)
    return [id, found.neighbors.map((label) => rows[label].id)]
  })
  return { ef, p50Ms: median(times), recall: recallOf(neighbors, answers) }
})
console.log(JSON.stringify({ buildMs, searches }))
