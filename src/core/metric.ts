/** How nearness is measured. cosine and dot: higher similarity is nearer; l2: Euclidean. */
export const METRICS = ['cosine', 'dot', 'l2'] as const
export type Metric = (typeof METRICS)[number]

export const isMetric = (value: unknown): value is Metric =>
  typeof value === 'string' && (METRICS as readonly string[]).includes(value)

/**
 * Squared Euclidean distance, negated dot product, or 1 − cosine of two vectors of one length, in
 * float64.
 *
 * Additions run in index order, so the result is the same bits on every machine (IEEE 754 basic
 * operations only). A zero vector has cosine similarity 0 with everything.
 */
export function exactDistance(metric: Metric, a: Float32Array, b: Float32Array): number {
  let dot = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number
    const y = b[i] as number
    if (metric === 'l2') {
      dot += (x - y) * (x - y)
    } else {
      dot += x * y
      aa += x * x
      bb += y * y
    }
  }
  if (metric === 'l2') return dot
  if (metric === 'dot') return -dot
  return aa === 0 || bb === 0 ? 1 : 1 - clamp(dot / Math.sqrt(aa) / Math.sqrt(bb))
}

const clamp = (similarity: number): number => Math.min(1, Math.max(-1, similarity))

/**
 * Higher is nearer: the similarity for cosine and dot, 1/(1 + distance) for l2, where distance is
 * Euclidean.
 */
export function scoreOf(metric: Metric, distance: number): number {
  if (metric === 'cosine') return 1 - distance
  if (metric === 'dot') return 0 - distance
  return 1 / (1 + Math.sqrt(distance))
}
