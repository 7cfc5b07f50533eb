import type { CodesMeasure } from '../core/schema.ts'
import { rescoreCount } from './quantization.ts'
import { sampleOfRows } from './row-hash.ts'
import type { RowHits, VectorIndex } from './vector-index.ts'

const K = 10
const SAMPLES_MAX = 32
const SAMPLES_MIN = 8
/** Rows that all samples together are compared with: about a second of scanning. */
const COMPARISONS = 2 ** 24

/**
 * Recall@10 of a scan of the codes with rescoring against the exact float32 scan, for rows chosen
 * by their hash; a row does not count as its own neighbour. The same on every machine.
 *
 * @param index rows in memory
 * @returns undefined where there are too few rows for codes to be read at all
 */
export function measureCodes(index: VectorIndex): CodesMeasure | undefined {
  const { rows, form } = index
  const oversampling = rescoreCount(K, form)
  if (rows <= 2 * oversampling) return undefined
  const wanted = Math.max(SAMPLES_MIN, Math.min(SAMPLES_MAX, Math.floor(COMPARISONS / rows)))
  const samples = sampleOfRows(rows, wanted)
  let found = 0
  for (const row of samples) {
    const query = index.vector(row).slice()
    const ask = { query, k: K + 1, ef: K + 1 }
    const exact = neighbours(index.search({ ...ask, kind: 'scan-f32' }), row)
    const coarse = index.search({ ...ask, kind: `scan-${form}`, over: oversampling })
    for (const other of neighbours(coarse, row)) if (exact.has(other)) found++
  }
  const recall = Math.round((found / (K * samples.length)) * 10_000) / 10_000
  return { form, k: K, oversampling, samples: samples.length, recall }
}

const neighbours = ({ rows }: RowHits, row: number): ReadonlySet<number> =>
  new Set(rows.filter((other) => other !== row).subarray(0, K))
