import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import { GrowingWords } from '../../src/search/growing-array.ts'
import {
  BLOCK_POSTINGS,
  ByteWriter,
  bitsOf,
  packBlock,
  packedWords,
  unpackBlock,
  VarintReader,
} from '../../src/search/posting-blocks.ts'
import { anyRow, lowerBound } from '../../src/search/ranked-union.ts'
import { randomOf, seedOf } from './random.ts'

describe('a packed block', () => {
  it.each(Array.from({ length: 33 }, (_, bits) => bits))('keeps numbers of %i bits', (bits) => {
    const random = randomOf(seedOf())
    const most = bits === 0 ? 0 : 2 ** bits - 1
    const values = Uint32Array.from({ length: BLOCK_POSTINGS }, (_, i) =>
      i === 7 ? most : bits === 32 ? random.whole(0, 2 ** 31) * 2 : random.whole(0, most),
    )
    expect(bitsOf(most)).toBe(bits)
    const words = new GrowingWords()
    words.push(0xffffffff)
    packBlock(values, bits, words)
    expect(words.length).toBe(1 + packedWords(bits))
    words.push(0xffffffff)
    const found = new Uint32Array(BLOCK_POSTINGS).fill(9)
    unpackBlock(words.view(), { start: 1, bits }, found)
    expect(found).toEqual(values)
  })
})

describe('varints', () => {
  const numbers = [0, 1, 127, 128, 16_383, 16_384, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 32 - 1]

  it('keep every u32', () => {
    const writer = new ByteWriter()
    for (const number of numbers) writer.varint(number)
    const reader = new VarintReader(writer.bytes(), 0, writer.length)
    expect(numbers.map(() => reader.next())).toEqual(numbers)
    expect(reader.done).toBe(true)
    expect(() => reader.next()).toThrow('has no end')
  })

  it('are refused where they are longer', () => {
    const read = (...bytes: number[]) =>
      new VarintReader(Uint8Array.from(bytes), 0, bytes.length).next()
    expect(() => read(0xff, 0xff, 0xff, 0xff, 0x10)).toThrow('too large')
    expect(() => read(0xff, 0xff, 0xff, 0xff, 0xff, 0)).toThrow('has no end')
    expect(() => read(0x80)).toThrow('has no end')
  })
})

describe('rows', () => {
  it('are found in a range as one by one', () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 300; round++) {
      const length = random.whole(1, 200)
      const members = Array.from({ length: random.whole(0, 3) }, () => random.whole(0, length - 1))
      const set = Bitset.from(length, members)
      const from = random.whole(0, length - 1)
      const end = random.whole(from + 1, length)
      expect(anyRow(set, from, end)).toBe(members.some((row) => row >= from && row < end))
      const rows = Uint32Array.from([...set])
      expect(lowerBound(rows, rows.length, from)).toBe(rows.filter((row) => row < from).length)
    }
  })
})
