/** What is chosen from, best first. */
export interface MarginalRelevance {
  /** Similarity of each candidate with the query. */
  readonly relevance: readonly number[]
  /** Similarity of two candidates. */
  readonly similarity: (a: number, b: number) => number
  /** 0: by relevance alone; 1: after the first, only by difference. */
  readonly diversity: number
}

/**
 * Candidates in the order of maximal marginal relevance: the next one has the highest
 * (1 − diversity) · relevance − diversity · (highest similarity with those already chosen). Ties:
 * the earlier candidate. Each step compares all that are left with the last one chosen.
 *
 * Source: Carbonell & Goldstein, SIGIR 1998.
 */
export function* maximalMarginalRelevance(from: MarginalRelevance): Generator<number> {
  const { relevance, similarity, diversity } = from
  const left = [...relevance.keys()]
  const nearest = relevance.map(() => Number.NEGATIVE_INFINITY)
  let isFirst = true
  while (left.length > 0) {
    let best = 0
    let bestScore = Number.NEGATIVE_INFINITY
    for (const [at, candidate] of left.entries()) {
      const wanted = (1 - diversity) * (relevance[candidate] as number)
      const score = isFirst
        ? (relevance[candidate] as number)
        : wanted - diversity * (nearest[candidate] as number)
      if (score > bestScore) {
        best = at
        bestScore = score
      }
    }
    const [chosen] = left.splice(best, 1) as [number]
    yield chosen
    isFirst = false
    for (const candidate of left) {
      const near = similarity(chosen, candidate)
      if (near > (nearest[candidate] as number)) nearest[candidate] = near
    }
  }
}
