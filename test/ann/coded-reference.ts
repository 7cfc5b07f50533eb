import type { Metric } from '../../src/core/metric.ts'
import { METRICS } from '../../src/core/metric.ts'

/** Codes as their bytes say, read by the format's page and nothing of the code that writes them. */
export interface BinaryCodes {
  readonly mean: Float32Array
  readonly scales: Float32Array
  readonly biases: Float32Array
  /** ±1, rows × dimension. */
  readonly signs: Int8Array
  readonly unit: number
}

interface Shape {
  readonly metric: Metric
  readonly rows: number
  readonly dimension: number
}

function readHeader(bytes: Uint8Array, magic: string): { shape: Shape; unit: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  if (Buffer.from(bytes.subarray(0, 4)).toString('latin1') !== magic) throw new Error('magic')
  const metric = METRICS[view.getUint8(6)] as Metric
  const shape = { metric, rows: view.getUint32(8, true), dimension: view.getUint32(12, true) }
  return { shape, unit: 2 ** -view.getInt32(16, true) }
}

function floats(bytes: Uint8Array, from: number, count: number): Float32Array {
  return new Float32Array(bytes.slice(from, from + count * 4).buffer)
}

export function readBinary(bytes: Uint8Array): BinaryCodes {
  const { shape, unit } = readHeader(bytes, 'AKCB')
  const { rows, dimension } = shape
  const mean = floats(bytes, 32, dimension)
  const scales = floats(bytes, 32 + dimension * 4, rows)
  const biases = floats(bytes, 32 + (dimension + rows) * 4, rows)
  const width = Math.ceil(dimension / 8)
  const start = 32 + (dimension + 2 * rows) * 4
  const signs = new Int8Array(rows * dimension)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < dimension; i++) {
      const byte = bytes[start + row * width + (i >> 3)] as number
      signs[row * dimension + i] = (byte >> (i & 7)) & 1 ? 1 : -1
    }
  }
  return { mean, scales, biases, signs, unit }
}

export interface PqCodes {
  readonly centre: Float32Array
  /** Component i of centroid k of subspace j at (j · 8 + i) · 256 + k. */
  readonly centroids: Float32Array
  readonly pieces: Uint8Array
  readonly unit: number
}

export function readPq(bytes: Uint8Array): PqCodes {
  const { shape, unit } = readHeader(bytes, 'AKCP')
  const { rows, dimension, metric } = shape
  const subspaces = Math.ceil(dimension / 8)
  const centre = metric === 'l2' ? floats(bytes, 32, dimension) : new Float32Array(dimension)
  const at = 32 + (metric === 'l2' ? dimension * 4 : 0)
  const centroids = floats(bytes, at, subspaces * 8 * 256)
  const pieces = bytes.slice(at + centroids.byteLength)
  if (pieces.length !== rows * subspaces) throw new Error('length')
  return { centre, centroids, pieces, unit }
}

/** A query as float32 of norm 1 (cosine) or in units (dot, l2: about the centre). */
export function queryInUnits(
  metric: Metric,
  query: Float32Array,
  { centre, unit }: { centre: Float32Array; unit: number },
): Float64Array {
  const norm = Math.sqrt(query.reduce((sum, v) => sum + v * v, 0))
  return Float64Array.from(query, (v, i) => {
    if (metric === 'cosine') return norm > 0 ? v / norm : 0
    return metric === 'l2' ? (v - (centre[i] as number)) * unit : v
  })
}

/** Estimated distance of each row from the signs, for the unrounded query. */
export function binaryDistances(
  metric: Metric,
  codes: BinaryCodes,
  query: Float32Array,
): Float64Array {
  const { mean, scales, biases, signs, unit } = codes
  const q = queryInUnits(metric, query, { centre: mean, unit })
  const dimension = query.length
  const meanDot = q.reduce((sum, v, i) => sum + v * (mean[i] as number), 0)
  const meanSquare = mean.reduce((sum, v) => sum + v * v, 0)
  const along = metric === 'l2' || meanSquare === 0 ? 0 : meanDot / meanSquare
  const square = metric === 'l2' ? q.reduce((sum, v) => sum + v * v, 0) : 0
  return Float64Array.from(scales, (scale, row) => {
    let dot = 0
    for (let i = 0; i < dimension; i++) {
      const part = (q[i] as number) - (metric === 'l2' ? 0 : along * (mean[i] as number))
      dot += part * (signs[row * dimension + i] as number)
    }
    const bias = biases[row] as number
    return metric === 'l2' ? square + bias - 2 * scale * dot : along * bias - scale * dot
  })
}

/** Distance of the query from each row's centroids; for l2 without what all rows share. */
export function pqDistances(metric: Metric, codes: PqCodes, query: Float32Array): Float64Array {
  const q = queryInUnits(metric, query, codes)
  const subspaces = Math.ceil(query.length / 8)
  return Float64Array.from({ length: codes.pieces.length / subspaces }, (_, row) => {
    let sum = 0
    for (let j = 0; j < subspaces; j++) {
      const piece = codes.pieces[row * subspaces + j] as number
      for (let i = 0; i < 8; i++) {
        const c = codes.centroids[(j * 8 + i) * 256 + piece] as number
        const v = q[j * 8 + i] ?? 0
        sum += metric === 'l2' ? c * c - 2 * c * v : -c * v
      }
    }
    return sum
  })
}
