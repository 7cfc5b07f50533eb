import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { filterTruth, rowsOfParquet, truth } from '../labse.mjs'
import { labse } from '../measure.mjs'
import { bytesOf, setFolder } from './set-file.mjs'

const K = 10
const HOLDS = {
  '==': (a, b) => a === b,
  '>=': (a, b) => a >= b,
}

/** LaBSE, 20,000 × 768, cosine, with its published exact answers and its four filters. */
export const labseSet = () => setFolder('labse', make)

async function make(folder) {
  const rows = await rowsOfParquet('labse-public.parquet', ['id', 'lang', 'chars', 'embedding'])
  const queries = await rowsOfParquet('labse-queries.parquet', ['id', 'embedding'])
  const numbers = new Map(rows.map(({ id }, row) => [id, row]))
  const write = (name, bytes) => writeFileSync(join(folder, name), bytes)
  write('base.f32', bytesOf(flat(rows)))
  write('queries.f32', bytesOf(flat(queries)))
  const { neighbors } = truth()
  const exact = queries.flatMap(({ id }) => neighbors[id].slice(0, K).map((n) => numbers.get(n)))
  write('truth.i32', bytesOf(Int32Array.from(exact)))
  write('ids.json', JSON.stringify(rows.map(({ id }) => id)))
  write('field-lang.json', JSON.stringify(rows.map(({ lang }) => lang)))
  write('field-chars.i32', bytesOf(Int32Array.from(rows, ({ chars }) => chars)))
  copyFileSync(join(labse, 'labse-public.parquet'), join(folder, 'base.parquet'))
  const filters = filterTruth().filters.map(({ filter, matching, neighbors: nearest }, n) => {
    const { field, op, value } = filter
    write(
      `filter-${n}.u8`,
      Uint8Array.from(rows, (row) => (HOLDS[op](row[field], value) ? 1 : 0)),
    )
    // The first queries are those that have an answer: 200 of 500.
    const some = queries.filter(({ id }) => id in nearest)
    if (some.some(({ id }, i) => queries[i].id !== id)) throw new Error('not the first queries')
    const found = some.flatMap(({ id }) => nearest[id].map((hit) => numbers.get(hit.id)))
    write(`filter-${n}.i32`, bytesOf(Int32Array.from(found)))
    const title = `${field} ${op} ${value}`
    return { title, field, op, value, matching, share: matching / rows.length }
  })
  return {
    title: 'LaBSE, 20,000 × 768, cosine',
    rows: rows.length,
    dimension: 768,
    metric: 'cosine',
    k: K,
    fields: ['lang', 'chars'],
    filters: filters
      .toSorted((a, b) => b.share - a.share)
      .map((filter) => ({
        ...filter,
        file: filters.indexOf(filter),
      })),
  }
}

function flat(rows) {
  const all = new Float32Array(rows.length * rows[0].embedding.length)
  for (const [row, { embedding }] of rows.entries()) all.set(embedding, row * embedding.length)
  return all
}
