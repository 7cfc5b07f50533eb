import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import { queryInUnits, readBinary, readPq } from './coded-reference.ts'
import { clusteredVectors, GRAPH, segmentOf } from './reference.ts'

const ROWS = 300
const seed = Date.now() >>> 0

/** Rows as they are coded: of norm 1 for cosine, in units for dot, about the centre for l2. */
function rowsInUnits(
  metric: Metric,
  vectors: Float32Array,
  codes: { centre: Float32Array; unit: number },
): Float64Array[] {
  const dimension = codes.centre.length
  return Array.from({ length: ROWS }, (_, row) => {
    const vector = vectors.subarray(row * dimension, (row + 1) * dimension)
    const values = queryInUnits(metric, vector, codes)
    return metric === 'dot' ? values.map((v) => v * codes.unit) : values
  })
}

const near = (found: number, expected: number): boolean =>
  Math.abs(found - expected) <= 1e-5 + 1e-4 * Math.abs(expected)

describe.each(METRICS)('code values by %s', (metric) => {
  it('are signs about the mean, with what an exact projection needs', () => {
    const dimension = 261
    const vectors = clusteredVectors(ROWS, dimension, seed).map((v) => v + 3)
    const segment = segmentOf(metric, dimension, vectors)
    const { codes } = buildIndexSync(segment, { ...GRAPH, quantization: 'binary' })
    const read = readBinary(codes)
    const rows = rowsInUnits(metric, vectors, { centre: read.mean, unit: read.unit })
    const wrong: string[] = []
    for (let i = 0; i < dimension; i++) {
      const sum = metric === 'l2' ? 0 : (read.mean[i] as number)
      const mean = rows.reduce((total, row) => total + (row[i] as number), 0) / ROWS
      if (!near(mean, sum)) wrong.push(`mean ${i}: ${mean}, ${sum}`)
    }
    for (const [row, values] of rows.entries()) {
      const about = values.map((v, i) => (metric === 'l2' ? v : v - (read.mean[i] as number)))
      const square = about.reduce((sum, v) => sum + v * v, 0)
      const scale = square / about.reduce((sum, v) => sum + Math.abs(v), 0)
      const along = about.reduce((sum, v, i) => sum + v * (read.mean[i] as number), 0)
      if (!near(read.scales[row] as number, scale)) wrong.push(`scale ${row}`)
      const bias = metric === 'l2' ? square : -along
      if (!near(read.biases[row] as number, bias)) wrong.push(`bias ${row}: ${bias}`)
      for (const [i, v] of about.entries()) {
        const sign = read.signs[row * dimension + i] as number
        if (Math.abs(v) > 1e-6 && Math.sign(v) !== sign) wrong.push(`sign ${row}, ${i}`)
      }
    }
    expect(wrong.slice(0, 5), `seed ${seed}`).toEqual([])
  })

  it('are the nearest centroids', () => {
    const dimension = 67
    const vectors = clusteredVectors(ROWS, dimension, seed).map((v) => v + 3)
    const segment = segmentOf(metric, dimension, vectors)
    const { codes } = buildIndexSync(segment, { ...GRAPH, quantization: 'pq' })
    const read = readPq(codes)
    const wrong: string[] = []
    const { centre, unit } = { ...read, centre: padded(read.centre, dimension) }
    for (const [row, values] of rowsInUnits(metric, vectors, { centre, unit }).entries()) {
      for (let j = 0; j < 9; j++) {
        const gapTo = (k: number): number => {
          let sum = 0
          for (let i = 0; i < 8; i++) {
            const gap = (values[j * 8 + i] ?? 0) - (read.centroids[(j * 8 + i) * 256 + k] as number)
            sum += gap * gap
          }
          return sum
        }
        const chosen = gapTo(read.pieces[row * 9 + j] as number)
        let least = Number.POSITIVE_INFINITY
        for (let k = 0; k < 256; k++) least = Math.min(least, gapTo(k))
        if (!(chosen <= least + 1e-6)) wrong.push(`row ${row}, subspace ${j}: ${chosen}, ${least}`)
      }
    }
    expect(wrong.slice(0, 5), `seed ${seed}`).toEqual([])
  })
})

const padded = (values: Float32Array, length: number): Float32Array => {
  const all = new Float32Array(length)
  all.set(values.subarray(0, length))
  return all
}
