import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { AkidbError } from '../../src/errors/errors.ts'
import { inMemory, readInput } from './read-all.ts'

const lines = Array.from({ length: 40 }, (_, i) => `{"id":"r${i}","vector":[${i},1,2]}\n`).join('')
const packers = [
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const

const attempt = (bytes: Uint8Array, pieceBytes?: number): Promise<unknown> =>
  readInput(inMemory('x.jsonl', bytes, pieceBytes)).catch((error: unknown) => error)

describe.each(packers)('%s input', (name, pack) => {
  it('is read as it is, from a file and from a pipe', async () => {
    for (const pieceBytes of [undefined, 1, 7, 4_096]) {
      const { records, plan } = await readInput(inMemory('x.jsonl', pack(lines), pieceBytes))
      expect(plan.compression).toBe(name)
      expect(records).toHaveLength(40)
    }
  })

  it('may come in several members', async () => {
    const half = lines.indexOf('\n', lines.length / 2) + 1
    const both = Buffer.concat([pack(lines.slice(0, half)), pack(lines.slice(half))])
    const { records } = await readInput(inMemory('x.jsonl', both))
    expect(records).toHaveLength(40)
  })

  it('is refused where it is cut, at every byte', async () => {
    const packed = pack(lines)
    for (let end = 4; end < packed.length; end++) {
      const result = await attempt(packed.subarray(0, end))
      expect(result, `cut at ${end}`).toBeInstanceOf(AkidbError)
      expect((result as AkidbError).code).toBe('BAD_INPUT')
    }
  })

  it('is refused where something else follows it', async () => {
    for (const tail of ['garbage', '\0\0\0\0', '\x1f']) {
      const result = await attempt(Buffer.concat([pack(lines), Buffer.from(tail, 'latin1')]))
      expect(result, JSON.stringify(tail)).toBeInstanceOf(AkidbError)
    }
  })
})

describe('gzip', () => {
  it('is refused for every flipped bit of its checksum and length', async () => {
    const packed = gzipSync(lines)
    for (let bit = (packed.length - 8) * 8; bit < packed.length * 8; bit++) {
      const bad = Buffer.from(packed)
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await attempt(bad), `bit ${bit}`).toBeInstanceOf(AkidbError)
    }
  })

  it('never gives other records for a flipped bit of its data', async () => {
    const packed = gzipSync(lines)
    for (let byte = 10; byte < packed.length - 8; byte += 3) {
      const bad = Buffer.from(packed)
      bad[byte] = (bad[byte] ?? 0) ^ 1
      expect(await attempt(bad), `byte ${byte}`).toBeInstanceOf(AkidbError)
    }
  })

  it('that expands without end costs no memory before it is read', async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000, 'x'))
    const before = process.memoryUsage().rss
    const result = await readInput(inMemory('x.jsonl', bomb), { idColumn: 'id' })
    expect(result.rejects.map((reject) => reject.code)).toEqual(['LIMIT'])
    expect(process.memoryUsage().rss - before).toBeLessThan(350_000_000)
  })
})

describe('zstd input with frames to skip', () => {
  it('is read, wherever they stand', async () => {
    const skipped = Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9)
    for (const pieceBytes of [undefined, 1, 4_096]) {
      const whole = Buffer.concat([skipped, zstdCompressSync(lines), skipped])
      const { records, plan } = await readInput(inMemory('x.jsonl', whole, pieceBytes))
      expect(plan.compression).toBe('zstd')
      expect(records).toHaveLength(40)
    }
  })
})
