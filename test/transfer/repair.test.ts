import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { initStore } from '../../src/db/open/init.ts'
import { openStore } from '../../src/db/store.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'
import { exportCollections } from '../../src/transfer/bundles.ts'
import { repairFrom } from '../../src/transfer/repair.ts'

let folder = ''
let url = ''
let bundle = ''
let keys: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-repair-'))
  url = join(folder, 'store')
  bundle = join(folder, 'docs.akipkg')
  await initStore({ url })
  const store = await openStore({ url, mode: 'write' })
  const docs = await store.createCollection('docs', { dimension: 2 })
  await docs.upsert([{ id: 'a', vector: Float32Array.of(1, 2) }])
  await store.close()
  await exportCollections({
    url,
    collections: ['docs'],
    output: { path: bundle, force: false },
    key: 'default',
    passphrase: async () => '',
  })
  keys = await loseBlobs()
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Removes every blob of the store. @returns their keys */
async function loseBlobs(): Promise<string[]> {
  const store = openFsStore(url, { mode: 'write' })
  const found: string[] = []
  for await (const { key } of store.list('blobs/')) found.push(key)
  for (const key of found) await store.delete(key)
  return found
}

it('says in a dry run what a bundle would mend, in a store that is open for reading', async () => {
  await using store = await openStore({ url, mode: 'read' })
  const dry = await repairFrom(store, { from: bundle, dryRun: true })
  expect(dry).toEqual({ repaired: keys, missing: [] })
  expect((await store.check()).problems).toHaveLength(keys.length)
  await expect(repairFrom(store, { from: bundle })).rejects.toMatchObject({ code: 'AUTH' })
})

it('refuses what is no bundle', async () => {
  const other = join(folder, 'other.akipkg')
  writeFileSync(other, 'not a bundle at all')
  await using store = await openStore({ url, mode: 'write' })
  await expect(repairFrom(store, { from: other })).rejects.toMatchObject({ code: 'INTEGRITY' })
})

it('takes lost blobs from a bundle', async () => {
  await using store = await openStore({ url, mode: 'write' })
  expect(await repairFrom(store)).toEqual({ repaired: [], missing: keys })
  expect(await repairFrom(store, { from: bundle })).toEqual({ repaired: keys, missing: [] })
  expect((await store.check({ readData: true })).problems).toEqual([])
})
