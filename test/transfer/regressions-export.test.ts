import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { closureOf } from '../../src/format/closure.ts'
import { exportBundle } from '../../src/index.ts'
import { noPassphrase, pack, twoSites } from './sites.ts'

it('pins what an export reads until the bundle has ended', async () => {
  const { from } = await twoSites()
  const folder = join(from.url, 'pins')
  const pins = new Map<string, readonly string[]>()
  const write = async (): Promise<void> => {
    for (const name of await readdir(folder)) {
      pins.set(name, JSON.parse(await readFile(join(folder, name), 'utf8')).blobs)
    }
  }
  const before = await readdir(folder).catch((): string[] => [])
  await exportBundle({
    url: from.url,
    collections: ['docs'],
    output: { write },
    key: 'default',
    passphrase: noPassphrase,
  })
  const held = [...pins].filter(([name]) => !before.includes(name))
  const blobs = new Set(held.flatMap(([, digests]) => digests))
  const read = [...closureOf(await from.core('docs').head()).keys()]
  expect(read.length).toBeGreaterThan(0)
  expect(read.filter((digest) => !blobs.has(digest))).toEqual([])
  const after = await readdir(folder)
  expect(held.map(([name]) => name).filter((name) => after.includes(name))).toEqual([])
})

it('says INTEGRITY where a blob is missing from the store', async () => {
  const { from, folder } = await twoSites()
  const blobs = join(from.url, 'blobs')
  await rm(blobs, { recursive: true })
  await expect(pack(from, folder, 'gone')).rejects.toMatchObject({ code: 'INTEGRITY' })
})
