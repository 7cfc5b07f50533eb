import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBundleFile, readBundleFile, readFileFrom } from '../../src/bundle/bundle-file.ts'
import { noise } from './support/fixture.ts'

const MIB = 1024 * 1024

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-bundle-file-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function contentOf(read: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const piece of read) parts.push(Uint8Array.from(piece))
  return Buffer.concat(parts)
}

describe('a bundle file', () => {
  it.each([0, 1, 4095, 4096, 4097, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 5])(
    'of %i bytes is read as it was written',
    async (bytes) => {
      const path = join(folder, `${bytes}.akipkg`)
      const content = Buffer.alloc(bytes, noise(Math.min(bytes, 100_003), String(bytes)))
      const file = await createBundleFile(path)
      for (let at = 0; at < bytes; at += 700_001)
        await file.write(content.subarray(at, at + 700_001))
      await file.commit()
      expect(readFileSync(path).equals(content)).toBe(true)
      expect((await contentOf(readBundleFile(path))).equals(content)).toBe(true)
      const middle = Math.floor(bytes / 2)
      const rest = await contentOf(readFileFrom(path, middle))
      expect(rest.equals(content.subarray(middle))).toBe(true)
    },
  )

  it('has no name before its commit and leaves nothing after an abort', async () => {
    const path = join(folder, 'aborted.akipkg')
    const before = readdirSync(folder).length
    const file = await createBundleFile(path)
    await file.write(Buffer.alloc(5 * MIB))
    expect(readdirSync(folder)).not.toContain('aborted.akipkg')
    await file.abort()
    expect(readdirSync(folder)).toHaveLength(before)
  })

  it('never replaces another file unasked, not even one that came meanwhile', async () => {
    const path = join(folder, 'taken.akipkg')
    const late = await createBundleFile(path)
    writeFileSync(path, 'first')
    await expect(late.commit()).rejects.toMatchObject({ code: 'EXISTS' })
    await late.abort()
    await expect(createBundleFile(path)).rejects.toMatchObject({ code: 'EXISTS' })
    expect(readFileSync(path, 'utf8')).toBe('first')
    const forced = await createBundleFile(path, { replace: true })
    await forced.write(Buffer.from('second'))
    await forced.commit()
    expect(readFileSync(path, 'utf8')).toBe('second')
  })

  it('says where there is no folder or no file', async () => {
    const nowhere = createBundleFile(join(folder, 'no', 'x.akipkg'))
    await expect(nowhere).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const missing = contentOf(readBundleFile(join(folder, 'missing.akipkg')))
    await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('lets go of the file when its reader stops early', async () => {
    const path = join(folder, 'early.akipkg')
    writeFileSync(path, Buffer.alloc(9 * MIB, 7))
    for await (const piece of readBundleFile(path)) {
      expect(piece[0]).toBe(7)
      break
    }
    rmSync(path)
  })
})
