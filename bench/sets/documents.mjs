import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeParquet } from './parquet-set.mjs'
import { gaussianFrom, randomFrom } from './random.mjs'
import { bytesOf, setFolder } from './set-file.mjs'

const VOCABULARY = 60_000
const DIMENSION = 128
const QUERIES = 500
const PIECE = 2000

/**
 * Generated documents of 60 to 100 words drawn from a Zipf distribution over 60,000, each with a
 * random unit vector of 128 components; queries of 2 to 8 words drawn in the same way, so that
 * most hold very common ones. base.parquet, words.json (the texts), queries.json, base.f32.
 */
export const documentSet = (rows) => setFolder(`documents-${rows}`, (folder) => make(folder, rows))

function make(folder, rows) {
  const random = randomFrom(0xd0c5)
  const gaussian = gaussianFrom(random)
  const word = zipf(random)
  const text = (least, most) => {
    const count = least + Math.floor(random() * (most - least + 1))
    return Array.from({ length: count }, word).join(' ')
  }
  const texts = Array.from({ length: rows }, () => text(60, 100))
  const base = vectors(rows, gaussian)
  const parquet = writeParquet(join(folder, 'base.parquet'), { dimension: DIMENSION, text: 'text' })
  for (let first = 0; first < rows; first += PIECE) {
    const last = Math.min(rows, first + PIECE)
    const piece = base.subarray(first * DIMENSION, last * DIMENSION)
    parquet.write(first, piece, texts.slice(first, last))
  }
  parquet.finish()
  const write = (name, bytes) => writeFileSync(join(folder, name), bytes)
  write('words.json', JSON.stringify(texts))
  write('base.f32', bytesOf(base))
  write('queries.f32', bytesOf(vectors(QUERIES, gaussian)))
  write('queries.json', JSON.stringify(Array.from({ length: QUERIES }, () => text(2, 8))))
  const title = `${rows.toLocaleString('en-US')} generated documents`
  return { title, rows, dimension: DIMENSION, metric: 'cosine', k: 10, fields: [], filters: [] }
}

/** Words by rank, with probability in proportion to 1 / rank. */
function zipf(random) {
  const sums = new Float64Array(VOCABULARY)
  let sum = 0
  for (let i = 0; i < VOCABULARY; i++) {
    sum += 1 / (i + 1)
    sums[i] = sum
  }
  return () => {
    const wanted = random() * sum
    let [low, high] = [0, VOCABULARY - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle] < wanted) low = middle + 1
      else high = middle
    }
    return `w${low.toString(36)}`
  }
}

function vectors(rows, gaussian) {
  const all = Float32Array.from({ length: rows * DIMENSION }, gaussian)
  for (let row = 0; row < rows; row++) {
    const vector = all.subarray(row * DIMENSION, (row + 1) * DIMENSION)
    const scale = 1 / Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
    for (let i = 0; i < DIMENSION; i++) vector[i] *= scale
  }
  return all
}
