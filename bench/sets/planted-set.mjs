import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Nearest } from './nearest.mjs'
import { writeParquet } from './parquet-set.mjs'
import { gaussianFrom, randomFrom } from './random.mjs'
import { bytesOf, setFolder } from './set-file.mjs'

const DIMENSION = 128
/** Degrees of freedom behind the components: embeddings have far fewer than components. */
const LATENT = 64
const NOISE = 0.05
const QUERIES = 200
const FILTER_QUERIES = 100
const K = 10
/** Neighbours planted near each query; the others of the ten nearest come by chance. */
const PLANTED = 5
const PIECE = 2000
const FIELD_MAX = 1_000_000
/** Share of the rows that each filter lets through. */
const SHARES = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]

/**
 * Unit vectors of 128 components made of 64 random ones and noise, cosine. Each of 200 queries has
 * five neighbours planted near it, at growing distances, in rows drawn at random. While the set is
 * written every row is compared with every query, so the ten answers are exact; that the planted
 * ones are among them is checked. `u` is drawn from 0 to 999,999; `u < x` filters by it.
 */
export const plantedSet = (rows) =>
  setFolder(`planted-${rows}x${DIMENSION}`, (to) => make(to, rows))

async function make(folder, rows) {
  const maker = new Maker(rows)
  const file = openSync(join(folder, 'base.f32'), 'w')
  const parquet = writeParquet(join(folder, 'base.parquet'), { dimension: DIMENSION, field: 'u' })
  for (let first = 0; first < rows; first += PIECE) {
    const count = Math.min(PIECE, rows - first)
    const vectors = maker.piece(first, count)
    writeSync(file, bytesOf(vectors))
    parquet.write(first, vectors, maker.fields.subarray(first, first + count))
  }
  closeSync(file)
  parquet.finish()
  maker.check()
  const write = (name, array) => writeFileSync(join(folder, name), bytesOf(array))
  write('queries.f32', maker.queries)
  write('truth.i32', Int32Array.from(maker.nearest.flatMap((each) => each.filled())))
  write('field-u.i32', maker.fields)
  const filters = SHARES.map((share, file) => {
    const value = Math.round(share * FIELD_MAX)
    const mask = Uint8Array.from(maker.fields, (u) => (u < value ? 1 : 0))
    write(`filter-${file}.u8`, mask)
    write(`filter-${file}.i32`, Int32Array.from(maker.filtered[file].flatMap((x) => x.filled())))
    const matching = mask.reduce((sum, one) => sum + one, 0)
    return { title: `u < ${value}`, field: 'u', op: '<', value, matching, share, file }
  })
  return {
    title: `planted neighbours, ${rows.toLocaleString('en-US')} × ${DIMENSION}, cosine`,
    rows,
    dimension: DIMENSION,
    metric: 'cosine',
    k: K,
    fields: ['u'],
    filters,
  }
}

class Maker {
  constructor(rows) {
    this.random = randomFrom(0x5eed0000 + rows)
    this.gaussian = gaussianFrom(this.random)
    this.spread = Float64Array.from({ length: DIMENSION * LATENT }, this.gaussian)
    this.fields = Int32Array.from({ length: rows }, () => Math.floor(this.random() * FIELD_MAX))
    this.queries = new Float32Array(QUERIES * DIMENSION)
    this.nearest = Array.from({ length: QUERIES }, () => new Nearest(K))
    this.filtered = SHARES.map(() => Array.from({ length: FILTER_QUERIES }, () => new Nearest(K)))
    this.thresholds = SHARES.map((share) => Math.round(share * FIELD_MAX))
    /** Row → query and latent point of what is planted there. */
    this.planted = new Map()
    for (let query = 0; query < QUERIES; query++) this.plant(query, rows)
  }

  plant(query, rows) {
    const center = this.latent()
    this.embed(center, this.queries.subarray(query * DIMENSION, (query + 1) * DIMENSION))
    for (let i = 0; i < PLANTED; i++) {
      const step = 0.15 + 0.05 * i
      const point = center.map((value) => value + step * this.gaussian())
      let row = Math.floor(this.random() * rows)
      while (this.planted.has(row)) row = (row + 1) % rows
      this.planted.set(row, { query, point })
    }
  }

  latent() {
    return Float64Array.from({ length: LATENT }, this.gaussian)
  }

  /** The unit vector of a latent point. */
  embed(point, target) {
    let squares = 0
    for (let i = 0; i < DIMENSION; i++) {
      let value = NOISE * this.gaussian()
      for (let j = 0; j < LATENT; j++) value += this.spread[i * LATENT + j] * point[j]
      target[i] = value
      squares += value * value
    }
    const scale = 1 / Math.sqrt(squares)
    for (let i = 0; i < DIMENSION; i++) target[i] *= scale
  }

  piece(first, count) {
    const vectors = new Float32Array(count * DIMENSION)
    for (let i = 0; i < count; i++) {
      const vector = vectors.subarray(i * DIMENSION, (i + 1) * DIMENSION)
      this.embed(this.planted.get(first + i)?.point ?? this.latent(), vector)
      this.compare(first + i, vector)
    }
    return vectors
  }

  compare(row, vector) {
    const { queries, fields, thresholds } = this
    for (let query = 0; query < QUERIES; query++) {
      const from = query * DIMENSION
      let dot = 0
      for (let i = 0; i < DIMENSION; i++) dot += vector[i] * queries[from + i]
      this.nearest[query].offer(row, -dot)
      if (query >= FILTER_QUERIES) continue
      for (let n = 0; n < thresholds.length && fields[row] < thresholds[n]; n++) {
        this.filtered[n][query].offer(row, -dot)
      }
    }
  }

  /** @throws where a planted row is not among the exact answers of its query */
  check() {
    for (const [row, { query }] of this.planted) {
      if (!this.nearest[query].rows.includes(row))
        throw new Error(`row ${row} is not near ${query}`)
    }
  }
}
