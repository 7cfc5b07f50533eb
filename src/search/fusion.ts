/** A hit of one ranked list: higher scores first. */
export interface RankedHit {
  readonly id: string
  readonly score: number
}

export type Fusion =
  | { readonly kind: 'rrf'; readonly k?: number }
  | { readonly kind: 'linear'; readonly vectorWeight: number }

/** The constant of reciprocal rank fusion, as in the paper. */
export const RRF_K = 60

/**
 * Reciprocal rank fusion: Σ 1 ÷ (k + rank), ranks from 1.
 * Source: Cormack, Clarke & Büttcher, SIGIR 2009. Ties: bytewise lower id first.
 */
export function reciprocalRank(
  lists: readonly (readonly RankedHit[])[],
  k: number = RRF_K,
): RankedHit[] {
  const scores = new Map<string, number>()
  for (const list of lists) {
    for (const [i, { id }] of list.entries()) {
      scores.set(id, (scores.get(id) ?? 0) + 1 / (k + i + 1))
    }
  }
  return ranked(scores)
}

/**
 * Weighted sum of two lists whose scores are first stretched to 0…1 within each list; a hit that a
 * list lacks counts 0 there. `weight` is the first list's share, 0…1.
 */
export function weightedLinear(
  first: readonly RankedHit[],
  second: readonly RankedHit[],
  weight: number,
): RankedHit[] {
  const scores = new Map<string, number>()
  for (const [list, share] of [
    [first, weight],
    [second, 1 - weight],
  ] as const) {
    for (const { id, score } of stretched(list)) {
      scores.set(id, (scores.get(id) ?? 0) + share * score)
    }
  }
  return ranked(scores)
}

function stretched(list: readonly RankedHit[]): RankedHit[] {
  const high = list[0]?.score ?? 0
  const low = list.at(-1)?.score ?? 0
  const width = high - low
  return list.map(({ id, score }) => ({ id, score: width === 0 ? 1 : (score - low) / width }))
}

const ranked = (scores: ReadonlyMap<string, number>): RankedHit[] =>
  [...scores]
    .map(([id, score]) => ({ id, score }))
    .sort((a, b) => b.score - a.score || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)))
