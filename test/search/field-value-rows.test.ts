import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/core/json.ts'
import { type FieldIndex, openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import { type Scalar, scalarsUnder } from '../../src/search/field-scalars.ts'
import { scalarKey } from '../../src/search/scalar-order.ts'
import { randomOf, seedOf } from './random.ts'

const indexOf = (payloads: readonly JsonObject[]) => {
  const builder = createFieldIndexBuilder()
  for (const payload of payloads) builder.add(payload)
  return openFieldIndex(builder.encode(), payloads.length)
}

/** Values of each row as the index tells them, by payload where it says that it cannot. */
function fromIndex(index: FieldIndex, payloads: readonly JsonObject[], key: string): Set<Scalar>[] {
  const rows = payloads.map(() => new Set<Scalar>())
  const open = index.forEachValue(key, (value, row) => {
    // An expectation for each of 450,000 would take ten seconds.
    if (rows[row]?.has(value)) expect.fail(`${key} row ${row} twice`)
    rows[row]?.add(value)
  })
  for (const row of open ?? rows.keys()) {
    for (const value of scalarsUnder(payloads[row] as JsonObject, key)) {
      rows[row]?.add(scalarKey(value))
    }
  }
  return rows
}

const fromPayloads = (payloads: readonly JsonObject[], key: string): Set<Scalar>[] =>
  payloads.map((payload) => new Set(scalarsUnder(payload, key).map(scalarKey)))

/** Thousands of sets are compared faster so. */
const textOf = (rows: readonly ReadonlySet<Scalar>[]): string =>
  rows
    .map((values) =>
      Array.from(values, (value) => `${typeof value} ${value}`)
        .sort()
        .join('\n'),
    )
    .join('\n\n')

describe('the values of a key in a field index', () => {
  it('are those of the payloads', () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 40; round++) {
      const payloads = Array.from({ length: random.whole(1, 200) }, () => random.payload())
      const index = indexOf(payloads)
      for (const key of ['a', 'b', 'b.c', 'd.e', 'd', '__proto__', 'a.b.c', 'nobody']) {
        expect(textOf(fromIndex(index, payloads, key)), key).toBe(
          textOf(fromPayloads(payloads, key)),
        )
      }
    }
  })

  it('come from sets of every form, and from long texts too', () => {
    const long = 'x'.repeat(5_000)
    const payloads = Array.from({ length: 150_000 }, (_, i): JsonObject => {
      const n = i % 3 === 0 ? i : i % 7
      const tag = i < 70_000 ? 'run' : i % 2 === 0 ? 'bits' : `few ${i % 30_000}`
      return new Map<string, string | number | boolean>([
        ['n', n],
        ['tag', i % 50_000 === 9 ? `${long}${i}` : tag],
        ['yes', i % 5 === 0],
      ])
    })
    const index = indexOf(payloads)
    for (const key of ['n', 'tag', 'yes']) {
      const [found, wanted] = [fromIndex(index, payloads, key), fromPayloads(payloads, key)]
      const other = wanted.findIndex((values, row) => {
        const [value] = values
        return found[row]?.size !== 1 || !found[row]?.has(value as Scalar)
      })
      expect(other, key).toBe(-1)
    }
  })
})
