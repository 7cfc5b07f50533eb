import { limits } from '../core/limits.ts'
import type { Quantization } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'

/**
 * Up to this dimension graphs are walked, and segments scanned, over float32 rows: codes are too
 * coarse there and save nothing.
 */
export const F32_WALK_DIMENSION_MAX = 64

/**
 * The least dimension of each form. Shorter rows have too few bits for their neighbours to be told
 * apart: measured in docs/decisions/kernel.md.
 */
export const QUANTIZATION_DIMENSION_MIN: Readonly<Record<Quantization, number>> = {
  int8: 0,
  binary: 256,
  pq: F32_WALK_DIMENSION_MAX + 1,
}

/** @throws USAGE where vectors are too short for the form asked for */
export function checkQuantization(form: Quantization, dimension: number): void {
  const least = QUANTIZATION_DIMENSION_MIN[form]
  if (dimension >= least) return
  const message = `quantization ${form} needs at least ${least} components, not ${dimension}`
  throw new AkidbError('USAGE', message, {
    hint: 'Use int8, which is exact enough at any dimension.',
    details: { dimension, least },
  })
}

/**
 * Whether a segment can be searched with its float32 rows on disk. Rows of up to 64 components are
 * ranked by nothing but float32, and are small.
 */
export const canStayOnDisk = (dimension: number): boolean => dimension > F32_WALK_DIMENSION_MAX

/** How many of the best by their codes are ranked again to give k; searchEfMax at most. */
export function rescoreCount(k: number, form: Quantization = 'int8'): number {
  return Math.min(Math.ceil(OVERSAMPLING[form] * (k + 10)), limits.searchEfMax)
}

/**
 * Measured: what brings recall@10 of a scan of 20,000 × 768 to about 0.99 of the exact answer. For
 * int8 24 rows give all ten, of random rows with outlying components too (80 to 768-d).
 */
const OVERSAMPLING: Readonly<Record<Quantization, number>> = { int8: 1.5, binary: 6, pq: 10 }

const TRAINING_ROWS_MAX = 4_096

/** Rows that centroids are trained on; more change the recall of a scan by less than 0.01. */
export const trainingRows = (rows: number): number => Math.min(rows, TRAINING_ROWS_MAX)
