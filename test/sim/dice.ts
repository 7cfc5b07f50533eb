/** Choices that follow from a seed alone (mulberry32). */
export interface Dice {
  /** 0 … below − 1. */
  below(limit: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
}

export function createDice(seed: number): Dice {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    below,
    chance: (probability) => next() < probability,
    pick: (from) => {
      if (from.length === 0) throw new RangeError('nothing to pick from')
      return from[below(from.length)] as (typeof from)[number]
    },
  }
}
