// LanceDB from npm: a table with its scalar columns, HNSW over scalar-quantised vectors in one
// partition, m 16, ef_construction 200, and B-tree indexes for the filters. Its thread pools are
// left at the width that the job gives.

import { join } from 'node:path'
import * as lancedb from '@lancedb/lancedb'
import * as arrow from 'apache-arrow'
import { contest, versionOf } from './harness.mjs'

const PIECE = 20_000
const DISTANCES = { cosine: 'cosine', l2: 'l2', dot: 'dot' }

const pathOf = (job) => join(job.folder, 'lance')

await contest({
  version: versionOf('@lancedb/lancedb'),
  // Its ef must be at least k times the refinement.
  settings: ({ k }) =>
    [32, 64, 128, 256].flatMap((ef) =>
      [0, 3, 10]
        .filter((refine) => refine * k <= ef)
        .map((refine) => ({
          label: `ef ${ef}${refine === 0 ? '' : `, refine ${refine}`}`,
          ef,
          refine,
        })),
    ),
  filterSetting: () => ({ label: 'ef 128, refine 3', ef: 128, refine: 3 }),
  load: (set) => ({ base: set.base(), fields: set.fields.map((name) => set.field(name)) }),
  async build({ base, fields }, set, job) {
    const db = await lancedb.connect(pathOf(job))
    let table
    for (let first = 0; first < set.rows; first += PIECE) {
      const rows = batchOf(base, fields, set, first)
      if (table === undefined) table = await db.createTable('rows', rows)
      else await table.add(rows)
    }
    const started = performance.now()
    const config = lancedb.Index.hnswSq({
      distanceType: DISTANCES[set.metric],
      numPartitions: 1,
      m: 16,
      efConstruction: 200,
    })
    await table.createIndex('vector', { config })
    const indexMs = performance.now() - started
    for (const name of set.fields) {
      await table.createIndex(name, { config: lancedb.Index.btree() })
    }
    return { table, told: { indexMs } }
  },
  save: () => undefined,
  open: async (_set, job) => (await lancedb.connect(pathOf(job))).openTable('rows'),
  query: (vector) => vector,
  async search(table, query, k, { ef, refine, filter }) {
    let search = table.vectorSearch(query).limit(k).ef(ef).select(['row', '_distance'])
    if (refine > 0) search = search.refineFactor(refine)
    if (filter !== undefined) search = search.where(filter)
    return (await search.toArrow()).getChild('row').toArray()
  },
  filter(_set, { field, op, value }) {
    const literal = typeof value === 'string' ? `'${value}'` : value
    return `${field} ${op === '==' ? '=' : op} ${literal}`
  },
})

function batchOf(base, fields, { rows, dimension, fields: names }, first) {
  const count = Math.min(PIECE, rows - first)
  const values = base.slice(first * dimension, (first + count) * dimension)
  const list = new arrow.FixedSizeList(
    dimension,
    new arrow.Field('item', new arrow.Float32(), true),
  )
  const child = arrow.makeData({ type: new arrow.Float32(), length: values.length, data: values })
  const vector = arrow.makeData({ type: list, length: count, nullCount: 0, child })
  const columns = {
    row: arrow.vectorFromArray(Int32Array.from({ length: count }, (_, i) => first + i)),
    vector: new arrow.Vector([vector]),
  }
  for (const [n, name] of names.entries()) {
    const part = fields[n].slice(first, first + count)
    columns[name] = Array.isArray(part)
      ? arrow.vectorFromArray(part, new arrow.Utf8())
      : arrow.vectorFromArray(part)
  }
  return new arrow.Table(columns)
}
