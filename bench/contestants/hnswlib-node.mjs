// hnswlib-node, M 16, efConstruction 200, one thread (it has no other way). The same adapter runs
// the package as npm builds it and, under its second name, built with -march=native.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { contest, versionOf } from './harness.mjs'

const name = process.argv[4] ?? 'hnswlib-node'
const require = createRequire(import.meta.url)
const hnswlib = require(name)
const EF = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]

const fileOf = (job) => join(job.folder, 'index.hnsw')
const empty = ({ metric, dimension }) => new hnswlib.HierarchicalNSW(metric, dimension)

await contest({
  version: versionOf(name),
  settings: () => EF.map((ef) => ({ label: `ef ${ef}`, ef })),
  filterSetting: () => ({ label: 'ef 128', ef: 128 }),
  // 20 ms a query at 1 %: fewer queries give the same median.
  filterQueries: 60,
  // Plain arrays, as its interface wants them, in pieces: a million rows do not fit otherwise.
  load: (set) => set.base(),
  build(base, { rows, dimension, metric }) {
    const index = empty({ metric, dimension })
    index.initIndex(rows, 16, 200, 100)
    let took = 0
    for (let first = 0; first < rows; first += 1000) {
      const points = Array.from({ length: Math.min(1000, rows - first) }, (_, i) =>
        Array.from(base.subarray((first + i) * dimension, (first + i + 1) * dimension)),
      )
      const from = performance.now()
      for (let i = 0; i < points.length; i++) index.addPoint(points[i], first + i)
      took += performance.now() - from
    }
    return { index, told: { buildMs: took, indexMs: took } }
  },
  save: ({ index }, _set, job) => index.writeIndexSync(fileOf(job)),
  open(set, job) {
    const index = empty(set)
    index.readIndexSync(fileOf(job))
    return index
  },
  prepare: (index, { ef }) => index.setEf(ef),
  query: (vector) => Array.from(vector),
  search: (index, query, k, { filter }) => index.searchKnn(query, k, filter).neighbors,
  filter(set, { file }) {
    const mask = set.mask(file)
    return (row) => mask[row] === 1
  },
})
