import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { labse } from '../measure.mjs'
import { Nearest, squaredDistance } from './nearest.mjs'
import { writeParquet } from './parquet-set.mjs'
import { bytesOf, setFolder } from './set-file.mjs'

const K = 10
const SIDE = 28
const QUERIES = 200

/**
 * The 10,000 MNIST test images as 784 small integers, Euclidean. Queries are every fiftieth image
 * moved one pixel to the right and down: none of them is in the set.
 */
export const mnistSet = () => setFolder('mnist', make)

async function make(folder) {
  const file = join(labse, 'mnist', 't10k-images-idx3-ubyte.gz')
  const pixels = gunzipSync(readFileSync(file)).subarray(16)
  const base = Float32Array.from(pixels)
  const dimension = SIDE * SIDE
  const rows = base.length / dimension
  const queries = new Float32Array(QUERIES * dimension)
  for (let i = 0; i < QUERIES; i++) {
    const image = base.subarray((i * rows * dimension) / QUERIES).subarray(0, dimension)
    queries.set(moved(image), i * dimension)
  }
  const truth = []
  for (let i = 0; i < QUERIES; i++) {
    const query = queries.subarray(i * dimension, (i + 1) * dimension)
    const nearest = new Nearest(K)
    for (let row = 0; row < rows; row++) {
      nearest.offer(row, squaredDistance(base, row * dimension, query))
    }
    truth.push(...nearest.filled())
  }
  writeFileSync(join(folder, 'base.f32'), bytesOf(base))
  writeFileSync(join(folder, 'queries.f32'), bytesOf(queries))
  writeFileSync(join(folder, 'truth.i32'), bytesOf(Int32Array.from(truth)))
  const parquet = writeParquet(join(folder, 'base.parquet'), { dimension })
  for (let row = 0; row < rows; row += 2000) {
    parquet.write(row, base.subarray(row * dimension, (row + 2000) * dimension))
  }
  parquet.finish()
  const title = 'MNIST, 10,000 × 784, l2'
  return { title, rows, dimension, metric: 'l2', k: K, fields: [], filters: [] }
}

function moved(image) {
  const next = new Float32Array(image.length)
  for (let y = 1; y < SIDE; y++) {
    next.set(image.subarray((y - 1) * SIDE, y * SIDE - 1), y * SIDE + 1)
  }
  return next
}
