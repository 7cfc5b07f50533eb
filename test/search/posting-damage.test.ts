import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { openSparseIndex } from '../../src/search/sparse-index.ts'
import { createSparseIndexBuilder } from '../../src/search/sparse-index-builder.ts'
import { searchSparse } from '../../src/search/sparse-search.ts'
import { openTextIndex } from '../../src/search/text-index.ts'
import { createTextIndexBuilder } from '../../src/search/text-index-builder.ts'
import { parseTextQuery } from '../../src/search/text-query.ts'
import { searchText } from '../../src/search/text-search.ts'
import { randomOf, type SearchRandom, seedOf } from './random.ts'

const ROWS = 700

/** Large enough for full blocks, in two fields, with positions. */
function textBytes(random: SearchRandom): Uint8Array {
  const builder = createTextIndexBuilder(['t', 'u'], { positions: true })
  for (let row = 0; row < ROWS; row++) {
    const words = Array.from({ length: random.whole(0, 12) }, () => `w${random.whole(0, 9)}`)
    builder.add(
      new Map([
        ['t', words.join(' ')],
        ['u', `w1 w${row}`],
      ]),
    )
  }
  return builder.encode()
}

function sparseBytes(random: SearchRandom): Uint8Array {
  const builder = createSparseIndexBuilder()
  for (let row = 0; row < ROWS; row++) {
    const indices = Uint32Array.from({ length: 6 }, (_, i) => i * 3 + random.whole(0, 2))
    builder.add({ indices, values: Float32Array.from(indices, () => random.whole(-9, 9) / 2) })
  }
  return builder.encode()
}

const checkRows = (hits: readonly { readonly row: number }[]): void => {
  expect(hits.every(({ row }) => row < ROWS)).toBe(true)
}

function useText(bytes: Uint8Array): void {
  const fields = ['t', 'u']
  const index = openTextIndex(bytes, ROWS)
  const segments = [{ index, alive: Bitset.full(ROWS) }]
  for (const text of ['w1 w2 w3 w77', '"w1 w2" w3', 'w4* w5']) {
    for (const weights of [undefined, ['t^2', 'u']]) {
      const search = { query: text, ...(weights === undefined ? {} : { fields: weights }) }
      const query = parseTextQuery(search, fields)
      for (const k of [3, ROWS]) {
        checkRows(searchText({ segments, query, k }).hits)
      }
    }
  }
}

function useSparse(bytes: Uint8Array): void {
  const index = openSparseIndex(bytes, ROWS)
  const query = { indices: Uint32Array.of(0, 4, 8, 9), values: Float32Array.of(1, -2, 0.5, 3) }
  for (const k of [3, ROWS]) {
    checkRows(searchSparse({ segments: [{ index }], query, k }).hits)
  }
  for (const row of [0, 1, ROWS - 1]) index.vector(row)
}

/** Bytes or runs of them overwritten: by noise, zeros, ones, or what stands elsewhere. */
function damage(bytes: Uint8Array, random: SearchRandom): Uint8Array {
  const copy = bytes.slice()
  for (let times = random.whole(1, 3); times > 0; times--) {
    const at = random.whole(0, copy.length - 1)
    const length = Math.min(copy.length - at, random.pick([1, 1, 4, 64]))
    const kind = random.whole(0, 3)
    const from = random.whole(0, copy.length - length)
    if (kind === 0) copy.fill(0, at, at + length)
    else if (kind === 1) copy.fill(0xff, at, at + length)
    else if (kind === 2) copy.copyWithin(at, from, from + length)
    else for (let i = 0; i < length; i++) copy[at + i] = random.whole(0, 255)
  }
  return copy
}

describe.each([
  ['text', textBytes, useText],
  ['sparse', sparseBytes, useSparse],
])('a damaged %s index', (_name, encode, use) => {
  it('gives rows of the segment or INTEGRITY', { timeout: 120_000 }, () => {
    const random = randomOf(seedOf())
    const bytes = encode(random)
    use(bytes)
    const codes = new Map<string, number>()
    for (let round = 0; round < 1_000; round++) {
      let code = 'ok'
      try {
        use(damage(bytes, random))
      } catch (error) {
        if (!(error instanceof AkidbError)) throw error
        code = error.code
      }
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    for (const code of codes.keys()) expect(code).toMatch(/^(ok|INTEGRITY|FORMAT_VERSION)$/)
    expect(codes.get('INTEGRITY')).toBeGreaterThan(100)
    expect(codes.get('ok')).toBeGreaterThan(100)
  })

  it('is refused where it is cut off or goes on', () => {
    const bytes = encode(randomOf(1))
    for (let length = 0; length < bytes.length; length += 97) {
      expect(() => use(bytes.subarray(0, length))).toThrow('damaged')
    }
    expect(() => use(Buffer.concat([bytes, Buffer.alloc(4)]))).toThrow('damaged')
  })
})
