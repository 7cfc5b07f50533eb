import { describe, expect, it } from 'vitest'
import { Bitset } from '../../src/core/bitset.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { matchesFilter } from '../../src/search/evaluate.ts'
import { type FieldIndex, openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import {
  DISTINCT_BYTES_MAX,
  TOKEN_BYTES_MAX,
  VALUE_BYTES_MAX,
} from '../../src/search/field-index-format.ts'
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

/** Rows that pass: those that the index is sure of, and of the others those whose payload does. */
const resolved = (
  index: FieldIndex,
  filter: Filter,
  payloads: readonly JsonObject[],
): readonly number[] => {
  const { sure, maybe, exact } = index.select(filter, rowsNamed(payloads.length))
  expect(exact).toBe(sure.count() === maybe.count())
  expect(sure.clone().andNot(maybe).count()).toBe(0)
  return [...maybe].filter(
    (row) =>
      sure.has(row) ||
      matchesFilter(filter, { id: `r${row}`, payload: payloads[row] ?? new Map() }),
  )
}

const rowsNamed =
  (rows: number) =>
  (id: string): number[] =>
    /^r\d+$/.test(id) && Number(id.slice(1)) < rows ? [Number(id.slice(1))] : []

describe('select', () => {
  it('agrees with the plain evaluator on random filters and rows', () => {
    const random = randomOf(seedOf())
    const seen = { pairs: 0, selected: 0, exact: 0, filters: 0 }
    for (let round = 0; round < 75; round++) {
      const payloads = Array.from({ length: random.whole(1, 80) }, () => random.payload())
      const index = indexOf(payloads)
      for (let i = 0; i < 60; i++) {
        const json = random.filter(3)
        const filter = parseFilter(json)
        const wanted = wantedRows(filter, payloads)
        const text = JSON.stringify(json, (_, value) =>
          typeof value === 'bigint' ? `${value}n` : value,
        )
        const { sure, exact } = index.select(filter, rowsNamed(payloads.length))
        expect(sure.clone().andNot(Bitset.from(payloads.length, wanted)).count(), text).toBe(0)
        expect(resolved(index, filter, payloads), text).toEqual(wanted)
        if (!text.includes('nested')) expect(exact, text).toBe(true)
        expect(index.estimate(filter), text).toBeGreaterThanOrEqual(wanted.length)
        seen.pairs += payloads.length
        seen.selected += wanted.length
        seen.exact += exact ? 1 : 0
        seen.filters++
      }
    }
    expect(seen.pairs).toBeGreaterThan(100_000)
    expect(seen.selected).toBeGreaterThan(10_000)
    expect(seen.exact).toBeGreaterThan(seen.filters / 2)
  })

  it('brackets the answer where texts are too long to be listed', () => {
    const random = randomOf(seedOf())
    const payloads = Array.from({ length: 60 }, (_, i) => {
      const payload = new Map(random.payload())
      if (i % 7 === 0) payload.set('a', `${'long '.repeat(300)} red blue`)
      return payload
    })
    const index = indexOf(payloads)
    for (let i = 0; i < 600; i++) {
      const filter = parseFilter(random.filter(3))
      expect(resolved(index, filter, payloads)).toEqual(wantedRows(filter, payloads))
    }
  })

  it('asks the payload for one long text alone, and only where it may matter', () => {
    const long = 'Long winter, '.repeat(100)
    const index = indexOf([object({ a: 'short' }), object({ a: long }), object({ a: 7 })])
    const select = (condition: object) => {
      const { sure, maybe } = index.select(parseFilter({ must: [condition] }), () => [])
      return [[...sure], [...maybe]]
    }
    const match = (match: object) => select({ key: 'a', match })
    expect(match({ value: 'short' })).toEqual([[0], [0]])
    expect(match({ value: long })).toEqual([[], [1]])
    expect(match({ except: ['short'] })).toEqual([
      [1, 2],
      [1, 2],
    ])
    expect(match({ except: [long] })).toEqual([
      [0, 2],
      [0, 1, 2],
    ])
    expect(match({ text: 'winter long' })).toEqual([[1], [1]])
    expect(match({ text: 'winter summer' })).toEqual([[], []])
    expect(match({ text_any: 'winter summer' })).toEqual([[1], [1]])
    expect(match({ phrase: 'long winter' })).toEqual([[], [1]])
    expect(match({ phrase: 'winter' })).toEqual([[1], [1]])
    expect(select({ key: 'a', range: { gt: 1 } })).toEqual([[2], [2]])
    expect(select({ key: 'a', range: { gt: '2020-01-01' } })).toEqual([[], []])
  })

  it('asks the payload for texts beyond the bytes that are kept of a key', () => {
    const text = (i: number): string => `${String(i).padStart(6, '0')} `.repeat(VALUE_BYTES_MAX / 7)
    const payloads = Array.from({ length: Math.ceil(DISTINCT_BYTES_MAX / 1_022) + 60 }, (_, i) =>
      object({ a: text(i) }),
    )
    const late = payloads.length - 1
    payloads.push(object({ a: '2026-01-01' }), object({ a: text(late) }), object({ a: text(7) }))
    const index = indexOf(payloads)
    const on = (condition: object): Filter => parseFilter({ must: [{ key: 'a', ...condition }] })
    for (const [filter, exact, rows] of [
      [on({ match: { value: text(7) } }), true, [7, late + 3]],
      [on({ match: { value: text(late) } }), false, [late, late + 2]],
      [on({ match: { value: '2026-01-01' } }), true, [late + 1]],
      [on({ range: { gt: '2025-01-01' } }), true, [late + 1]],
      [on({ match: { text: String(late).padStart(6, '0') } }), true, [late, late + 2]],
      [on({ match: { text_any: '000007 2026' } }), true, [7, late + 1, late + 3]],
    ] as const) {
      expect(resolved(index, filter, payloads)).toEqual(rows)
      expect(index.select(filter, () => []).exact).toBe(exact)
      expect(index.estimate(filter)).toBeGreaterThanOrEqual(rows.length)
    }
    const others = index.select(on({ match: { except: [text(late)] } }), () => [])
    expect(others.exact).toBe(false)
    expect([others.sure.has(7), others.sure.has(late), others.maybe.has(late)]).toEqual([
      ...[true, false, true],
    ])
  })

  it('reads the texts where there are too many tokens', () => {
    const token = (i: number): string => String(i).padStart(255, 'x')
    const rows = Math.ceil(TOKEN_BYTES_MAX / (4 * 255)) + 10
    const payloads = Array.from({ length: rows }, (_, row) =>
      object({ a: [0, 1, 2, 3].map((i) => token(4 * row + i)).join(' ') }),
    )
    payloads.push(object({ a: 'long winter '.repeat(100) }))
    const index = indexOf(payloads)
    const on = (match: object): Filter => parseFilter({ must: [{ key: 'a', match }] })
    const [first, second] = [token(4 * 7), token(4 * 7 + 1)]
    for (const [match, found] of [
      [{ text: `${second} ${first}` }, [7]],
      [{ phrase: `${second} ${first}` }, []],
      [{ phrase: `${first} ${second}` }, [7]],
      [{ text_any: `winter ${first}` }, [7, rows]],
    ] as const) {
      expect(resolved(index, on(match), payloads)).toEqual(found)
      expect(index.estimate(on(match))).toBeGreaterThanOrEqual(found.length)
      expect([...index.select(on(match), () => []).maybe]).toContain(rows)
    }
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

  it('never estimates too few where an element lacks what its neighbour has', () => {
    const payload = object({ a: [object({ b: 1 }), object({ c: [1, 2] })] })
    const index = indexOf([payload, payload, payload])
    for (const filter of [
      { must: [{ is_empty: { key: 'b' } }] },
      { must: [{ key: 'b', values_count: { lt: 1 } }] },
      { must_not: [{ key: 'b', match: { value: 1 } }] },
      { must: [{ must_not: [{ key: 'c', match: { value: 1 } }] }] },
    ]) {
      const nested = parseFilter({ must: [{ nested: { key: 'a', filter } }] })
      expect(resolved(index, nested, [payload, payload, payload])).toEqual([0, 1, 2])
      expect(index.estimate(nested)).toBe(3)
    }
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

const wantedRows = (filter: Filter, payloads: readonly JsonObject[]): number[] =>
  payloads.flatMap((payload, row) =>
    matchesFilter(filter, { id: `r${row}`, payload }) ? [row] : [],
  )
