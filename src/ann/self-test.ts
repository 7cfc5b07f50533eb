import { Bitset } from '../core/bitset.ts'
import { sha256Hex } from '../core/digest.ts'
import { METRICS, type Metric } from '../core/metric.ts'
import { QUANTIZATIONS, type Quantization } from '../core/schema.ts'
import { buildIndexSync } from './build-index.ts'
import { openVectorIndex } from './open-index.ts'
import type { RowHits, ScanKind, VectorIndex } from './vector-index.ts'

/** What the self-test found; the message is one line for the operator. */
export interface SelfTestResult {
  readonly ok: boolean
  readonly message: string
}

const ROWS = 300
/** Odd enough to have padding; each form has its least. */
const DIMENSIONS: Readonly<Record<Quantization, number>> = { int8: 70, binary: 267, pq: 70 }
const PARAMETERS = { type: 'hnsw', m: 8, efConstruction: 60 } as const

/**
 * SHA-256 over codes, links, rows and distance bits of the run below, and how many rows its walks
 * with filters looked at; the same on every machine.
 */
const EXPECTED = '117a4adf465cfb57cc784427828c67f46375bc866b9d235ddc099dbffffbc342'

/**
 * Builds and searches a small fixed segment for every metric and form of codes, with rows in memory
 * and as if they were on disk, and with filters, and compares codes, links, rows and distance bits
 * with those of a known good machine. A difference means that receipts would not replay here. About
 * 0.3 s.
 */
export function kernelSelfTest(): SelfTestResult {
  try {
    const found = kernelFingerprint()
    if (found === EXPECTED) return { ok: true, message: 'search kernel: results are bit-exact' }
    const message = `search kernel: results differ from the reference (${found.slice(0, 12)})`
    return { ok: false, message }
  } catch (error) {
    return { ok: false, message: `search kernel does not run: ${String(error)}` }
  }
}

/** The fingerprint that a machine computes. */
export function kernelFingerprint(): string {
  const parts: Uint8Array[] = []
  for (const form of QUANTIZATIONS) {
    for (const metric of METRICS) parts.push(...fingerprintParts(metric, form))
  }
  return sha256Hex(...parts)
}

function fingerprintParts(metric: Metric, form: Quantization): Uint8Array[] {
  const dimension = DIMENSIONS[form]
  const vectors = fixedVectors(ROWS * dimension)
  const segment = { rows: ROWS, dimension, metric, pieces: [vectors] }
  const parameters = { ...PARAMETERS, quantization: form }
  const built = buildIndexSync(segment, parameters, { graphRowsMin: 1 })
  const index = openVectorIndex({ ...segment, ...built, parameters })
  const parts = [built.codes, built.graph ?? new Uint8Array(0)]
  const kinds: readonly ScanKind[] = ['scan-f32', `scan-${form}`, 'graph']
  for (const kind of kinds) {
    for (let row = 0; row < 10; row++) {
      const query = vectors.slice(row * dimension, (row + 1) * dimension).reverse()
      const request = { query, k: 10, ef: 40, kind }
      parts.push(...bytesOf(index.search(request)))
      const { rows } = index.candidates(request)
      parts.push(...bytesOf(index.rescore(query, rows, gather(index, rows), 10)))
    }
  }
  for (const allowed of filters()) {
    for (let row = 0; row < 10; row++) {
      const query = vectors.slice(row * dimension, (row + 1) * dimension)
      const hits = index.search({ query, k: 3, ef: 12, kind: 'graph', allowed })
      // How far it walked follows from counts and the costs that the planner knows.
      parts.push(...bytesOf(hits), Buffer.from(String(hits.evaluated)))
    }
  }
  index.close()
  return parts
}

const bytesOf = ({ rows, distances }: RowHits): Uint8Array[] => [
  new Uint8Array(rows.buffer),
  new Uint8Array(distances.buffer),
]

/** Most rows, every other, and all but those that are searched for. */
const filters = (): Bitset[] =>
  [(row: number) => row % 9 > 0, (row: number) => row % 2 > 0, (row: number) => row > 9].map(
    (passes) =>
      Bitset.from(
        ROWS,
        Array.from({ length: ROWS }, (_, row) => row).filter((row) => passes(row)),
      ),
  )

/** The rows' vectors one after the other, as they would be read from a file. */
function gather(index: VectorIndex, rows: Uint32Array): Float32Array {
  const all = new Float32Array(rows.length * index.dimension)
  for (const [i, row] of rows.entries()) all.set(index.vector(row), i * index.dimension)
  return all
}

/** Numbers in −1…1 from a 32-bit linear congruential generator (Numerical Recipes, §7.1). */
function fixedVectors(count: number): Float32Array {
  let state = 1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  })
}
