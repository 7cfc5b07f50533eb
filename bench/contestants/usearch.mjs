// usearch from npm, connectivity 16, expansion_add 200; vectors kept as f32, f16 or i8 without
// rescoring. The package has no filtered search.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { contest, versionOf } from './harness.mjs'

const require = createRequire(import.meta.url)
const { Index, MetricKind } = require('usearch')
const quantization = process.argv[4] ?? 'f32'
const METRICS = { cosine: MetricKind.Cos, l2: MetricKind.L2sq, dot: MetricKind.IP }
const EF = [16, 32, 64, 128, 256, 512]

const fileOf = (job) => join(job.folder, 'index.usearch')

function empty({ dimension, metric }, ef) {
  return new Index({
    dimensions: dimension,
    metric: METRICS[metric],
    quantization,
    connectivity: 16,
    expansion_add: 200,
    expansion_search: ef,
    multi: false,
  })
}

await contest({
  version: versionOf('usearch'),
  settings: () => EF.map((ef) => ({ label: `ef ${ef}`, ef })),
  load: (set) => ({
    base: set.base(),
    keys: BigUint64Array.from({ length: set.rows }, (_, i) => BigInt(i)),
  }),
  build({ base, keys }, set, { threads }) {
    const index = empty(set, 128)
    index.add(keys, base, threads)
    return index
  },
  save: (index, _set, job) => index.save(fileOf(job)),
  // expansion_search is fixed when an index is made: one for each ef, loaded when it is wanted.
  open: (set, job) => ({ set, job, at: new Map() }),
  prepare({ set, job, at }, { ef }) {
    if (at.has(ef)) return
    const index = empty(set, ef)
    index.load(fileOf(job))
    at.clear()
    at.set(ef, index)
  },
  query: (vector) => vector,
  search(opened, query, k, setting) {
    if (!opened.at.has(setting.ef)) this.prepare(opened, setting)
    return opened.at.get(setting.ef).search(query, k, 1).keys
  },
  batch(opened, queries, k, { ef }, threads) {
    opened.matrix ??= flat(queries)
    const { keys } = opened.at.get(ef).search(opened.matrix, k, threads)
    return keys
  },
})

function flat(queries) {
  const all = new Float32Array(queries.length * queries[0].length)
  for (const [i, query] of queries.entries()) all.set(query, i * query.length)
  return all
}
