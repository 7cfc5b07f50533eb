import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  backupKeys,
  exportKey,
  generateKey,
  importKeys,
  initStore,
  listKeys,
  readPublicKey,
  trustKey,
} from '../../src/index.ts'
import { opened, tempFolder, tempStore } from '../support/temp-store.ts'
import { pack } from '../transfer/sites.ts'

const noQuestion = (): Promise<string> => Promise.reject(new Error('no passphrase is asked for'))

describe('the keys of a store', () => {
  it('are trusted by file or fingerprint, and listed', async () => {
    const store = await tempStore()
    const other = await tempStore()
    const folder = dirname(store.url)
    const shown = await exportKey({ url: other.url, name: 'default' })
    const path = join(folder, 'other.pub')
    await writeFile(path, shown.pem)
    const read = await readPublicKey({ url: store.url, input: path })
    expect(read).toMatchObject({ keyId: shown.keyId, pem: shown.pem })
    const trusted = await trustKey({ url: store.url, input: path, name: 'site-b' })
    expect(trusted).toEqual({ name: 'site-b', keyId: shown.keyId, kind: 'trusted' })
    const { keys } = await listKeys({ url: store.url })
    expect(keys.map(({ name, kind }) => [name, kind]).toSorted()).toEqual([
      ['default', 'private'],
      ['log', 'private'],
      ['site-b', 'trusted'],
    ])
    const nobody = { url: store.url, input: '0'.repeat(64) }
    await expect(trustKey(nobody)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await writeFile(path, 'no key at all')
    await expect(trustKey({ url: store.url, input: path })).rejects.toMatchObject({ exitCode: 26 })
  })

  it('are not replaced unless that is asked for', async () => {
    const store = await tempStore()
    const made = await generateKey({ url: store.url, name: 'site' })
    expect(made).toMatchObject({ kind: 'private', locked: false })
    const again = generateKey({ url: store.url, name: 'site' })
    await expect(again).rejects.toMatchObject({ code: 'EXISTS' })
    const replaced = await generateKey({ url: store.url, name: 'site', replace: true })
    expect(replaced.keyId).not.toBe(made.keyId)
    await expect(generateKey({ url: store.url, name: '../x' })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('come back from a backup, which only its passphrase opens', async () => {
    const store = await tempStore()
    const folder = dirname(store.url)
    const path = join(folder, 'keys.backup')
    const backup = { url: store.url, path, passphrase: 'correct horse' }
    const { keys } = await backupKeys({ ...backup, force: false })
    expect(keys.toSorted()).toEqual(['default', 'log'])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await expect(backupKeys({ ...backup, force: false })).rejects.toMatchObject({ code: 'EXISTS' })
    const url = join(await tempFolder(), 'new')
    await initStore({ url, noKey: true })
    const wrong = importKeys({ url, path, passphrase: async () => 'battery staple' })
    await expect(wrong).rejects.toMatchObject({ code: 'AUTH', exitCode: 23 })
    expect((await readFile(path)).includes('correct horse')).toBe(false)
    const before = await listKeys({ url: store.url })
    await store.close()
    await rm(join(store.stateFolder, 'keys'), { recursive: true })
    await importKeys({ url: store.url, path, passphrase: async () => 'correct horse' })
    expect(await listKeys({ url: store.url })).toEqual(before)
    const again = await opened(store.url)
    await again.createCollection('docs', { dimension: 1 })
  })

  it('that are locked are asked for before any work starts', async () => {
    const store = await tempStore()
    const folder = dirname(store.url)
    await store.createCollection('docs', { dimension: 1 })
    await generateKey({ url: store.url, name: 'locked', passphrase: 'open sesame' })
    const request = { key: 'locked', passphrase: noQuestion }
    await expect(pack(store, folder, 'a', request)).rejects.toThrow('no passphrase is asked for')
    const wrong = { key: 'locked', passphrase: async () => 'wrong' }
    await expect(pack(store, folder, 'a', wrong)).rejects.toMatchObject({ code: 'AUTH' })
    const right = { key: 'locked', passphrase: async () => 'open sesame' }
    const { result } = await pack(store, folder, 'a', right)
    expect(result.keyId).toBe((await exportKey({ url: store.url, name: 'locked' })).keyId)
    await expect(pack(store, folder, 'b', { key: 'none' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('that others can read are refused', async () => {
    const store = await tempStore()
    await store.createCollection('docs', { dimension: 1 })
    const { keys } = await listKeys({ url: store.url })
    expect(keys).toHaveLength(2)
    await chmod(join(store.stateFolder, 'keys', 'default.key.json'), 0o644)
    await expect(pack(store, dirname(store.url), 'a')).rejects.toMatchObject({ code: 'AUTH' })
  })
})
