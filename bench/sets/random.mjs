// Seeded random numbers: the same seed gives the same set on every machine.

/** mulberry32, a 32-bit generator by Tommy Ettinger (public domain): numbers from 0 below 1. */
export function randomFrom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let word = Math.imul(state ^ (state >>> 15), 1 | state)
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word
    return ((word ^ (word >>> 14)) >>> 0) / 4294967296
  }
}

/** Sum of four uniforms, variance 1: near enough to normal, and cheap. */
export const gaussianFrom = (random) => () =>
  (random() + random() + random() + random() - 2) * 1.7320508
