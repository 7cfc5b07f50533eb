// generate.mjs <rows> <dimension> <file>: clustered float32 vectors with ids and one field, as
// Parquet, in bounded memory; the same arguments give the same bytes.

import { writeParquet } from './sets/parquet-set.mjs'
import { gaussianFrom, randomFrom } from './sets/random.mjs'

const PIECE = 2000
const CLUSTERS = 256
const NOISE = 0.35

const [rows, dimension, path] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]
const random = randomFrom(0x9e3779b9)
const gaussian = gaussianFrom(random)
const centers = Array.from({ length: CLUSTERS }, () =>
  Float32Array.from({ length: dimension }, gaussian),
)

const parquet = writeParquet(path, { dimension, field: 'cluster' })
for (let first = 0; first < rows; first += PIECE) {
  const count = Math.min(PIECE, rows - first)
  const clusters = Array.from({ length: count }, () => Math.floor(random() * CLUSTERS))
  const vectors = new Float32Array(count * dimension)
  for (const [row, cluster] of clusters.entries()) {
    const center = centers[cluster]
    const from = row * dimension
    for (let i = 0; i < dimension; i++) vectors[from + i] = center[i] + NOISE * gaussian()
  }
  parquet.write(first, vectors, clusters)
}
parquet.finish()
