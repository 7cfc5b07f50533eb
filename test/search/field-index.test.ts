import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { matchesFilter } from '../../src/search/evaluate.ts'
import { type FieldIndex, openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import { type Directory, KEYS_MAX, PREFIX_BYTES } from '../../src/search/field-index-format.ts'
import { type Filter, parseFilter } from '../../src/search/filter.ts'
import { randomOf, seedOf } from './random.ts'

const object = (entries: Record<string, JsonValue>): JsonObject => new Map(Object.entries(entries))

const encode = (payloads: readonly JsonObject[]): Uint8Array => {
  const builder = createFieldIndexBuilder()
  for (const payload of payloads) builder.add(payload)
  return builder.encode()
}

const indexOf = (payloads: readonly JsonObject[]): FieldIndex =>
  openFieldIndex(encode(payloads), payloads.length)

const rowsOf = (index: FieldIndex, filter: unknown): number[] => [
  ...index.select(parseFilter(filter), () => []).sure,
]

describe('select', () => {
  it('agrees with the plain evaluator on random filters and rows', () => {
    const random = randomOf(seedOf())
    let pairs = 0
    let selected = 0
    for (let round = 0; round < 60; round++) {
      const payloads = Array.from({ length: random.whole(1, 80) }, () => random.payload())
      const index = indexOf(payloads)
      const rowsOfId = (id: string): number[] =>
        /^r\d+$/.test(id) && Number(id.slice(1)) < payloads.length ? [Number(id.slice(1))] : []
      for (let i = 0; i < 40; i++) {
        const filter = parseFilter(random.filter(3))
        const { sure, maybe, exact } = index.select(filter, rowsOfId)
        const wanted = wantedRows(filter, payloads)
        expect(exact).toBe(true)
        expect([...sure]).toEqual(wanted)
        expect([...maybe]).toEqual(wanted)
        expect(index.estimate(filter)).toBeGreaterThanOrEqual(wanted.length)
        pairs += payloads.length
        selected += wanted.length
      }
    }
    expect(pairs).toBeGreaterThan(20_000)
    expect(selected).toBeGreaterThan(1_000)
  })

  it('brackets the answer where a key is not indexed', () => {
    const random = randomOf(seedOf())
    const payloads = Array.from({ length: 60 }, (_, i) => {
      const payload = new Map(random.payload())
      if (i % 7 === 0) payload.set('a', 'long'.repeat(300))
      return payload
    })
    const index = indexOf(payloads)
    const rowsOfId = (id: string) => [Number(id.slice(1))].filter((row) => row < 60)
    let uncertain = 0
    for (let i = 0; i < 400; i++) {
      const filter = parseFilter(random.filter(3))
      const { sure, maybe, exact } = index.select(filter, rowsOfId)
      const wanted = wantedRows(filter, payloads)
      expect(sure.clone().andNot(Bitset.from(60, wanted)).count()).toBe(0)
      expect(Bitset.from(60, wanted).andNot(maybe).count()).toBe(0)
      expect(exact).toBe(sure.count() === maybe.count())
      if (!exact) uncertain++
    }
    expect(uncertain).toBeGreaterThan(10)
  })

  it('leaves keys beyond the first 256 to the payload', () => {
    const wide = new Map(Array.from({ length: 300 }, (_, i) => [`k${i}`, i] as const))
    const index = indexOf([wide, object({ other: 1 })])
    const late = index.select(parseFilter({ k299: 299 }), () => [])
    expect([late.exact, [...late.sure], [...late.maybe]]).toEqual([false, [], [0, 1]])
    const early = index.select(parseFilter({ k3: 3 }), () => [])
    expect([early.exact, [...early.sure]]).toEqual([true, [0]])
  })

  it('finds nothing, or everything that is empty, under a key that no row has', () => {
    const index = indexOf([object({ a: 1 }), object({ a: 2 })])
    expect(rowsOf(index, { b: 1 })).toEqual([])
    expect(rowsOf(index, { must: [{ is_empty: { key: 'b' } }] })).toEqual([0, 1])
    expect(rowsOf(index, { must_not: [{ key: 'b', match: { value: 1 } }] })).toEqual([0, 1])
  })

  it('works over no rows and over one', () => {
    expect(rowsOf(indexOf([]), {})).toEqual([])
    expect(rowsOf(indexOf([object({})]), {})).toEqual([0])
  })

  it('keeps numbers at the edges of their types apart', () => {
    const numbers = [1e20, -1e300, 2 ** 63, -(2 ** 63), 2n ** 64n - 1n, 2n ** 63n - 1n, 2 ** 64, 1]
    const index = indexOf(numbers.map((n) => object({ n })))
    for (const [row, n] of numbers.entries()) expect(rowsOf(index, { n })).toEqual([row])
    const above = { must: [{ key: 'n', range: { gt: 2n ** 63n } }] }
    expect(rowsOf(index, above)).toEqual([0, 4, 6])
  })

  it('uses lists and bitmaps alike', () => {
    for (const rows of [31, 32, 33, 64, 65, 1_000]) {
      const payloads = Array.from({ length: rows }, (_, row) =>
        object({ even: row % 2 === 0, row }),
      )
      const index = indexOf(payloads)
      expect(rowsOf(index, { even: true })).toHaveLength(Math.ceil(rows / 2))
      expect(rowsOf(index, { row: rows - 1 })).toEqual([rows - 1])
      const last = { must: [{ key: 'row', range: { gte: rows - 3 } }] }
      expect(rowsOf(index, last)).toEqual([rows - 3, rows - 2, rows - 1])
    }
  })
})

describe('the bytes', () => {
  const payloads = Array.from({ length: 40 }, (_, i) =>
    object({ s: `v${i % 5}`, n: i, b: i % 2 === 0, deep: object({ x: [i, null, 'é'] }) }),
  )

  it('are the same for the same rows', () => {
    expect(Buffer.compare(encode(payloads), encode(payloads))).toBe(0)
  })

  it('open at any alignment', () => {
    const bytes = encode(payloads)
    for (let shift = 0; shift < 8; shift++) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift)
      moved.set(bytes)
      expect(rowsOf(openFieldIndex(moved, payloads.length), { s: 'v1' })).toHaveLength(8)
    }
  })

  it('are refused for another number of rows', () => {
    expect(() => openFieldIndex(encode(payloads), 41)).toThrow('damaged')
  })

  it('never crash, cut or flipped: another answer of the right shape, or INTEGRITY', () => {
    const bytes = encode(payloads)
    const filters = [{ s: 'v1' }, { n: 7 }, { 'deep.x': 'é' }, { b: true }].map(parseFilter)
    filters.push(
      parseFilter({ must: [{ key: 'n', range: { gte: 3 } }, { is_null: { key: 's' } }] }),
    )
    let refused = 0
    const use = (damaged: Uint8Array): void => {
      try {
        const index = openFieldIndex(damaged, payloads.length)
        for (const filter of filters) {
          expect(index.select(filter, () => []).maybe.length).toBe(payloads.length)
          index.estimate(filter)
        }
      } catch (error) {
        expect(error).toBeInstanceOf(AkidbError)
        expect(error).toMatchObject({ code: 'INTEGRITY' })
        refused++
      }
    }
    for (let length = 0; length < bytes.length; length++) use(bytes.slice(0, length))
    expect(refused).toBe(bytes.length)
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice()
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8))
      use(flipped)
    }
  })
})

describe('a directory that lies', () => {
  const payloads = Array.from({ length: 40 }, (_, i) => object({ s: `v${i % 5}`, n: i }))
  const bytes = Buffer.from(encode(payloads))
  const start = PREFIX_BYTES + bytes.readUInt32LE(4)
  const directory: Directory = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, start))

  /** The index with another directory, padded to a multiple of 8 as ours are. */
  const withDirectory = (changed: unknown): Uint8Array => {
    const json = JSON.stringify(changed)
    const padded = json.padEnd(Math.ceil((json.length + PREFIX_BYTES) / 8) * 8 - PREFIX_BYTES)
    const prefix = Buffer.from(bytes.subarray(0, PREFIX_BYTES))
    prefix.writeUInt32LE(Buffer.byteLength(padded), 4)
    return Buffer.concat([prefix, Buffer.from(padded), bytes.subarray(start)])
  }
  const withKey = (change: object): Uint8Array =>
    withDirectory({ ...directory, keys: directory.keys.map((key) => ({ ...key, ...change })) })
  const use = (index: Uint8Array): void => {
    const open = openFieldIndex(index, payloads.length)
    for (const filter of [
      { n: 7 },
      { s: 'v1' },
      {
        must: [
          { key: 'n', range: { gt: 3 } },
          { key: 's', match: { except: ['v2'] } },
        ],
      },
      { must: [{ key: 's', range: { gt: '2026-01-01' } }] },
    ]) {
      const parsed = parseFilter(filter)
      open.estimate(parsed)
      open.select(parsed, () => [])
    }
  }

  it('is taken where it tells the truth', () => {
    expect(() => use(withDirectory(directory))).not.toThrow()
    expect(start % 8).toBe(0)
  })

  it.each([
    ['too few strings', { strings: 0 }],
    ['a huge count of strings', { strings: 2 ** 40 }],
    ['a huge count of numbers', { numbers: Number.MAX_SAFE_INTEGER }],
    ['a part far outside', { words: [2 ** 52, 8] }],
    ['a part that ends outside', { words: [0, 2 ** 52] }],
    ['a part of a negative length', { words: [0, -8] }],
    ['a part without a length', { words: [0] }],
    ['a part of three numbers', { words: [0, 8, 16] }],
    ['no words', { words: [0, 0] }],
    ['postings of another length', { postings: [0, 8] }],
    ['a key that is no text', { key: 7 }],
    ['a field of its own', { more: true }],
  ])('is INTEGRITY with %s', (_, change) => {
    expect(() => use(withKey(change))).toThrow(AkidbError)
    expect(() => use(withKey(change))).toThrow(/a field index is damaged/)
  })

  it('is INTEGRITY with too many keys, other rows, or no form at all', () => {
    const [key] = directory.keys
    for (const changed of [
      { ...directory, rows: 41 },
      { ...directory, rows: 2 ** 53 },
      { ...directory, keys: Array.from({ length: KEYS_MAX + 1 }, () => key) },
      { ...directory, overflow: 1 },
      [],
      null,
      'text',
    ]) {
      expect(() => use(withDirectory(changed))).toThrow(/a field index is damaged/)
    }
  })
})

const wantedRows = (filter: Filter, payloads: readonly JsonObject[]): number[] =>
  payloads.flatMap((payload, row) =>
    matchesFilter(filter, { id: `r${row}`, payload }) ? [row] : [],
  )
