import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { decodeBlob, type SectionInput } from '../../src/format/blob.ts'
import { compareIdsOf, decodeIds, encodeIds } from '../../src/format/ids-section.ts'
import { decodeOrigin, encodeOrigin, NO_SOURCE } from '../../src/format/origin-section.ts'
import { decodeTombstones, tombstoneBlob } from '../../src/format/tombstones.ts'
import { asFloat32, asUint32, exactBigUint64 } from '../../src/format/views.ts'
import { randomOf, seedOf } from '../search/random.ts'
import { codeOf, flipped } from './expect-code.ts'
import { encodeInMemory } from './memory-blob.ts'

const sectionsOf = (inputs: readonly SectionInput[]): Map<string, Uint8Array> =>
  new Map(inputs.map(({ name, pieces }) => [name, Uint8Array.from(Buffer.concat([...pieces]))]))

describe('the ids of a segment', () => {
  it('come back in row order and are found, repeats too', () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 40; round++) {
      const count = random.whole(0, 60)
      const start = random.pick(['', 'https://example.org/', 'ä'])
      const end = random.pick(['', 'longer than a key'])
      const middle = () => `n${random.whole(0, 9)}${end}${random.whole(0, 9)}`
      const ids = Array.from(
        { length: count },
        () =>
          start +
          random.pick(['a', 'b', 'aa', 'a\0', 'ä', 'z', '\u{1f600}', '￿', '0', '', middle()]),
      ).map((id) => (id === '' ? 'empty' : id))
      const table = decodeIds(sectionsOf(encodeIds(ids)), count)
      expect(Array.from({ length: count }, (_, row) => table.id(row))).toEqual(ids)
      for (const id of new Set([...ids, 'missing', 'a\u0301', ''])) {
        const rows = ids.flatMap((one, row) => (one === id ? [row] : []))
        expect(table.rowsOf(Buffer.from(id))).toEqual(rows)
      }
      const sorted = Array.from({ length: count }, (_, place) => table.sorted(place))
      const bytes = (row: number): Buffer => Buffer.from(ids[row] as string)
      const wanted = [...ids.keys()].sort((a, b) => Buffer.compare(bytes(a), bytes(b)) || a - b)
      expect(sorted).toEqual(wanted)
      expect(ids.map((_, row) => Buffer.from(table.idBytes(row)).toString())).toEqual(ids)
      const others = decodeIds(sectionsOf(encodeIds([...ids, 'b', 'ab'])), count + 2)
      const texts = [...ids.keys()].map(bytes).concat([Buffer.from('b'), Buffer.from('ab')])
      for (const [row, text] of [...ids.keys()].map((each) => [each, bytes(each)] as const)) {
        expect(texts.map((_, other) => compareIdsOf(table, row, others, other))).toEqual(
          texts.map((other) => Buffer.compare(text, other)),
        )
      }
    }
  })

  it('are taken at their longest and refused beyond, and empty', () => {
    const open = (id: string) => () => decodeIds(sectionsOf(encodeIds([id])), 1)
    expect(codeOf(open('x'.repeat(limits.idBytesMax)))).toBeUndefined()
    expect(codeOf(open('x'.repeat(limits.idBytesMax + 1)))).toBe('INTEGRITY')
    expect(codeOf(open(''))).toBe('INTEGRITY')
  })

  it('are INTEGRITY cut anywhere, of another count, or with an order that is none', () => {
    const ids = ['b', 'a', 'ö', 'a', 'zz']
    const sections = sectionsOf(encodeIds(ids))
    for (const [name, bytes] of sections) {
      for (let length = 0; length < bytes.length; length++) {
        const cut = new Map([...sections, [name, bytes.slice(0, length)]])
        expect(
          codeOf(() => decodeIds(cut, ids.length)),
          `${name} ${length}`,
        ).toBe('INTEGRITY')
      }
      const longer = new Map([...sections, [name, Buffer.concat([bytes, Buffer.alloc(1)])]])
      expect(
        codeOf(() => decodeIds(longer, ids.length)),
        name,
      ).toBe('INTEGRITY')
      const without = new Map(sections)
      without.delete(name)
      expect(
        codeOf(() => decodeIds(without, ids.length)),
        name,
      ).toBe('INTEGRITY')
    }
    for (const count of [0, 4, 6]) {
      expect(codeOf(() => decodeIds(sections, count))).toBe('INTEGRITY')
    }
    for (const name of ['idoff', 'idsort']) {
      const bytes = sections.get(name) ?? new Uint8Array()
      for (let at = 0; at < bytes.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const altered = new Map([...sections, [name, flipped(bytes, at, bit)]])
          const code = codeOf(() => decodeIds(altered, ids.length))
          // Where ids part can move without breaking their order; the digest guards that.
          if (name === 'idsort') expect(code, `${name} ${at}.${bit}`).toBe('INTEGRITY')
          else expect([undefined, 'INTEGRITY']).toContain(code)
        }
      }
    }
    const bad = new Map([...sections, ['idbytes', Buffer.from('ba\xff\xffazz', 'latin1')]])
    expect(codeOf(() => decodeIds(bad, ids.length))).toBe('INTEGRITY')
  })
})

describe('the origins of a segment', () => {
  const table = {
    sources: Uint32Array.of(0, 7, NO_SOURCE),
    rows: BigUint64Array.of(0n, 2n ** 64n - 1n, 5n),
  }
  const sections = sectionsOf(encodeOrigin(table))

  it('come back', () => {
    expect(decodeOrigin(sections, 3)).toEqual(table)
    const none = encodeOrigin({ sources: new Uint32Array(), rows: new BigUint64Array() })
    expect(decodeOrigin(sectionsOf(none), 0).sources).toHaveLength(0)
  })

  it('are INTEGRITY cut anywhere or of another count', () => {
    for (const [name, bytes] of sections) {
      for (let length = 0; length < bytes.length; length++) {
        const cut = new Map([...sections, [name, bytes.slice(0, length)]])
        expect(codeOf(() => decodeOrigin(cut, 3))).toBe('INTEGRITY')
      }
    }
    expect(codeOf(() => decodeOrigin(sections, 2))).toBe('INTEGRITY')
    expect(codeOf(() => decodeOrigin(new Map(), 0))).toBe('INTEGRITY')
  })
})

describe('tombstones', () => {
  const dead = new Map([
    [9, Uint32Array.of(3)],
    [2, Uint32Array.of(0, 1, 41)],
    [5, new Uint32Array()],
  ])

  it('come back for each segment, and take no room where there are none', async () => {
    const { bytes, ref } = await encodeInMemory(tombstoneBlob(dead))
    const blob = decodeBlob(bytes, ref)
    expect(blob.records).toBe(4)
    expect([...decodeTombstones(blob, 2, 3, 42)]).toEqual([0, 1, 41])
    expect([...decodeTombstones(blob, 9, 1, 4)]).toEqual([3])
    expect(codeOf(() => decodeTombstones(blob, 5, 0, 10))).toBe('INTEGRITY')
    const same = await encodeInMemory(tombstoneBlob(new Map([...dead].reverse())))
    expect(same.ref.digest).toBe(ref.digest)
  })

  it('are INTEGRITY for another segment, count or number of rows', async () => {
    const { bytes, ref } = await encodeInMemory(tombstoneBlob(dead))
    const blob = decodeBlob(bytes, ref)
    for (const [key, count, rows] of [
      [1, 3, 42],
      [2, 2, 42],
      [2, 4, 42],
      [2, 3, 41],
      [9, 1, 3],
      [9, 3, 42],
    ] as const) {
      expect(codeOf(() => decodeTombstones(blob, key, count, rows))).toBe('INTEGRITY')
    }
  })

  it('never give rows out of order or beyond the segment, whatever is altered', async () => {
    const { bytes, ref } = await encodeInMemory(tombstoneBlob(dead))
    const blob = decodeBlob(bytes, ref)
    let refused = 0
    for (const name of ['segs', 'rows']) {
      const part = blob.sections.get(name) ?? new Uint8Array()
      for (let at = 0; at < part.length; at++) {
        for (const altered of [flipped(part, at, at % 8), part.slice(0, at)]) {
          const sections = new Map([...blob.sections, [name, altered]])
          const use = () => {
            const rows = [...decodeTombstones({ ...blob, sections }, 2, 3, 42)]
            expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b))
            expect(Math.max(...rows)).toBeLessThan(42)
          }
          if (codeOf(use) === 'INTEGRITY') refused++
        }
      }
    }
    expect(refused).toBeGreaterThan(40)
  })
})

describe('views', () => {
  it('give the same numbers at any alignment', () => {
    const floats = new Uint8Array(Float32Array.of(1.5, -2).buffer)
    const wide = new Uint8Array(BigUint64Array.of(7n).buffer)
    for (let shift = 0; shift < 9; shift++) {
      const moved = new Uint8Array(shift + 8).subarray(shift)
      moved.set(floats)
      expect([...asFloat32(moved)]).toEqual([1.5, -2])
      expect([...asUint32(moved)]).toEqual([0x3fc00000, 0xc0000000])
      moved.set(wide)
      expect([...(exactBigUint64(moved, 1) ?? [])]).toEqual([7n])
    }
    expect(exactBigUint64(wide, 2)).toBeUndefined()
  })
})
