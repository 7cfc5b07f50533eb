import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { BLOCK_BYTES, checksum } from '../../src/search/field-index-format.ts'
import { PartReader } from '../../src/search/part-reader.ts'
import { CHUNK, Postings, PostingWriter } from '../../src/search/row-postings.ts'
import { randomOf, seedOf } from './random.ts'

const SPACE = 3 * CHUNK + 77

const everyNth = (step: number, from = 0, to = SPACE): number[] =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step)

const SETS: readonly (readonly [string, readonly number[]])[] = [
  ['nothing', []],
  ['one', [SPACE - 1]],
  ['two', [0, SPACE - 1]],
  ['five', [1, 2, 3, CHUNK, 2 * CHUNK]],
  ['all', everyNth(1)],
  ['every second', everyNth(2)],
  ['every tenth', everyNth(10)],
  ['every thousandth', everyNth(1_000)],
  ['one chunk', everyNth(1, CHUNK, 2 * CHUNK)],
  ['the last chunk', everyNth(3, 3 * CHUNK)],
  ['over an edge', everyNth(1, CHUNK - 5, CHUNK + 5)],
]

const encoded = (sets: readonly (readonly number[])[], space = SPACE) => {
  const writer = new PostingWriter(space)
  for (const set of sets) writer.add(set)
  return writer.finish()
}

/** Opened as from a file with right checksums. */
function opened({ heads, words }: ReturnType<typeof encoded>, space = SPACE): Postings {
  const bytes = new Uint8Array(Math.ceil(heads.byteLength / 8) * 8 + words.byteLength)
  bytes.set(new Uint8Array(heads.buffer, heads.byteOffset, heads.byteLength))
  bytes.set(
    new Uint8Array(words.buffer, words.byteOffset, words.byteLength),
    bytes.length - words.byteLength,
  )
  const sums = Uint32Array.from({ length: Math.ceil(bytes.length / BLOCK_BYTES) }, (_, i) =>
    checksum(bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES)),
  )
  const reader = new PartReader(bytes, sums)
  const at = bytes.length - words.byteLength
  return new Postings(
    reader.uint32([0, heads.byteLength]),
    reader.uint32([at, words.byteLength]),
    space,
  )
}

const numbersOf = (postings: Postings, set: number, space = SPACE): number[] => {
  const bits = new Bitset(space)
  postings.add(set, bits.words)
  return [...bits]
}

describe('postings', () => {
  it.each(SETS)('give back %s', (_, numbers) => {
    const postings = opened(encoded([[7], numbers, [8]]))
    expect(numbersOf(postings, 1)).toEqual(numbers)
    expect(postings.count(1)).toBe(numbers.length)
  })

  it('give back random sets, alone and together', () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 40; round++) {
      const space = random.pick([1, 31, 32, 33, 1_000, CHUNK - 1, CHUNK, CHUNK + 1, SPACE])
      const sets = Array.from({ length: 6 }, () => {
        const numbers = new Set<number>()
        for (let i = random.whole(0, 20); i > 0; i--) {
          const from = random.whole(0, space - 1)
          const end = Math.min(space, from + random.pick([1, 1, 2, 50, 5_000]))
          const step = random.pick([1, 2, 7])
          for (let number = from; number < end; number += step) numbers.add(number)
        }
        return [...numbers].sort((a, b) => a - b)
      })
      const postings = opened(encoded(sets, space), space)
      for (const [i, set] of sets.entries()) expect(numbersOf(postings, i, space)).toEqual(set)
      const run = new Bitset(space)
      postings.addRun(1, 5, run.words)
      expect([...run]).toEqual([...Bitset.from(space, sets.slice(1, 5).flat())])
      const each = new Bitset(space)
      postings.addEach(Uint32Array.of(0b100101), each.words)
      expect([...each]).toEqual([
        ...Bitset.from(
          space,
          [0, 2, 5].flatMap((i) => sets[i] ?? []),
        ),
      ])
    }
  })

  it('take little room', () => {
    const words = (numbers: readonly number[]) => encoded([numbers]).words.length
    expect(words(everyNth(1))).toBeLessThan(20)
    expect(words(everyNth(2))).toBeLessThan(SPACE / 32 + 20)
    expect(words(everyNth(1_000))).toBeLessThan(everyNth(1_000).length)
    expect(words([SPACE - 1])).toBe(0)
  })

  it('of other sets, or beyond the rows, are INTEGRITY', () => {
    const sets = encoded(SETS.map(([, numbers]) => numbers))
    const narrow = opened(sets, SPACE - 1)
    const refused = (use: () => void): boolean => {
      try {
        use()
        return false
      } catch (error) {
        return hasCode(error, 'INTEGRITY')
      }
    }
    for (const [i, [name, numbers]] of SETS.entries()) {
      const bits = new Bitset(SPACE)
      const beyond = numbers.includes(SPACE - 1)
      expect(
        refused(() => narrow.add(i, bits.words)),
        name,
      ).toBe(beyond)
    }
    expect(refused(() => opened(sets).add(SETS.length, new Bitset(SPACE).words))).toBe(true)
    expect(refused(() => opened(sets).count(-1))).toBe(true)
  })
})
