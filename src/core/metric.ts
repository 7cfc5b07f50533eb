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
export const exactDistance = (metric: Metric, a: Float32Array, b: Float32Array): number =>
  distanceFrom(metric, a)(b)

/** The same from one query to many vectors: what depends on the query alone is computed once. */
export function distanceFrom(
  metric: Metric,
  query: Float32Array,
): (vector: Float32Array) => number {
  if (metric === 'l2') return (vector) => squaredDistance(query, vector)
  if (metric === 'dot') return (vector) => -dotProduct(query, vector)
  const norm = Math.sqrt(dotProduct(query, query))
  return (vector) => cosineDistance(query, norm, vector)
}

function cosineDistance(query: Float32Array, norm: number, vector: Float32Array): number {
  let dot = 0
  let squares = 0
  for (let i = 0; i < query.length; i++) {
    const component = vector[i] as number
    dot += (query[i] as number) * component
    squares += component * component
  }
  return norm === 0 || squares === 0 ? 1 : 1 - clamp(dot / norm / Math.sqrt(squares))
}

function dotProduct(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number)
  return sum
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    sum += difference * difference
  }
  return sum
}

const clamp = (similarity: number): number => Math.min(1, Math.max(-1, similarity))

/**
 * Higher is nearer: the similarity for cosine and dot, 1/(1 + distance) for l2, where distance is
 * the squared Euclidean one that is reported beside it.
 */
export function scoreOf(metric: Metric, distance: number): number {
  if (metric === 'cosine') return 1 - distance
  if (metric === 'dot') return 0 - distance
  return 1 / (1 + distance)
}
