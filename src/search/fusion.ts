import { compareIds } from '../core/record-id.ts'
import { AkidbError } from '../errors/errors.ts'

/** A hit of one ranked list: higher scores first. */
export interface RankedHit {
  readonly id: string
  readonly score: number
}

/**
 * How ranked lists become one. `weights` has one number of at least 0 a list, default 1 each; a
 * list of weight 0 still brings its hits, with nothing for them.
 */
export type Fusion =
  /** Reciprocal rank; `k` at least 0, default 60. */
  | { readonly kind: 'rrf'; readonly k?: number; readonly weights?: readonly number[] }
  /** Scores stretched to 0…1 within their list. */
  | { readonly kind: 'linear'; readonly weights?: readonly number[] }
  /** Scores by their distance from the mean of their list. */
  | { readonly kind: 'dbsf'; readonly weights?: readonly number[] }

/**
 * The same of two lists, that of the vector and that of the text: `vectorWeight` is the share of
 * the first, 0…1, default 0.5.
 */
export type HybridFusion =
  | { readonly kind: 'rrf'; readonly k?: number; readonly vectorWeight?: number }
  | { readonly kind: 'linear' | 'dbsf'; readonly vectorWeight?: number }

/** The constant of reciprocal rank fusion, as in the paper. */
export const RRF_K = 60

export const FUSION_KINDS = ['rrf', 'linear', 'dbsf'] as const

/** One list of all hits of the lists. Ties: bytewise lower id first. */
export function fuse(lists: readonly (readonly RankedHit[])[], fusion: Fusion): RankedHit[] {
  const weights = fusion.weights ?? lists.map(() => 1)
  if (fusion.kind === 'rrf') return reciprocalRank(lists, fusion.k, weights)
  const normalised = lists.map(fusion.kind === 'linear' ? stretched : centred)
  return weightedSum(normalised, weights)
}

/** The lists of a hybrid search as one. */
export const fuseHybrid = (
  vector: readonly RankedHit[],
  text: readonly RankedHit[],
  { vectorWeight = 0.5, ...fusion }: HybridFusion,
): RankedHit[] => fuse([vector, text], { ...fusion, weights: sharesOf(fusion.kind, vectorWeight) })

/** A weight divides a rank: halves would halve the ranks, and are ones there. */
const sharesOf = (kind: Fusion['kind'], weight: number): number[] =>
  kind === 'rrf' ? [2 * weight, 2 * (1 - weight)] : [weight, 1 - weight]

/**
 * Reciprocal rank fusion: Σ 1 ÷ (k + rank ÷ weight), ranks from 1; a list of weight 0 adds 0.
 * Source: Cormack, Clarke & Büttcher, SIGIR 2009; the weights as Qdrant has them, whose constant is
 * one more than this k.
 */
export function reciprocalRank(
  lists: readonly (readonly RankedHit[])[],
  k: number = RRF_K,
  weights: readonly number[] = lists.map(() => 1),
): RankedHit[] {
  const scores = new Map<string, number>()
  for (const [number, list] of lists.entries()) {
    const weight = weights[number] ?? 1
    for (const [i, { id }] of list.entries()) {
      scores.set(id, (scores.get(id) ?? 0) + 1 / (k + (i + 1) / weight))
    }
  }
  return ranked(scores)
}

/**
 * Weighted sum of two lists whose scores are first stretched to 0…1 within each list; a hit that a
 * list lacks counts 0 there. `weight` is the first list's share, 0…1.
 */
export const weightedLinear = (
  first: readonly RankedHit[],
  second: readonly RankedHit[],
  weight: number,
): RankedHit[] => weightedSum([stretched(first), stretched(second)], [weight, 1 - weight])

function weightedSum(
  lists: readonly (readonly RankedHit[])[],
  weights: readonly number[],
): RankedHit[] {
  const scores = new Map<string, number>()
  for (const [number, list] of lists.entries()) {
    const weight = weights[number] ?? 1
    for (const { id, score } of list) scores.set(id, (scores.get(id) ?? 0) + weight * score)
  }
  return ranked(scores)
}

function stretched(list: readonly RankedHit[]): RankedHit[] {
  // Of a list that was made diverse, the first and the last are not the highest and the lowest.
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { score } of list) {
    low = Math.min(low, score)
    high = Math.max(high, score)
  }
  const width = high - low
  return list.map(({ id, score }) => ({ id, score: width === 0 ? 1 : (score - low) / width }))
}

/**
 * Distribution-based score fusion: mean − 3σ is 0 and mean + 3σ is 1 (σ of the sample); one score,
 * or equal ones, are 0.5. Source: Qdrant, lib/segment/src/common/score_fusion.rs; in float64.
 */
function centred(list: readonly RankedHit[]): RankedHit[] {
  const { mean, deviation } = spreadOf(list)
  const low = mean - 3 * deviation
  const width = 6 * deviation
  return list.map(({ id, score }) => ({ id, score: width === 0 ? 0.5 : (score - low) / width }))
}

/** Source: Welford, Technometrics 4 (1962). */
function spreadOf(list: readonly RankedHit[]): { mean: number; deviation: number } {
  let mean = 0
  let squares = 0
  for (const [i, { score }] of list.entries()) {
    const before = score - mean
    mean += before / (i + 1)
    squares += before * (score - mean)
  }
  const same = list.every(({ score }) => score === list[0]?.score)
  return { mean, deviation: same ? 0 : Math.sqrt(squares / (list.length - 1)) }
}

const ranked = (scores: ReadonlyMap<string, number>): RankedHit[] =>
  [...scores]
    .map(([id, score]) => ({ id, score }))
    .sort((a, b) => b.score - a.score || compareIds(a.id, b.id))

/**
 * @param lists how many lists will be fused
 * @throws USAGE for another kind, a weight or constant below 0, or another number of weights
 */
export function checkFusion(fusion: Fusion, lists: number): void {
  if (!FUSION_KINDS.includes(fusion.kind)) {
    throw new AkidbError('USAGE', `there is no fusion "${String(fusion.kind)}"`, {
      hint: `There are ${FUSION_KINDS.join(', ')}.`,
    })
  }
  checkConstant(fusion)
  const { weights } = fusion
  if (weights === undefined) return
  if (weights.length !== lists) {
    throw new AkidbError('USAGE', `${weights.length} weights for ${lists} lists to fuse`)
  }
  for (const weight of weights) {
    if (!(weight >= 0 && Number.isFinite(weight))) {
      throw new AkidbError('USAGE', `a weight of the fusion is ${weight}; it is at least 0`)
    }
  }
}

/** @throws USAGE as checkFusion does, or where vectorWeight is not from 0 to 1 */
export function checkHybridFusion({ vectorWeight = 0.5, ...fusion }: HybridFusion): void {
  checkFusion(fusion, 2)
  if (!(vectorWeight >= 0 && vectorWeight <= 1)) {
    throw new AkidbError('USAGE', `vectorWeight is ${vectorWeight}; it goes from 0 to 1`)
  }
}

function checkConstant(fusion: Fusion): void {
  const k = fusion.kind === 'rrf' ? fusion.k : undefined
  if (k !== undefined && !(k >= 0 && Number.isFinite(k))) {
    throw new AkidbError('USAGE', `k of the fusion is ${k}; it is at least 0`)
  }
}
