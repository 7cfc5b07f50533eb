import { describe, expect, it } from 'vitest'
import { sampleHash } from '../../src/search/sample-hash.ts'

const hash = (seed: number, text: string): number => sampleHash(seed, Buffer.from(text, 'utf8'))

describe('the hash of a sample', () => {
  it('begins with MurmurHash3 of the seed', () => {
    // Reference values of MurmurHash3_x86_32: seed, text, hash.
    for (const [seed, text, wanted] of [
      [0, '', 0],
      [1, '', 0x514e28b7],
      [0x9747b28c, 'aaaa', 0x5a97808a],
      [0x9747b28c, 'aaa', 0x283e0130],
      [0x9747b28c, 'aa', 0x5d211726],
      [0x9747b28c, 'a', 0x7fa09ea6],
      [0x9747b28c, 'Hello, world!', 0x24884cba],
      [0x9747b28c, 'ππππππππ', 0xd58063c1],
    ] as const) {
      expect(Math.floor(hash(seed, text) / 2 ** 21), text).toBe(wanted)
    }
  })

  it('is a whole number of 53 bits that depends on every bit of the seed', () => {
    const seeds = [0, 1, 2 ** 31, 2 ** 32, 2 ** 52, 2 ** 53 - 1]
    const hashes = seeds.map((seed) => hash(seed, 'r17'))
    expect(hashes.every(Number.isSafeInteger)).toBe(true)
    expect(new Set(hashes).size).toBe(seeds.length)
  })
})
