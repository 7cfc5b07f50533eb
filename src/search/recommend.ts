import { distanceFrom, type Metric } from '../core/metric.ts'

export const RECOMMEND_STRATEGIES = ['average_vector', 'best_score', 'sum_scores'] as const
/** How examples rank: by one vector made of them, or each record against each example. */
export type RecommendStrategy = (typeof RECOMMEND_STRATEGIES)[number]

/** Vectors of one dimension to be near to and to be far from. */
export interface Examples {
  readonly positive: readonly Float32Array[]
  readonly negative: readonly Float32Array[]
}

/**
 * The one vector that stands for the examples: the mean of the positive ones, and as far again from
 * the mean of the negative ones. Under cosine each counts by its direction alone.
 *
 * Source: Qdrant, recommendation by average vector.
 */
export function averageVector(metric: Metric, { positive, negative }: Examples): Float32Array {
  const dimension = positive[0]?.length ?? 0
  const wanted = meanOf(metric, positive, dimension)
  if (negative.length === 0) return Float32Array.from(wanted)
  const unwanted = meanOf(metric, negative, dimension)
  return Float32Array.from(wanted, (mean, i) => mean + mean - (unwanted[i] as number))
}

function meanOf(metric: Metric, vectors: readonly Float32Array[], dimension: number): Float64Array {
  const mean = new Float64Array(dimension)
  for (const vector of vectors) {
    const norm = metric === 'cosine' ? normOf(vector) : 1
    for (let i = 0; i < dimension; i++) {
      mean[i] = (mean[i] as number) + (vector[i] as number) / norm
    }
  }
  return mean.map((sum) => sum / vectors.length)
}

function normOf(vector: Float32Array): number {
  let squares = 0
  for (const component of vector) squares += component * component
  return squares === 0 ? 1 : Math.sqrt(squares)
}

/**
 * Score of a vector against the examples, higher is better. Similarity is the cosine, the dot
 * product, or the negated squared distance.
 *
 * - best_score: where the best positive is above the best negative, 0.5 · (s ÷ (1 + |s|) + 1) of
 *   the positive; else the negated one of the negative.
 * - sum_scores: the sum over the positives less the sum over the negatives.
 *
 * Source: Qdrant, lib/segment/src/vector_storage/query/reco_query.rs; in float64.
 */
export function recommendScorer(
  metric: Metric,
  strategy: Exclude<RecommendStrategy, 'average_vector'>,
  { positive, negative }: Examples,
): (vector: Float32Array) => number {
  const similarityWith = (example: Float32Array): ((vector: Float32Array) => number) => {
    const distance = distanceFrom(metric, example)
    return metric === 'cosine' ? (vector) => 1 - distance(vector) : (vector) => 0 - distance(vector)
  }
  const wanted = positive.map(similarityWith)
  const unwanted = negative.map(similarityWith)
  if (strategy === 'sum_scores') {
    return (vector) => sumOf(wanted, vector) - sumOf(unwanted, vector)
  }
  return (vector) => {
    const near = highestOf(wanted, vector)
    const far = highestOf(unwanted, vector)
    return near > far ? squashed(near) : 0 - squashed(far)
  }
}

type Similarity = (vector: Float32Array) => number

const sumOf = (similarities: readonly Similarity[], vector: Float32Array): number =>
  similarities.reduce((sum, similarity) => sum + similarity(vector), 0)

const highestOf = (similarities: readonly Similarity[], vector: Float32Array): number =>
  similarities.reduce(
    (highest, similarity) => Math.max(highest, similarity(vector)),
    Number.NEGATIVE_INFINITY,
  )

/** From all numbers to 0…1. */
const squashed = (score: number): number => 0.5 * (score / (1 + Math.abs(score)) + 1)
