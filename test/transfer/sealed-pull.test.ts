import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { initStore } from '../../src/db/open/init.ts'
import { exportKey, trustKey } from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { inputFile, lines, opened, tempFolder, tempStore } from '../support/temp-store.ts'
import {
  addRows,
  COMPLIANCE,
  GOVERNANCE,
  inventory,
  newPlace,
  originStore,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  verify,
} from './sealed-sites.ts'
import { answers, take } from './sites.ts'

describeMinio('sealed collections', () => {
  const { server } = minioScene({ locked: ['evidence'] })

  describe('a pull', () => {
    it('takes nothing without a trusted key, then the same state and answers', async () => {
      const store = await tempStore()
      await take(store, dirname(store.url), 'words', lines('r', 12))
      const target = await placeAt(server)
      await push(store, target, { retain: GOVERNANCE, kmsKey: 'site-a' })
      const stranger = await tempStore()
      await expect(pull(stranger, target)).rejects.toMatchObject({ code: 'UNTRUSTED' })
      expect(await stranger.list()).toEqual([])
      expect((await verify(stranger, target)).problems[0]).toMatchObject({ code: 'UNTRUSTED' })
      const reader = await readerOf(store)
      expect(await pull(reader, target)).toMatchObject({
        blobs: { present: 0, copied: 1 },
        collections: [{ name: 'docs', before: null, after: await rootOf(store), inserted: 12 }],
      })
      expect(await answers(reader)).toEqual(await answers(store))
      const head = await reader.core('docs').head()
      expect(await pull(reader, target)).toMatchObject({
        blobs: { present: 1, copied: 0 },
        collections: [{ inserted: 0, deleted: 0 }],
      })
      expect((await reader.core('docs').head()).digest).toBe(head.digest)
      await expect((await reader.collection('docs')).delete({ ids: ['r1'] })).rejects.toMatchObject(
        { code: 'CONFLICT' },
      )
    })

    it('goes on to newer states, and never back to older ones', async () => {
      const store = await originStore()
      const [older, newer] = [await placeAt(server), await placeAt(server)]
      await push(store, older)
      const reader = await readerOf(store)
      await pull(reader, older)
      await addRows(store, 'new', 3)
      await push(store, newer)
      expect((await pull(reader, newer)).collections).toMatchObject([{ inserted: 3, deleted: 0 }])
      await expect(pull(reader, older)).rejects.toMatchObject({ code: 'ROLLBACK' })
      expect(await rootOf(reader)).toBe(await rootOf(store))
    })

    it('brings a state that was reverted to', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      const docs = await store.collection('docs')
      await docs.snapshots.create('friday')
      const root = await rootOf(store)
      await push(store, target)
      await docs.delete({ ids: ['r0', 'r1'] })
      await push(store, target)
      const reader = await readerOf(store)
      expect((await pull(reader, target)).collections).toMatchObject([{ inserted: 10 }])
      await docs.revert('friday')
      await push(store, target)
      expect((await pull(reader, target)).collections).toMatchObject([{ after: root }])
      expect(await rootOf(reader)).toBe(root)
      expect(await problemsOf(reader, target)).toEqual([])
    })

    it('does not run over a collection that has gone its own way', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      // At the origin itself: it is there already.
      expect((await pull(store, target)).collections).toMatchObject([{ inserted: 0 }])
      await (await store.collection('docs')).delete({ ids: ['r1'] })
      await expect(pull(store, target)).rejects.toMatchObject({ code: 'CONFLICT' })
      const reader = await readerOf(store)
      await pull(reader, target, { diverge: true })
      await (await reader.collection('docs')).delete({ ids: ['r2'] })
      const root = await rootOf(reader)
      await push(store, target)
      await expect(pull(reader, target)).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await rootOf(reader)).toBe(root)
    })

    it('takes another name, and does not mix two collections of one name', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      const reader = await readerOf(store)
      await addRows(reader, 'own', 2)
      await expect(pull(reader, target)).rejects.toMatchObject({ code: 'EXISTS' })
      expect((await pull(reader, target, { as: 'theirs' })).collections).toMatchObject([
        { name: 'theirs', inserted: 12 },
      ])
      await addRows(store, 'new', 3)
      await push(store, target)
      expect((await pull(reader, target)).collections).toMatchObject([
        { name: 'theirs', inserted: 3 },
      ])
    })

    it('of a store without the key "default" needs the key of its log', async () => {
      const url = join(await tempFolder(), 'store')
      await initStore({ url, noKey: true })
      const store = await opened(url)
      await addRows(store, 'r', 3)
      const target = await placeAt(server)
      await push(store, target, { retain: COMPLIANCE })
      expect(await problemsOf(store, target)).toEqual([])
      const reader = await tempStore()
      await expect(pull(reader, target)).rejects.toMatchObject({ code: 'UNTRUSTED' })
      const { pem } = await exportKey({ url, name: 'log' })
      const input = await inputFile(dirname(reader.url), 'log.pem', pem)
      await trustKey({ url: reader.url, input })
      expect((await pull(reader, target)).collections).toMatchObject([{ inserted: 3 }])
      expect(await problemsOf(reader, target)).toEqual([])
    })
  })

  describe('two stores at one prefix', () => {
    it('that do not know each other: the second is refused before it sends anything', async () => {
      const [first, second] = [await originStore(), await originStore(5)]
      const target = await placeAt(server)
      await push(first, target)
      const before = await inventory(target)
      await expect(push(second, target)).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await inventory(target)).toEqual(before)
      expect(await problemsOf(first, target)).toEqual([])
    })

    it('that trust each other share it, but no name', async () => {
      const first = await originStore()
      const second = await readerOf(first)
      await addRows(second, 'x', 5)
      await addRows(second, 'y', 5, 'notes')
      const target = await placeAt(server)
      await push(first, target)
      await expect(push(second, target)).rejects.toMatchObject({ code: 'EXISTS' })
      await push(second, target, { collections: ['notes'] })
      const reader = await readerOf(second)
      expect((await pull(reader, target)).collections).toMatchObject([{ name: 'notes' }])
      expect(await problemsOf(second, target)).toEqual([])
      // Who trusts the first alone is told of what it cannot judge.
      const other = await readerOf(first)
      expect((await pull(other, target)).collections).toMatchObject([{ name: 'docs' }])
      expect((await verify(other, target)).problems.map(({ code }) => code)).toContain('UNTRUSTED')
    })

    it('that begin at the same moment: nothing is lost, and one holds it', async () => {
      const stores = [await originStore(), await originStore(5)] as const
      const url = newPlace()
      const outcomes = await Promise.allSettled(
        stores.map(async (store) => push(store, await placeAt(server, url))),
      )
      const failed = outcomes.filter(({ status }) => status === 'rejected')
      for (const { reason } of failed as PromiseRejectedResult[]) {
        expect(['CONFLICT', 'EXISTS']).toContain(reason.code)
      }
      expect(failed.length).toBe(1)
      const winner = stores[outcomes.findIndex(({ status }) => status === 'fulfilled')]
      if (winner === undefined) throw new Error('no push succeeded')
      const target = await placeAt(server, url)
      expect(await verify(winner, target)).toMatchObject({ objects: 2, problems: [] })
      const reader = await readerOf(winner)
      await pull(reader, target)
      expect(await rootOf(reader)).toBe(await rootOf(winner))
    })
  })

  it('leaves a working store alone', async () => {
    const store = await originStore()
    const target = await placeAt(server)
    const file = { format: 'akidb-store/1', id: 'ab'.repeat(16), kind: 'working' }
    const body = Buffer.from(JSON.stringify({ ...file, createdAt: '2026-01-01T00:00:00.000Z' }))
    await target.put('akidb.json', body)
    const before = await inventory(target)
    await expect(push(store, target)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(pull(store, target)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(verify(store, target)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await inventory(target)).toEqual(before)
  })
})
