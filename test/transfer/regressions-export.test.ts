import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exportBundle } from '../../src/index.ts'
import { noPassphrase, pack, twoSites } from './sites.ts'

it('pins what an export reads until the bundle has ended', async () => {
  const { from } = await twoSites()
  const pins = new Set<string>()
  const write = async (): Promise<void> => {
    for (const name of await readdir(join(from.url, 'pins'))) pins.add(name)
  }
  const before = await readdir(join(from.url, 'pins')).catch((): string[] => [])
  await exportBundle({
    url: from.url,
    collections: ['docs'],
    output: { write },
    key: 'default',
    passphrase: noPassphrase,
  })
  const held = [...pins].filter((name) => !before.includes(name))
  expect(held.length).toBeGreaterThan(0)
  const after = await readdir(join(from.url, 'pins'))
  expect(held.filter((name) => after.includes(name))).toEqual([])
})

it('says INTEGRITY where a blob is missing from the store', async () => {
  const { from, folder } = await twoSites()
  const blobs = join(from.url, 'blobs')
  await rm(blobs, { recursive: true })
  await expect(pack(from, folder, 'gone')).rejects.toMatchObject({ code: 'INTEGRITY' })
})
