import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { extract } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import {
  BLOCK_BYTES,
  claimedBytes,
  END_MARKER,
  paddingBytes,
  tarHeader,
} from '../../src/bundle/tar-header.ts'
import { partsOf, smallBundle } from './support/fixture.ts'

describe('a tar header', () => {
  it('is read by another implementation as what it says', async () => {
    const { bytes } = await smallBundle([1000, 100], { partBytes: 512 })
    const seen: string[] = []
    const reader = extract()
    const done = new Promise<void>((resolve, reject) => {
      reader.on('entry', ({ name, size, type, mode, mtime }, stream, next) => {
        seen.push(name)
        expect({ type, mode, mtime: mtime?.getTime() }).toEqual({
          type: 'file',
          mode: 0o644,
          mtime: 0,
        })
        let length = 0
        stream.on('data', (piece) => {
          length += (piece as Uint8Array).length
        })
        stream.on('end', () => {
          expect(length).toBe(size)
          next()
        })
      })
      reader.on('finish', resolve)
      reader.on('error', reject)
    })
    reader.end(bytes)
    await done
    expect(seen).toEqual(
      partsOf(bytes)
        .slice(0, -1)
        .map(({ name }) => name),
    )
  })

  it('is listed by tar(1)', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'akidb-tar-'))
    try {
      const { bytes } = await smallBundle()
      writeFileSync(join(folder, 'b.akipkg'), bytes)
      const listed = execFileSync('tar', ['-tf', join(folder, 'b.akipkg')], { encoding: 'utf8' })
      const names = partsOf(bytes)
        .slice(0, -1)
        .map(({ name }) => `${name}\n`)
      expect(listed).toBe(names.join(''))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('has room for sizes up to 8 GiB − 1 and names up to 100 bytes', () => {
    expect(claimedBytes(tarHeader('a', 8 ** 11 - 1))).toBe(8 ** 11 - 1)
    expect(() => tarHeader('a', 8 ** 11)).toThrow()
    expect(() => tarHeader('', 1)).toThrow()
    expect(() => tarHeader('x'.repeat(101), 1)).toThrow()
  })

  it('claims a size in one spelling only', () => {
    const header = Buffer.from(tarHeader('a', 7))
    for (const field of [
      '      00007\0',
      '00000000007 ',
      '0000000000a\0',
      '\x80\0\0\0\0\0\0\0\0\0\0\x07',
    ]) {
      header.write(field, 124, 'latin1')
      expect(claimedBytes(header)).toBeUndefined()
    }
  })

  it('is followed by zeros up to the next block', () => {
    expect([0, 1, 511, 512, 513].map(paddingBytes)).toEqual([0, 511, 1, 0, 511])
    expect(END_MARKER).toEqual(new Uint8Array(2 * BLOCK_BYTES))
  })
})
