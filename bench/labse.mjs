// The LaBSE set: vectors, queries, exact answers and recall against them.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { labse } from './measure.mjs'

/** Columns of a Parquet file as objects, in file order. */
export async function rowsOfParquet(name, columns) {
  const file = await asyncBufferFromFile(join(labse, name))
  return parquetReadObjects({ file, compressors, columns })
}

/** Ids and vectors of a Parquet file, in file order. */
export async function vectorsOf(name) {
  const rows = await rowsOfParquet(name, ['id', 'embedding'])
  return rows.map((row) => ({ id: row.id, vector: Float32Array.from(row.embedding) }))
}

export const truth = () => JSON.parse(readFileSync(join(labse, 'labse-truth.json'), 'utf8'))
export const filterTruth = () =>
  JSON.parse(readFileSync(join(labse, 'labse-filter-truth.json'), 'utf8'))

/** Share of the exact first k that answers hold. `answers`: query id → ids. */
export function recallOf(neighbors, answers, k = 10) {
  let found = 0
  let wanted = 0
  for (const [query, got] of answers) {
    const exact = neighbors[query].slice(0, k).map((neighbor) => neighbor.id ?? neighbor)
    const ids = new Set(got.slice(0, k))
    found += exact.filter((id) => ids.has(id)).length
    wanted += exact.length
  }
  return found / wanted
}
