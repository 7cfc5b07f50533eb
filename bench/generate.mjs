// generate.mjs <rows> <dimension> <file>: clustered float32 vectors with ids and one field, as
// Parquet, in bounded memory; the same arguments give the same bytes.

import { mkdirSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileWriter, ParquetWriter } from 'hyparquet-writer'

const GROUP_ROWS = 2000
const CLUSTERS = 256
const NOISE = 0.35

const [rows, dimension, path] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]
const random = randomFrom(0x9e3779b9)
const centers = Array.from({ length: CLUSTERS }, () =>
  Float32Array.from({ length: dimension }, gaussian),
)

mkdirSync(dirname(path), { recursive: true })
const writer = fileWriter(`${path}.tmp`)
const parquet = new ParquetWriter({
  writer,
  codec: 'UNCOMPRESSED',
  schema: [
    { name: 'schema', num_children: 3 },
    { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
    { name: 'cluster', type: 'INT32', repetition_type: 'REQUIRED' },
    { name: 'embedding', num_children: 1, converted_type: 'LIST', repetition_type: 'REQUIRED' },
    { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
    { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
  ],
})
for (let first = 0; first < rows; first += GROUP_ROWS) {
  const count = Math.min(GROUP_ROWS, rows - first)
  const clusters = Array.from({ length: count }, () => Math.floor(random() * CLUSTERS))
  parquet.write({
    columnData: [
      { name: 'id', data: clusters.map((_, i) => `row-${first + i}`) },
      { name: 'cluster', data: clusters },
      { name: 'embedding', data: clusters.map(near), encoding: 'PLAIN', statistics: false },
    ],
    rowGroupSize: count,
  })
}
parquet.finish()
renameSync(`${path}.tmp`, path)

function near(cluster) {
  const center = centers[cluster]
  return Array.from(center, (value) => Math.fround(value + NOISE * gaussian()))
}

/** Sum of four uniforms: near enough to normal, and cheap. */
function gaussian() {
  return (random() + random() + random() + random() - 2) * 1.732
}

/** mulberry32, a 32-bit generator by Tommy Ettinger (public domain). */
function randomFrom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let word = Math.imul(state ^ (state >>> 15), 1 | state)
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word
    return ((word ^ (word >>> 14)) >>> 0) / 4294967296
  }
}
