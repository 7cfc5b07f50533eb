import { describe, expect, it } from 'vitest'
import { fuse, fuseHybrid, reciprocalRank, weightedLinear } from '../../src/search/fusion.ts'

const list = (...hits: readonly (readonly [string, number])[]) =>
  hits.map(([id, score]) => ({ id, score }))

describe('reciprocal rank', () => {
  it('adds 1 ÷ (60 + rank) over the lists', () => {
    const fused = reciprocalRank([list(['a', 9], ['b', 8]), list(['b', 2], ['c', 1])])
    expect(fused).toEqual([
      { id: 'b', score: 1 / 62 + 1 / 61 },
      { id: 'a', score: 1 / 61 },
      { id: 'c', score: 1 / 62 },
    ])
  })

  it('takes another constant', () => {
    expect(reciprocalRank([list(['a', 1])], 1)).toEqual([{ id: 'a', score: 0.5 }])
  })

  it('orders ties by the bytes of the id', () => {
    const fused = reciprocalRank([list(['\u{1f600}', 1]), list(['\uff5e', 1]), list(['z', 1])])
    expect(fused.map(({ id }) => id)).toEqual(['z', '\uff5e', '\u{1f600}'])
  })

  it('fuses nothing to nothing', () => {
    expect(reciprocalRank([])).toEqual([])
    expect(reciprocalRank([[], []])).toEqual([])
  })
})

describe('weighted linear', () => {
  const near = list(['a', 0.9], ['b', 0.5], ['c', 0.1])
  const words = list(['b', 20], ['d', 10])

  it('stretches each list to 0…1 and weighs it', () => {
    const scores = new Map(weightedLinear(near, words, 0.25).map(({ id, score }) => [id, score]))
    expect(scores.get('a')).toBeCloseTo(0.25, 12)
    expect(scores.get('b')).toBeCloseTo(0.25 * 0.5 + 0.75, 12)
    expect(scores.get('c')).toBe(0)
    expect(scores.get('d')).toBe(0)
  })

  it('counts a list of equal scores as 1', () => {
    expect(weightedLinear(list(['a', 3], ['b', 3]), [], 0.5)).toEqual([
      { id: 'a', score: 0.5 },
      { id: 'b', score: 0.5 },
    ])
  })

  it('follows one list alone at the ends of the weight', () => {
    expect(weightedLinear(near, words, 1)[0]?.id).toBe('a')
    expect(weightedLinear(near, words, 0)[0]?.id).toBe('b')
  })
})

describe('distribution-based fusion', () => {
  it('puts mean − 3σ at 0 and mean + 3σ at 1', () => {
    // Mean 2, σ of the sample 1: 3 lies at (3 − (2 − 3)) ÷ 6.
    const fused = fuse([list(['a', 3], ['b', 2], ['c', 1])], { kind: 'dbsf' })
    expect(fused.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    for (const [i, score] of [4 / 6, 3 / 6, 2 / 6].entries()) {
      expect(fused[i]?.score).toBeCloseTo(score, 15)
    }
  })

  it('gives one score, and equal ones, a half', () => {
    const fused = fuse([list(['a', 7]), list(['b', 0.1], ['c', 0.1], ['d', 0.1])], { kind: 'dbsf' })
    expect(fused).toEqual(['a', 'b', 'c', 'd'].map((id) => ({ id, score: 0.5 })))
  })
})

describe('weights', () => {
  const near = list(['a', 0.9], ['b', 0.5])
  const words = list(['b', 20], ['c', 10])

  it('divide the rank, and a list of weight 0 adds nothing', () => {
    expect(fuse([near, words], { kind: 'rrf', k: 1, weights: [2, 0] })).toEqual([
      { id: 'a', score: 1 / (1 + 1 / 2) },
      { id: 'b', score: 1 / (1 + 2 / 2) },
      { id: 'c', score: 0 },
    ])
  })

  it('of a half are what a hybrid search has, in the order of none', () => {
    for (const kind of ['rrf', 'linear', 'dbsf'] as const) {
      const plain = fuse([near, words], { kind })
      const halves = fuseHybrid(near, words, { kind, vectorWeight: 0.5 })
      expect(halves.map(({ id }) => id)).toEqual(plain.map(({ id }) => id))
      expect(fuseHybrid(near, words, { kind })).toEqual(halves)
    }
  })

  it('stretch a list that is not in the order of its scores', () => {
    const mixed = list(['a', 2], ['b', 5], ['c', 1], ['d', 3])
    const scores = fuse([mixed], { kind: 'linear' })
    expect(scores[0]).toEqual({ id: 'b', score: 1 })
    expect(scores.at(-1)).toEqual({ id: 'c', score: 0 })
  })
})
