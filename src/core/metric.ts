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
  const norm = normOf(query)
  return (vector) => cosineDistance(query, norm, vector)
}

/**
 * The same of `count` vectors, bit for bit: each is summed in index order, four of them side by
 * side, so that one addition need not wait for the one before it.
 *
 * @param vectorAt the vectors, all of the query's length, by number from 0
 * @returns shape (count,)
 */
export function distancesFrom(
  metric: Metric,
  query: Float32Array,
  count: number,
  vectorAt: (number: number) => Float32Array,
): Float64Array {
  // Room for whole fours: the last takes as long as any, however many it is of.
  const distances = new Float64Array(Math.ceil(count / 4) * 4)
  const norm = metric === 'cosine' ? normOf(query) : 0
  const four = FOUR[metric]
  const last = count - 1
  for (let at = 0; at < count; at += 4) {
    const [b, c, d] = [Math.min(at + 1, last), Math.min(at + 2, last), Math.min(at + 3, last)]
    four(query, [vectorAt(at), vectorAt(b), vectorAt(c), vectorAt(d)], norm, distances, at)
  }
  return distances.subarray(0, count)
}

type Four = readonly [Float32Array, Float32Array, Float32Array, Float32Array]
type FourDistances = (
  query: Float32Array,
  rows: Four,
  norm: number,
  out: Float64Array,
  at: number,
) => void

const FOUR: Readonly<Record<Metric, FourDistances>> = {
  cosine: (query, [a, b, c, d], norm, out, at) => {
    let dotA = 0
    let dotB = 0
    let dotC = 0
    let dotD = 0
    let sumA = 0
    let sumB = 0
    let sumC = 0
    let sumD = 0
    for (let i = 0; i < query.length; i++) {
      const q = query[i] as number
      const x = a[i] as number
      const y = b[i] as number
      const z = c[i] as number
      const w = d[i] as number
      dotA += q * x
      dotB += q * y
      dotC += q * z
      dotD += q * w
      sumA += x * x
      sumB += y * y
      sumC += z * z
      sumD += w * w
    }
    out[at] = cosineOf(dotA, norm, sumA)
    out[at + 1] = cosineOf(dotB, norm, sumB)
    out[at + 2] = cosineOf(dotC, norm, sumC)
    out[at + 3] = cosineOf(dotD, norm, sumD)
  },
  dot: (query, [a, b, c, d], _norm, out, at) => {
    let dotA = 0
    let dotB = 0
    let dotC = 0
    let dotD = 0
    for (let i = 0; i < query.length; i++) {
      const q = query[i] as number
      dotA += q * (a[i] as number)
      dotB += q * (b[i] as number)
      dotC += q * (c[i] as number)
      dotD += q * (d[i] as number)
    }
    out[at] = -dotA
    out[at + 1] = -dotB
    out[at + 2] = -dotC
    out[at + 3] = -dotD
  },
  l2: (query, [a, b, c, d], _norm, out, at) => {
    let sumA = 0
    let sumB = 0
    let sumC = 0
    let sumD = 0
    for (let i = 0; i < query.length; i++) {
      const q = query[i] as number
      const x = q - (a[i] as number)
      const y = q - (b[i] as number)
      const z = q - (c[i] as number)
      const w = q - (d[i] as number)
      sumA += x * x
      sumB += y * y
      sumC += z * z
      sumD += w * w
    }
    out[at] = sumA
    out[at + 1] = sumB
    out[at + 2] = sumC
    out[at + 3] = sumD
  },
}

/** Whether every component is a finite number. */
export function isFiniteVector(vector: Float32Array): boolean {
  // 0 times a finite number is 0; anything else is NaN, and stays. Four sums, because each addition
  // waits for the one before it.
  const length = vector.length & ~3
  let [a, b, c, d] = [0, 0, 0, 0]
  for (let i = 0; i < length; i += 4) {
    a += (vector[i] as number) * 0
    b += (vector[i + 1] as number) * 0
    c += (vector[i + 2] as number) * 0
    d += (vector[i + 3] as number) * 0
  }
  for (let i = length; i < vector.length; i++) a += (vector[i] as number) * 0
  return a + b + c + d === 0
}

function cosineDistance(query: Float32Array, norm: number, vector: Float32Array): number {
  let dot = 0
  let squares = 0
  for (let i = 0; i < query.length; i++) {
    const component = vector[i] as number
    dot += (query[i] as number) * component
    squares += component * component
  }
  return cosineOf(dot, norm, squares)
}

/**
 * The distance that sums of `distancesFrom` come to.
 *
 * @param norm of the query, for cosine
 * @param sum  dot product of query and vector; l2: squared distance
 * @param squares sum of the vector's squares, for cosine
 */
export const distanceOfSums = (
  metric: Metric,
  norm: number,
  sum: number,
  squares: number,
): number => (metric === 'cosine' ? cosineOf(sum, norm, squares) : metric === 'dot' ? -sum : sum)

/** Euclidean norm, in float64: that of a query as `distancesFrom` takes it. */
export const normOf = (vector: Float32Array): number => Math.sqrt(dotProduct(vector, vector))

const cosineOf = (dot: number, norm: number, squares: number): number =>
  norm === 0 || squares === 0 ? 1 : 1 - clamp(dot / norm / Math.sqrt(squares))

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
