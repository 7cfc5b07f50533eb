import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { OpenedStore } from '../../src/db/store.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import { anchorAudit, verifyBucketLogs } from '../../src/transfer/sealed-audit.ts'
import { changeLocks } from '../../src/transfer/worm/change-locks.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { opened } from '../support/temp-store.ts'
import {
  addRows,
  COMPLIANCE,
  inventory,
  originStore,
  placeAt,
  problemsOf,
  push,
  readerOf,
  versionsOf,
} from './sealed-sites.ts'

/** Puts the folders of a closed store back as they were, in the files that are there. */
async function restore(url: string, backup: string): Promise<void> {
  for (const name of await readdir(url)) {
    // The store file keeps its inode: nobody is to notice.
    if (name !== 'akidb.json') await rm(join(url, name), { recursive: true })
  }
  for (const name of await readdir(backup)) {
    if (name !== 'akidb.json') await cp(join(backup, name), join(url, name), { recursive: true })
  }
}

describeMinio('a store whose audit log was tampered with', () => {
  const { server } = minioScene({ locked: ['evidence'] })

  /** A store that is put back to before its last push. */
  async function putBack(): Promise<{ readonly store: OpenedStore; readonly target: SealedStore }> {
    const store = await originStore()
    const target = await placeAt(server)
    await push(store, target, { retain: COMPLIANCE })
    await store.close()
    const backup = `${store.url}-backup`
    await cp(store.url, backup, { recursive: true })
    const later = await opened(store.url)
    await addRows(later, 'more', 3)
    await push(later, target, { retain: COMPLIANCE })
    await later.close()
    await restore(store.url, backup)
    return { store: await opened(store.url), target }
  }

  const codesHere = async (store: OpenedStore, target: SealedStore): Promise<string[]> => {
    const keys = await store.environment.keys.trusted()
    const { problems } = await verifyBucketLogs(target, keys, { local: store.environment.store })
    expect(problems.every(({ message }) => message.startsWith('here: '))).toBe(true)
    return problems.map(({ code }) => code)
  }

  it('seals nothing more where it was cut, and is told so', async () => {
    const { store, target } = await putBack()
    expect(await codesHere(store, target)).toContain('TRUNCATED')
    const before = await inventory(target)
    await addRows(store, 'other', 3)
    const refused = { code: 'AUDIT_BROKEN', message: expect.stringContaining('it was cut') }
    const retain = COMPLIANCE
    await expect(push(store, target, { retain })).rejects.toMatchObject(refused)
    await expect(push(store, target, { dryRun: true })).rejects.toMatchObject(refused)
    await expect(anchorAudit(store, target, { retain })).rejects.toMatchObject(refused)
    await expect(changeLocks(store, target, { act: 'hold' })).rejects.toMatchObject(refused)
    expect(await inventory(target)).toEqual(before)
    expect(await problemsOf(store, target)).toEqual([])
  })

  it('seals nothing more where it was written anew, and is told so', async () => {
    const { store, target } = await putBack()
    for (let i = 0; i < 6; i++) await addRows(store, `other${i}`, 1)
    expect(await codesHere(store, target)).toContain('FORKED')
    const before = await inventory(target)
    const refused = { code: 'AUDIT_BROKEN', message: expect.stringContaining('it was rewritten') }
    await expect(push(store, target)).rejects.toMatchObject(refused)
    expect(await inventory(target)).toEqual(before)
    expect(await problemsOf(store, target)).toEqual([])
  })

  it('is compared with anchors alone, too', async () => {
    const store = await originStore()
    const target = await placeAt(server)
    const first = await anchorAudit(store, target, { retain: COMPLIANCE })
    await store.close()
    const backup = `${store.url}-backup`
    await cp(store.url, backup, { recursive: true })
    const later = await opened(store.url)
    await addRows(later, 'more', 1)
    const second = await anchorAudit(later, target)
    expect(second.size).toBeGreaterThan(first.size)
    expect([first.until, second.until]).toEqual([expect.stringMatching(/-01T/), null])
    expect(await codesHere(later, target)).toEqual([])
    expect(await problemsOf(later, target)).toEqual([])
    await later.close()
    await restore(store.url, backup)
    const cut = await opened(store.url)
    expect(await codesHere(cut, target)).toContain('TRUNCATED')
  })

  it('is encrypted in the bucket as the data is', async () => {
    const store = await originStore()
    const target = await placeAt(server)
    await push(store, target, { kmsKey: 'site-a' })
    await addRows(store, 'more', 1)
    await anchorAudit(store, target)
    await changeLocks(store, target, { act: 'hold' })
    for (const { key, versionId } of await versionsOf(target)) {
      expect((await target.headVersion(key, versionId))?.keyId, key).toBe('site-a')
    }
  })

  it('is known by its anchors to whoever trusts its site', async () => {
    const { store, target } = await putBack()
    const reader = await readerOf(store)
    const keys = await reader.environment.keys.trusted()
    expect(await verifyBucketLogs(target, keys)).toMatchObject({ ok: true, checkpoints: 2 })
    expect(await problemsOf(reader, target)).toEqual([])
  })
})
