import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import { decompressPage, loadCodec } from '../../src/ingest/parquet/codecs.ts'
import { inMemory, readInput } from './read-all.ts'

const text = (...parts: string[]): Uint8Array => Buffer.from(parts.join(''), 'latin1')

/** And what the reference implementation (liblz4, in Arrow) made of it. */
const PLAIN = text(
  'The quick brown fox; ',
  'abc'.repeat(200),
  'The quick brown fox jumps over the lazy dog, and says nothing at all of it.',
  '\0'.repeat(20),
  'end of it',
)
const LZ4 = Buffer.from(
  [
    '/wlUaGUgcXVpY2sgYnJvd24gZm94OyBhYmMDAP//RA9tAgD/KiBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5k',
    'IHNheXMgbm90aGluZyBhdCBhbGwgb2YgaXQuAAEAAJBlbmQgb2YgaXQ=',
  ].join(''),
  'base64',
)

const unpacked = (codec: string, packed: Uint8Array, bytes: number): number[] => [
  ...decompressPage(codec, packed, bytes),
]

/** One block of literals alone. */
function lz4Literals(bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  if (length < 15) return Buffer.concat([Uint8Array.of(length << 4), bytes])
  const more = new Uint8Array(Math.floor((length - 15) / 255)).fill(255)
  return Buffer.concat([Uint8Array.of(0xf0), more, Uint8Array.of((length - 15) % 255), bytes])
}

/** Blocks of at most 50 bytes, each behind its two lengths. */
function lz4Frames(bytes: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += 50) {
    const part = bytes.subarray(at, at + 50)
    const block = lz4Literals(part)
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32BE(part.length)
    lengths.writeUInt32BE(block.length, 4)
    frames.push(lengths, block)
  }
  return Buffer.concat(frames)
}

/** A length, then all as literals. */
function snappyLiterals(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  let left = bytes.length
  for (; left >= 0x80; left >>>= 7) parts.push(Uint8Array.of((left & 0x7f) | 0x80))
  parts.push(Uint8Array.of(left))
  for (let at = 0; at < bytes.length; at += 60) {
    const part = bytes.subarray(at, at + 60)
    parts.push(Uint8Array.of((part.length - 1) << 2), part)
  }
  return Buffer.concat(parts)
}

const CODECS = {
  GZIP: (bytes: Uint8Array) => gzipSync(bytes),
  BROTLI: (bytes: Uint8Array) => brotliCompressSync(bytes),
  ZSTD: (bytes: Uint8Array) => zstdCompressSync(bytes),
  SNAPPY: snappyLiterals,
  LZ4_RAW: lz4Literals,
  LZ4: lz4Frames,
} as const

describe.each(Object.entries(CODECS))('a Parquet file of %s pages', (codec, compress) => {
  it('comes out as it is, columns of nothing too', async () => {
    const rows = Array.from({ length: 500 }, (_, i) => i)
    const bytes = parquetWriteBuffer({
      columnData: [
        { name: 'id', data: rows.map((i) => `r${i}`), type: 'STRING' },
        { name: 'n', data: rows.map((i) => i * i), type: 'INT32' },
        { name: 'none', data: rows.map(() => null), type: 'STRING' },
      ],
      pageSize: 700,
      codec: codec as 'GZIP',
      compressors: { [codec]: compress },
    })
    const input = inMemory('x.parquet', new Uint8Array(bytes))
    const { records, rejects } = await readInput(input, { vectors: false })
    expect(rejects).toEqual([])
    expect(records.map(({ payload }) => payload.get('n'))).toEqual(rows.map((i) => i * i))
    expect(new Set(records.map(({ payload }) => payload.get('none')))).toEqual(new Set([null]))
  })

  it('is refused where a page is cut, or holds more or fewer bytes than it says', async () => {
    await loadCodec(codec)
    const packed = compress(PLAIN)
    expect(unpacked(codec, packed, PLAIN.length)).toEqual([...PLAIN])
    expect(unpacked(codec, compress(new Uint8Array(0)), 0)).toEqual([])
    for (const bytes of [0, 1, PLAIN.length - 1, PLAIN.length + 1, PLAIN.length + 1_000]) {
      expect(() => decompressPage(codec, packed, bytes), `as ${bytes}`).toThrow()
    }
    for (let end = 0; end < packed.length; end++) {
      const cut = packed.subarray(0, end)
      expect(() => decompressPage(codec, cut, PLAIN.length), `cut at ${end}`).toThrow()
    }
  })
})

describe('an LZ4 block', () => {
  it.each(['LZ4_RAW', 'LZ4'])('of the reference implementation is read as %s', (codec) => {
    expect(unpacked(codec, LZ4, PLAIN.length)).toEqual([...PLAIN])
    expect(unpacked(codec, Uint8Array.of(0), 0)).toEqual([])
  })

  it('is refused where it is cut, or holds more or fewer bytes than it says', () => {
    for (const codec of ['LZ4_RAW', 'LZ4']) {
      for (let end = 0; end < LZ4.length; end++) {
        const cut = LZ4.subarray(0, end)
        expect(() => decompressPage(codec, cut, PLAIN.length), `cut at ${end}`).toThrow()
      }
      for (const bytes of [0, PLAIN.length - 1, PLAIN.length + 1]) {
        expect(() => decompressPage(codec, LZ4, bytes), `as ${bytes}`).toThrow()
      }
    }
  })

  it.each([
    ['a match with nothing before it', [0x00, 1, 0, 0x10, 9], 5],
    ['a match at no distance', [0x10, 7, 0, 0, 0x10, 9], 6],
    ['a match from before the start', [0x10, 7, 2, 0, 0x10, 9], 6],
    ['a match behind the last literals', [0x10, 7, 1, 0], 5],
    ['a length without end', [0xf0, 255, 255], 600],
  ])('is refused with %s', (_, block, bytes) => {
    expect(() => decompressPage('LZ4_RAW', Uint8Array.from(block), bytes)).toThrow(/LZ4 block/)
  })

  it('repeats what it has just written', () => {
    const block = Uint8Array.of(0x21, 1, 2, 2, 0, 0x10, 9)
    expect(unpacked('LZ4_RAW', block, 8)).toEqual([1, 2, 1, 2, 1, 2, 1, 9])
  })
})
