import { describe, expect, it } from 'vitest'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { type FieldIndex, openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import {
  BLOCK_BYTES,
  checksum,
  type Directory,
  KEYS_MAX,
  type KeyEntry,
  type NumberParts,
  PREFIX_BYTES,
  type TextParts,
} from '../../src/search/field-index-format.ts'
import { type Filter, parseFilter } from '../../src/search/filter.ts'
import { randomOf, seedOf } from './random.ts'

const object = (entries: Record<string, JsonValue>): JsonObject => new Map(Object.entries(entries))

const encode = (payloads: readonly JsonObject[]): Uint8Array => {
  const builder = createFieldIndexBuilder()
  for (const payload of payloads) builder.add(payload)
  return builder.encode()
}

const rowsOf = (index: FieldIndex, filter: unknown): number[] => [
  ...index.select(parseFilter(filter), () => []).sure,
]

describe('the bytes', () => {
  const payloads = Array.from({ length: 40 }, (_, i) =>
    object({
      ...{ s: `v${i % 5}`, n: i, b: i % 2 === 0, deep: object({ x: [i, null, 'é'] }) },
      ...{ g: object({ lon: i, lat: i }), t: `2026-01-${String((i % 28) + 1).padStart(2, '0')}` },
    }),
  )

  it('are the same for the same rows', () => {
    expect(Buffer.compare(encode(payloads), encode(payloads))).toBe(0)
  })

  it('open at any alignment', () => {
    const bytes = encode(payloads)
    for (let shift = 0; shift < 8; shift++) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift)
      moved.set(bytes)
      for (const view of [moved, Buffer.from(moved.buffer, shift)]) {
        const index = openFieldIndex(view, payloads.length)
        expect(rowsOf(index, { s: 'v1' })).toHaveLength(8)
        expect(rowsOf(index, { n: 7 })).toEqual([7])
      }
    }
  })

  it('are refused for another number of rows', () => {
    expect(() => openFieldIndex(encode(payloads), 41)).toThrow('damaged')
  })

  it('are INTEGRITY, cut or flipped, wherever the damage can change an answer', () => {
    const bytes = encode(payloads)
    const at = { must: [{ key: 'n', range: { gte: 3 } }, { is_null: { key: 'deep.x' } }] }
    const place = { center: { lon: 1, lat: 1 }, radius: 1e6 }
    const filters = [
      ...[{ s: 'v1' }, { n: 7 }, { 'deep.x': 'é' }, { b: true }, at],
      {
        should: [
          { key: 's', match: { text: 'v1' } },
          { key: 'g', geo_radius: place },
        ],
      },
      { must: [{ key: 't', range: { gt: '2026-01-05' } }] },
      {
        must: [
          { key: 'deep.x', values_count: { gt: 2 } },
          { key: 's', match: { except: ['v2'] } },
        ],
      },
    ].map((filter) => parseFilter(filter))
    const whole = openFieldIndex(bytes, payloads.length)
    const answers = filters.map((filter) => answerOf(whole, filter))
    const seen = { refused: 0, answered: 0 }
    const use = (damaged: Uint8Array): void => {
      try {
        const index = openFieldIndex(damaged, payloads.length)
        for (const [i, filter] of filters.entries()) {
          expect(answerOf(index, filter)).toEqual(answers[i])
        }
        seen.answered++
      } catch (error) {
        if (!(error instanceof AkidbError)) throw error
        expect(error).toMatchObject({ code: 'INTEGRITY' })
        seen.refused++
      }
    }
    for (let length = 0; length < bytes.length; length++) use(bytes.subarray(0, length))
    expect(seen).toEqual({ refused: bytes.length, answered: 0 })
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Uint8Array.from(bytes)
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8))
      use(flipped)
    }
    // Only what no filter needs, a text that is not compared or a gap, is not looked at.
    expect(seen.refused + seen.answered).toBe(2 * bytes.length)
    expect(seen.answered).toBeLessThan(bytes.length / 4)
  })
})

describe('bytes that lie behind right checksums', () => {
  it('never crash, hang or take much memory', () => {
    const random = randomOf(seedOf())
    const keys = ['a', 'd']
    const payloads = Array.from(
      { length: 70 },
      () => new Map([...random.payload()].filter(([key]) => keys.includes(key))) as JsonObject,
    )
    payloads.push(object({ a: 'long '.repeat(300), d: object({ lon: 7, lat: 8 }) }))
    const bytes = Buffer.from(encode(payloads))
    const filters = Array.from({ length: 100 }, () => parseFilter(random.filter(2)))
    const seen = { refused: 0, answered: 0 }
    for (let round = 0; round < 1_000; round++) {
      const damaged = Buffer.from(bytes)
      const start =
        PREFIX_BYTES + damaged.readUInt32LE(4) + Math.ceil(damaged.readUInt32LE(12) / 2) * 8
      const edits = random.whole(1, 12)
      for (let i = 0; i < edits; i++) {
        const at = random.whole(start, damaged.length - 4) & ~3
        damaged.writeUInt32LE(random.pick([0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 31 - 1, 70, 71, 3]), at)
      }
      sign(damaged)
      try {
        const index = openFieldIndex(damaged, payloads.length)
        for (let i = 0; i < 3; i++) {
          const filter = random.pick(filters)
          const { sure, maybe } = index.select(filter, () => [])
          expect([sure.length, maybe.length]).toEqual([payloads.length, payloads.length])
          expect([...maybe].every((row) => row < payloads.length)).toBe(true)
          expect(index.estimate(filter)).toBeLessThanOrEqual(payloads.length)
        }
        seen.answered++
      } catch (error) {
        expect(error).toMatchObject({ code: 'INTEGRITY' })
        seen.refused++
      }
    }
    expect(seen.refused).toBeGreaterThan(20)
    expect(seen.answered).toBeGreaterThan(20)
  })
})

/** Makes the checksums of an index right again. */
function sign(index: Buffer): void {
  const sums = PREFIX_BYTES + index.readUInt32LE(4)
  const blocks = index.readUInt32LE(12)
  const start = sums + Math.ceil(blocks / 2) * 8
  for (let block = 0; block < blocks; block++) {
    const from = start + block * BLOCK_BYTES
    index.writeUInt32LE(checksum(index.subarray(from, from + BLOCK_BYTES)), sums + block * 4)
  }
  index.writeUInt32LE(checksum(index.subarray(PREFIX_BYTES, start)), 8)
}

describe('a directory that lies', () => {
  const payloads = Array.from({ length: 40 }, (_, i) => object({ s: `v${i % 5}`, n: i }))
  const bytes = Buffer.from(encode(payloads))
  const start = PREFIX_BYTES + bytes.readUInt32LE(4)
  const directory: Directory = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, start))
  const partsOf = (key: string): KeyEntry =>
    directory.keys.find((entry) => entry.key === key) as KeyEntry
  const texts = partsOf('s').texts as TextParts
  const numbers = partsOf('n').numbers as NumberParts

  /** The index with another directory, padded to a multiple of 8 as ours are, and signed. */
  const withDirectory = (changed: unknown): Uint8Array => {
    const json = JSON.stringify(changed)
    const padded = json.padEnd(Math.ceil((json.length + PREFIX_BYTES) / 8) * 8 - PREFIX_BYTES)
    const prefix = Buffer.from(bytes.subarray(0, PREFIX_BYTES))
    prefix.writeUInt32LE(Buffer.byteLength(padded), 4)
    const changedBytes = Buffer.concat([prefix, Buffer.from(padded), bytes.subarray(start)])
    sign(changedBytes)
    return changedBytes
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
      { must: [{ is_null: { key: 'n' } }] },
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
    ['a count of texts that does not fit', { texts: { ...texts, count: 0 } }],
    ['a huge count of texts', { texts: { ...texts, count: 2 ** 40 } }],
    ['a huge count of numbers', { numbers: { ...numbers, count: Number.MAX_SAFE_INTEGER } }],
    ['a part far outside', { numbers: { ...numbers, rows: [2 ** 52, 160] } }],
    ['a part that ends outside', { texts: { ...texts, bytes: [0, 2 ** 52] } }],
    ['a part of a negative length', { texts: { ...texts, words: [0, -8] } }],
    ['a part without a length', { texts: { ...texts, words: [0] } }],
    ['a part of three numbers', { texts: { ...texts, words: [0, 8, 16] } }],
    ['a part at an odd place', { numbers: { ...numbers, values: [4, numbers.values[1]] } }],
    ['no heads', { sets: { heads: [0, 0], words: [0, 0] } }],
    ['tags of another length', { numbers: { ...numbers, tags: [0, 8] } }],
    ['starts of another length', { numbers: { ...numbers, starts: [0, 8] } }],
    ['a key that is no text', { key: 7 }],
    ['a field of its own', { more: true }],
  ])('is INTEGRITY with %s', (_, change) => {
    expect(() => use(withKey(change))).toThrow(AkidbError)
    expect(() => use(withKey(change))).toThrow(/a field index is damaged/)
  })

  it('is INTEGRITY with a row beyond the last', () => {
    const filter = parseFilter({ must: [{ key: 'n', range: { gte: 0 } }] })
    for (const row of [payloads.length, 63, 64, 2 ** 32 - 1]) {
      const damaged = Buffer.from(bytes)
      const parts = start + Math.ceil(damaged.readUInt32LE(12) / 2) * 8
      damaged.writeUInt32LE(row, parts + numbers.rows[0])
      sign(damaged)
      const index = openFieldIndex(damaged, payloads.length)
      expect(() => index.select(filter, () => [])).toThrow(/a field index is damaged/)
    }
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

const answerOf = (index: FieldIndex, filter: Filter): readonly unknown[] => {
  const { sure, maybe } = index.select(filter, () => [])
  return [[...sure], [...maybe]]
}
