import { sha256Hex } from '../core/digest.ts'
import { METRICS, type Metric } from '../core/metric.ts'
import { buildIndexSync } from './build-index.ts'
import { openVectorIndex } from './open-index.ts'
import type { ScanKind } from './vector-index.ts'

/** What the self-test found; the message is one line for the operator. */
export interface SelfTestResult {
  readonly ok: boolean
  readonly message: string
}

const ROWS = 300
const DIMENSION = 70
const PARAMETERS = { type: 'hnsw', m: 8, efConstruction: 60 } as const
const KINDS: readonly ScanKind[] = ['scan-f32', 'scan-int8', 'graph']

/**
 * SHA-256 over codes, links, rows and distance bits of the run below, the same on every machine.
 */
const EXPECTED = '4188a8b7d008b2cab64f218e4521b60fd8d0c1a317aefe93390670f4931f8d8b'

/**
 * Builds and searches a small fixed segment for every metric and compares codes, links, rows and
 * distance bits with those of a known good machine. A difference means that receipts would not
 * replay here. Under 0.1 s.
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
  for (const metric of METRICS) parts.push(...fingerprintParts(metric))
  return sha256Hex(...parts)
}

function fingerprintParts(metric: Metric): Uint8Array[] {
  const vectors = fixedVectors()
  const segment = { rows: ROWS, dimension: DIMENSION, metric, pieces: [vectors] }
  const built = buildIndexSync(segment, PARAMETERS, { graphRowsMin: 1 })
  const index = openVectorIndex({ ...segment, ...built, parameters: PARAMETERS })
  const parts = [built.codes, built.graph ?? new Uint8Array(0)]
  for (const kind of KINDS) {
    for (let row = 0; row < 10; row++) {
      const query = vectors.slice(row * DIMENSION, (row + 1) * DIMENSION).reverse()
      const hits = index.search({ query, k: 10, ef: 40, kind })
      parts.push(new Uint8Array(hits.rows.buffer), new Uint8Array(hits.distances.buffer))
    }
  }
  index.close()
  return parts
}

/** Numbers in −1…1 from a 32-bit linear congruential generator (Numerical Recipes, §7.1). */
function fixedVectors(): Float32Array {
  let state = 1
  return Float32Array.from({ length: ROWS * DIMENSION }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  })
}
