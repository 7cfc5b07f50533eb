import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import {
  blobKey,
  checkBlob,
  checkChunk,
  checkChunkList,
  chunkBytesOf,
  decodeBlob,
  decodeBlobHead,
  encodeBlob,
  HEADER_BYTES,
  SECTION_ENTRY_BYTES,
  SECTIONS_MAX,
  section,
} from '../../src/format/blob.ts'
import { chunkLayout, chunkRoot, TAIL_BYTES } from '../../src/format/chunks.ts'
import { BLOB_ROLES, type BlobRef } from '../../src/format/manifest.ts'
import { codeOf, flipped } from './expect-code.ts'
import { encodeInMemory } from './memory-blob.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const small = () =>
  encodeInMemory({
    role: 'ids',
    records: 3,
    dimension: 4,
    sections: [
      section('a', Buffer.from('hello')),
      section('empty', new Uint8Array()),
      section('eightchr', Buffer.alloc(130, 7)),
    ],
  })

/** The reference that whoever altered a blob could sign. */
const refOf = (bytes: Uint8Array, ref: BlobRef): BlobRef => ({
  ...ref,
  bytes: bytes.length,
  digest: sha256(bytes),
})

describe('a blob', () => {
  it('comes back as it went in, for every role', async () => {
    for (const role of BLOB_ROLES) {
      const sections = [section('x', Buffer.from([1, 2, 3])), section('y', Buffer.alloc(64, 9))]
      const { ref, bytes } = await encodeInMemory({ role, records: 12, dimension: 3, sections })
      expect([ref.digest, ref.bytes, ref.role]).toEqual([sha256(bytes), bytes.length, role])
      expect(ref.chunkBytes).toBe(chunkBytesOf(role))
      checkBlob(bytes, ref)
      const blob = decodeBlob(bytes, ref)
      expect([blob.role, blob.records, blob.dimension]).toEqual([role, 12, 3])
      expect([...blob.sections].map(([name, part]) => [name, [...part]])).toEqual([
        ['x', [1, 2, 3]],
        ['y', Array(64).fill(9)],
      ])
      expect(blob.sections.get('y')?.byteOffset).toBe(bytes.byteOffset + 192)
    }
  })

  it('has no, one or many sections, and not one more than the most', async () => {
    const many = (count: number) => ({
      ...{ role: 'ids' as const, records: 0, dimension: 0 },
      sections: Array.from({ length: count }, (_, i) => section(`s${i}`, Buffer.from([i]))),
    })
    for (const count of [0, 1, SECTIONS_MAX]) {
      const { bytes, ref } = await encodeInMemory(many(count))
      expect(decodeBlob(bytes, ref).sections.size).toBe(count)
    }
    await expect(encodeInMemory(many(SECTIONS_MAX + 1))).rejects.toThrow(/at most 64/)
    const named = (...names: string[]) => ({
      ...many(0),
      sections: names.map((name) => section(name, new Uint8Array())),
    })
    await expect(encodeInMemory(named('a', 'a'))).rejects.toThrow(/another name/)
    for (const name of ['', 'ninechars', 'ä', 'a b', 'a\0']) {
      await expect(encodeInMemory(named(name)), name).rejects.toThrow(/no section can be named/)
    }
  })

  it('takes chunks of one byte less, exactly, and one more than a chunk', async () => {
    const chunk = limits.chunkBytesSmall
    for (const extra of [-64, -1, 0, 1, 64]) {
      for (const chunks of [1, 2]) {
        const bytes = chunk * chunks + extra - 128
        const sections = [section('vec', Buffer.alloc(bytes, 5))]
        const made = await encodeInMemory({ role: 'vectors', records: 0, dimension: 0, sections })
        const layout = chunkLayout(made.ref.bytes, chunk)
        const body = Math.ceil((bytes + 128) / 64) * 64
        expect(layout).toMatchObject({ bodyBytes: body, chunkCount: Math.ceil(body / chunk) })
        decodeBlob(made.bytes, made.ref)
        const list = made.bytes.subarray(body, -TAIL_BYTES)
        checkChunkList(list, made.ref)
        for (let i = 0; i * chunk < body; i++) {
          checkChunk(
            made.bytes.subarray(i * chunk, Math.min(body, (i + 1) * chunk)),
            i,
            list,
            made.ref,
          )
        }
        const wrong = () => checkChunk(Buffer.alloc(chunk, 6), 0, list, made.ref)
        expect(codeOf(wrong)).toBe('INTEGRITY')
        const shorter = () => checkChunkList(list.subarray(32), made.ref)
        expect(codeOf(shorter)).toBe('INTEGRITY')
        expect(codeOf(() => checkChunkList(flipped(list, 3, 1), made.ref))).toBe('INTEGRITY')
      }
    }
  })

  it('is written in pieces that may be reused, and is the same however it is cut', async () => {
    const whole = await encodeInMemory({
      ...{ role: 'codes', records: 1, dimension: 1 },
      sections: [section('codes', Buffer.from('abcdef'))],
    })
    const piece = Buffer.alloc(2)
    function* pieces() {
      for (const text of ['ab', 'cd', 'ef']) {
        piece.write(text)
        yield piece
      }
    }
    const cut = await encodeInMemory({
      ...{ role: 'codes', records: 1, dimension: 1 },
      sections: [{ name: 'codes', bytes: 6, pieces: pieces() }],
    })
    expect(cut.bytes.equals(whole.bytes)).toBe(true)
    const short = { name: 'codes', bytes: 7, pieces: [Buffer.from('abcdef')] }
    const input = { role: 'codes' as const, records: 1, dimension: 1, sections: [short] }
    await expect(encodeInMemory(input)).rejects.toThrow('section codes: 6 of 7')
  })

  it('over the largest size is refused before anything is written', async () => {
    let written = 0
    const sections = [{ name: 'vec', bytes: limits.blobBytesMax, pieces: [] }]
    const encode = encodeBlob({ role: 'vectors', records: 0, dimension: 0, sections }, async () => {
      written++
    })
    await expect(encode).rejects.toMatchObject({ code: 'LIMIT' })
    expect(written).toBe(0)
  })

  it('lies under its digest', () => {
    expect(blobKey('ab12')).toBe('blobs/0/ab/ab12')
    expect(blobKey('ab12', 'kms')).toBe('blobs/kms/ab/ab12')
  })
})

describe('a damaged blob', () => {
  it('is INTEGRITY where any bit is turned or it is cut anywhere', async () => {
    const { bytes, ref } = await small()
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => checkBlob(bytes.subarray(0, length), ref))).toBe('INTEGRITY')
      expect(codeOf(() => decodeBlob(bytes.subarray(0, length), ref))).toBe('INTEGRITY')
    }
    for (let at = 0; at < bytes.length; at++) {
      expect(codeOf(() => checkBlob(flipped(bytes, at, at % 8), ref))).toBe('INTEGRITY')
    }
    expect(codeOf(() => checkBlob(Buffer.concat([bytes, Buffer.alloc(1)]), ref))).toBe('INTEGRITY')
  })

  it('is refused cut anywhere, even under a reference of its own', async () => {
    const { bytes, ref } = await small()
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length)
      expect(
        codeOf(() => decodeBlob(cut, refOf(cut, ref))),
        `${length}`,
      ).toBe('INTEGRITY')
    }
  })

  it('has no bit that means nothing, even under a reference of its own', async () => {
    const { bytes, ref } = await small()
    const body = bytes.length - TAIL_BYTES - 32
    const free = (at: number): boolean => {
      if (at >= 16 && at < 28) return true
      const inEntry = (at - HEADER_BYTES) % SECTION_ENTRY_BYTES
      const table = at >= HEADER_BYTES && at < HEADER_BYTES + 3 * SECTION_ENTRY_BYTES
      // A name, and the low byte of a length: zeros may as well belong to the section.
      if (table) return inEntry < 8 || inEntry === 16
      const [hello, last] = [192, 256]
      if ((at >= hello && at < hello + 5) || (at >= last && at < last + 130)) return true
      return at >= body && at < body + 32
    }
    const codes = new Set<string | undefined>()
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = flipped(bytes, at, bit)
        const code = codeOf(() => decodeBlob(altered, refOf(altered, ref)))
        codes.add(code)
        if (!free(at)) expect(code, `byte ${at}`).toMatch(/INTEGRITY|FORMAT_VERSION/)
      }
    }
    expect([...codes].sort()).toEqual(['FORMAT_VERSION', 'INTEGRITY', undefined])
  })

  it('of a newer version, codec or requires bit is FORMAT_VERSION', async () => {
    const { bytes, ref } = await small()
    for (const [at, value] of [
      [4, 2],
      [8, 2],
      [10, 1],
      [11, 128],
    ] as const) {
      const newer = Uint8Array.from(bytes)
      newer[at] = value
      expect(codeOf(() => decodeBlob(newer, refOf(newer, ref)))).toBe('FORMAT_VERSION')
    }
  })

  it('of another role, chunk size or dimension than allowed is refused', async () => {
    const { bytes, ref } = await small()
    expect(codeOf(() => decodeBlob(bytes, { ...ref, role: 'text' }))).toBe('INTEGRITY')
    const chunks = { ...ref, chunkBytes: limits.chunkBytesSmall }
    expect(codeOf(() => decodeBlob(bytes, chunks))).toBe('INTEGRITY')
    const wide = Buffer.from(bytes)
    wide.writeUInt32LE(limits.dimensionMax + 1, 24)
    expect(codeOf(() => decodeBlob(wide, refOf(wide, ref)))).toBe('INTEGRITY')
    wide.writeUInt32LE(limits.dimensionMax, 24)
    expect(codeOf(() => decodeBlob(wide, refOf(wide, ref)))).toBeUndefined()
    wide.writeBigUInt64LE(2n ** 53n, 16)
    expect(codeOf(() => decodeBlob(wide, refOf(wide, ref)))).toBe('INTEGRITY')
  })

  it('claims huge sections and tables in vain', async () => {
    const { bytes, ref } = await small()
    for (const value of [2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      for (const at of [32, 40, HEADER_BYTES + 8, HEADER_BYTES + 16]) {
        const huge = Buffer.from(bytes)
        huge.writeBigUInt64LE(value, at)
        expect(codeOf(() => decodeBlob(huge, refOf(huge, ref)))).toBe('INTEGRITY')
      }
    }
    const table = Buffer.from(bytes)
    table.writeUInt32LE(0xffffffff, 12)
    expect(codeOf(() => decodeBlobHead(table, refOf(table, ref)))).toBe('INTEGRITY')
  })
})

describe('chunkLayout', () => {
  it('finds the one body that a length has room for, or none', () => {
    for (const chunkBytes of [4096, 65_536]) {
      let none = 0
      for (let bytes = 0; bytes < 20_000; bytes++) {
        const layout = chunkLayout(bytes, chunkBytes)
        if (layout === undefined) {
          none++
          continue
        }
        expect(layout.bodyBytes + layout.chunkCount * 32 + TAIL_BYTES).toBe(bytes)
        expect(layout.chunkCount).toBe(Math.ceil(layout.bodyBytes / chunkBytes))
      }
      expect(none).toBeGreaterThanOrEqual(127)
    }
  })

  it('takes no length that is no number of bytes', () => {
    for (const bytes of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(chunkLayout(bytes, 4096)).toBeUndefined()
    }
  })
})

describe('chunkRoot', () => {
  it('is the RFC 6962 root of the hashes', () => {
    const hash = (...parts: Uint8Array[]): Buffer => {
      const sum = createHash('sha256')
      for (const part of parts) sum.update(part)
      return sum.digest()
    }
    const [a, b, c] = ['a', 'b', 'c'].map((text) => hash(Buffer.from(text))) as [
      Buffer,
      Buffer,
      Buffer,
    ]
    const [zero, one] = [Uint8Array.of(0), Uint8Array.of(1)]
    const pair = hash(one, hash(zero, a), hash(zero, b))
    expect(chunkRoot(a)).toBe(hash(zero, a).toString('hex'))
    expect(chunkRoot(Buffer.concat([a, b]))).toBe(pair.toString('hex'))
    expect(chunkRoot(Buffer.concat([a, b, c]))).toBe(hash(one, pair, hash(zero, c)).toString('hex'))
  })
})
