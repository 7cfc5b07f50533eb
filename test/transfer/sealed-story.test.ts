import { describe, expect, it } from 'vitest'
import { retainUntilMs } from '../../src/transfer/sealed/retention.ts'
import { changeLocks } from '../../src/transfer/worm/change-locks.ts'
import { sealedStatus } from '../../src/transfer/worm/status.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { tempStore } from '../support/temp-store.ts'
import {
  addRows,
  COMPLIANCE,
  filesBelow,
  GOVERNANCE,
  heldIn,
  inventory,
  originStore,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  verify,
  versionsOf,
  YEAR_MS,
} from './sealed-sites.ts'

describeMinio('sealing collections', () => {
  const { server } = minioScene({ locked: ['evidence'] })

  describe('a first push', () => {
    it('seals every object from its birth: locked, encrypted, once', async () => {
      const store = await originStore()
      await (await store.collection('docs')).snapshots.create('friday')
      const target = await placeAt(server)
      const result = await push(store, target, { retain: COMPLIANCE, kmsKey: 'site-a' })
      const untilMs = retainUntilMs(await target.nowMs(), YEAR_MS)
      expect(result).toMatchObject({
        blobs: { present: 0, uploaded: 1 },
        retention: { set: 3, extended: 0, kept: 0, until: new Date(untilMs).toISOString() },
        kmsKey: 'site-a',
        manifests: [{ collection: 'docs' }],
      })
      expect(new Date(untilMs).toISOString()).toMatch(/-01T00:00:00.000Z$/)
      const all = await versionsOf(target)
      expect(new Set(all.map(({ key }) => key)).size).toBe(all.length)
      for (const { key, versionId } of all) {
        const info = await target.headVersion(key, versionId)
        expect(info?.retention, key).toEqual({ mode: 'COMPLIANCE', untilMs })
        expect(info?.keyId, key).toBe('site-a')
      }
      expect(await verify(store, target)).toMatchObject({
        ok: true,
        seals: 1,
        objects: 3,
        orphans: { objects: 0 },
      })
      const status = await sealedStatus(target, await store.environment.keys.trusted())
      const retention = { mode: 'COMPLIANCE', until: new Date(untilMs).toISOString() }
      expect(status).toMatchObject({ unproven: 0, orphans: { objects: 0, lockedUntil: null } })
      expect(status.states).toMatchObject([
        { collection: 'docs', labels: ['friday'], rows: 12, retention, kmsKey: 'site-a' },
      ])
    })

    it('merges the small segments at the end first', async () => {
      const store = await originStore(4)
      await addRows(store, 's', 4)
      await addRows(store, 't', 4)
      const target = await placeAt(server)
      expect((await push(store, target)).blobs).toEqual({ present: 0, uploaded: 1 })
      expect((await store.core('docs').head()).state.segments.length).toBe(1)
      expect(await problemsOf(store, target)).toEqual([])
    })

    it('without a lock says so, and verifies all the same', async () => {
      const store = await originStore()
      const warned: string[] = []
      Object.assign(store.environment, {
        warn: ({ code }: { readonly code: string }) => void warned.push(code),
      })
      const target = await placeAt(server)
      expect((await push(store, target)).retention).toMatchObject({ until: null, mode: null })
      expect(warned).toEqual(['NOT_LOCKED'])
      const reader = await readerOf(store)
      expect(await problemsOf(reader, target)).toEqual([])
    })

    it('seals several collections, or those that are named', async () => {
      const store = await originStore()
      await addRows(store, 'n', 5, 'notes')
      const target = await placeAt(server)
      await push(store, target, { collections: ['notes'] })
      const reader = await readerOf(store)
      await expect(pull(reader, target, { collections: ['docs'] })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      })
      expect((await push(store, target)).blobs).toEqual({ present: 1, uploaded: 1 })
      await expect(pull(reader, target, { as: 'one' })).rejects.toMatchObject({ code: 'USAGE' })
      const { collections } = await pull(reader, target)
      expect(collections.map(({ name, inserted }) => [name, inserted])).toEqual([
        ['docs', 12],
        ['notes', 5],
      ])
    })

    it('has nothing to seal in an empty store', async () => {
      const [store, target] = [await tempStore(), await placeAt(server)]
      await expect(push(store, target)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(push(store, target, { collections: ['none'] })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      })
      expect(await versionsOf(target)).toEqual([])
      await expect(pull(store, target)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(verify(store, target)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })

  describe('a dry run', () => {
    it('of a push writes nothing in bucket and store', async () => {
      const store = await originStore()
      const docs = await store.collection('docs')
      const target = await placeAt(server)
      const files = await filesBelow(store.url)
      const first = await push(store, target, { dryRun: true, retain: COMPLIANCE })
      expect(first).toMatchObject({ blobs: { present: 0, uploaded: 1 }, seals: [] })
      // Up to the first of the month after.
      const cost = first.bytes / 2 ** 30
      expect(first.gibYears).toBeGreaterThan(cost * 0.99)
      expect(first.gibYears).toBeLessThan(cost * 1.1)
      expect(await versionsOf(target)).toEqual([])
      expect(await filesBelow(store.url)).toEqual(files)
      await push(store, target)
      await docs.upsert([{ id: 'x', vector: Float32Array.of(1, 2, 3, 4), payload: { tag: 'odd' } }])
      const [before, things] = [await filesBelow(store.url), await inventory(target)]
      const again = await push(store, target, { dryRun: true, retain: COMPLIANCE })
      expect(again.retention).toMatchObject({ set: 2, extended: 0, kept: 0 })
      expect(await inventory(target)).toEqual(things)
      expect(await filesBelow(store.url)).toEqual(before)
    })

    it('of a pull changes nothing', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      const reader = await readerOf(store)
      const files = await filesBelow(reader.url)
      expect(await pull(reader, target, { dryRun: true })).toMatchObject({
        blobs: { present: 0, copied: 1 },
        collections: [{ name: 'docs', before: null, inserted: 12 }],
      })
      expect(await filesBelow(reader.url)).toEqual(files)
    })

    it('of an extension or hold changes nothing', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { retain: COMPLIANCE })
      const things = await inventory(target)
      const retain = { mode: 'COMPLIANCE', forMs: 2 * YEAR_MS } as const
      const wishes = [{ act: 'extend', retain } as const, { act: 'hold' } as const]
      for (const wish of wishes) {
        const { objects } = await changeLocks(store, target, { ...wish, dryRun: true })
        expect(objects).toEqual({ changed: 2, kept: 0 })
      }
      expect(await inventory(target)).toEqual(things)
    })
  })

  describe('a later push', () => {
    it('moves nothing and writes nothing where nothing is new', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      const options = { retain: COMPLIANCE, kmsKey: 'site-a' }
      await push(store, target, options)
      const before = await inventory(target)
      const second = await push(store, target, options)
      expect(second).toMatchObject({ blobs: { present: 1, uploaded: 0 }, bytes: 0, seals: [] })
      expect(second.retention).toMatchObject({ set: 0, extended: 0, kept: 2 })
      expect(await inventory(target)).toEqual(before)
    })

    it('sends only what is new', async () => {
      const store = await originStore()
      await addRows(store, 'n', 5, 'notes')
      const target = await placeAt(server)
      await push(store, target)
      await addRows(store, 'new', 3, 'notes')
      const before = await versionsOf(target, 'blobs/')
      expect((await push(store, target)).blobs).toEqual({ present: 1, uploaded: 1 })
      expect((await versionsOf(target, 'blobs/')).length).toBe(before.length + 1)
      const reader = await readerOf(store)
      await pull(reader, target)
      expect(await rootOf(reader, 'notes')).toBe(await rootOf(store, 'notes'))
      expect(await problemsOf(reader, target)).toEqual([])
    })

    it('seals a snapshot that was made of a state which lies there', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      await (await store.collection('docs')).snapshots.create('later')
      const { blobs, seals } = await push(store, target)
      expect(blobs).toEqual({ present: 1, uploaded: 0 })
      expect(seals.length).toBe(1)
      const { states } = await sealedStatus(target, await store.environment.keys.trusted())
      expect(states).toMatchObject([{ labels: ['later'] }])
      expect(await problemsOf(store, target)).toEqual([])
    })

    it('refuses a label that names another state by now, and loses nothing', async () => {
      const store = await originStore()
      const docs = await store.collection('docs')
      const target = await placeAt(server)
      await docs.snapshots.create('friday')
      await push(store, target)
      await docs.snapshots.drop('friday')
      await addRows(store, 'new', 3)
      await docs.snapshots.create('friday')
      const before = await inventory(target)
      await expect(push(store, target)).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await inventory(target)).toEqual(before)
      expect(await problemsOf(store, target)).toEqual([])
      const reader = await readerOf(store)
      expect((await pull(reader, target)).collections).toMatchObject([{ inserted: 12 }])
    })

    it('sends all blobs again under a key of the KMS, and pull reads those', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      expect((await push(store, target, { kmsKey: 'site-a' })).blobs).toEqual({
        present: 0,
        uploaded: 1,
      })
      const keys = (await versionsOf(target, 'blobs/')).map(({ key }) => key.split('/')[1])
      expect(keys).toEqual(['0', 'site-a'])
      const status = await sealedStatus(target, await store.environment.keys.trusted())
      expect(status.states).toMatchObject([
        { kmsKey: null, kmsKeys: ['site-a'], envelopeKeys: [], plainBlobs: true },
      ])
      const reader = await readerOf(store)
      await pull(reader, target)
      expect(await problemsOf(reader, target)).toEqual([])
    })

    it('warns where the key of the KMS was forgotten', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { kmsKey: 'site-a' })
      const warned: string[] = []
      Object.assign(store.environment, {
        warn: ({ code }: { readonly code: string }) => void warned.push(code),
      })
      await push(store, target, { dryRun: true })
      expect(warned).toEqual(['NOT_LOCKED', 'NOT_ENCRYPTED'])
    })

    it('runs beside another of the same store', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      await addRows(store, 'new', 3)
      await Promise.all([push(store, target), push(store, target), push(store, target)])
      expect(await problemsOf(store, target)).toEqual([])
      const reader = await readerOf(store)
      await pull(reader, target)
      expect(await rootOf(reader)).toBe(await rootOf(store))
    })
  })

  describe('retention', () => {
    const longer = { mode: 'COMPLIANCE', forMs: 2 * YEAR_MS } as const

    it('is extended by a longer wish, and kept under a shorter one', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { retain: COMPLIANCE })
      const extended = await push(store, target, { retain: longer })
      expect(extended.retention).toMatchObject({ set: 0, extended: 2, kept: 0 })
      expect(extended.bytes).toBe(0)
      const untilMs = retainUntilMs(await target.nowMs(), 2 * YEAR_MS)
      for (const { key, versionId } of await versionsOf(target)) {
        const info = await target.headVersion(key, versionId)
        expect(info?.retention, key).toEqual({ mode: 'COMPLIANCE', untilMs })
      }
      const before = await inventory(target)
      expect((await push(store, target, { retain: COMPLIANCE })).retention).toMatchObject({
        kept: 2,
      })
      expect(await inventory(target)).toEqual(before)
      expect(await problemsOf(store, target)).toEqual([])
    })

    it('under COMPLIANCE is never extended by GOVERNANCE', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { retain: COMPLIANCE })
      await push(store, target, { retain: { mode: 'GOVERNANCE', forMs: YEAR_MS / 2 } })
      await addRows(store, 'new', 3)
      await (await store.collection('docs')).snapshots.create('friday')
      await push(store, target, { retain: COMPLIANCE })
      await addRows(store, 'newer', 3)
      const before = await inventory(target)
      await expect(
        push(store, target, { retain: { mode: 'GOVERNANCE', forMs: 2 * YEAR_MS } }),
      ).rejects.toMatchObject({ code: 'RETENTION' })
      expect(await inventory(target)).toEqual(before)
      expect(await problemsOf(store, target)).toEqual([])
    })

    it('under GOVERNANCE hardens; the witness is under COMPLIANCE from the start', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { retain: GOVERNANCE })
      const modes = async (prefix: string): Promise<unknown[]> => {
        const found = []
        for (const { key, versionId } of await versionsOf(target, prefix)) {
          found.push((await target.headVersion(key, versionId))?.retention?.mode)
        }
        return [...new Set(found)]
      }
      expect(await modes('blobs/')).toEqual(['GOVERNANCE'])
      expect(await modes('seals/')).toEqual(['COMPLIANCE'])
      expect(await modes('audit/')).toEqual(['COMPLIANCE'])
      expect((await push(store, target, { retain: COMPLIANCE })).retention.extended).toBe(2)
      expect(await modes('')).toEqual(['COMPLIANCE'])
      expect(await problemsOf(store, target)).toEqual([])
    })

    it('is extended without a push, and what is longer stays', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { retain: COMPLIANCE })
      const extend = { act: 'extend', retain: longer } as const
      expect((await changeLocks(store, target, extend)).objects).toEqual({ changed: 2, kept: 0 })
      expect((await changeLocks(store, target, extend)).objects).toEqual({ changed: 0, kept: 2 })
      expect(await problemsOf(store, target)).toEqual([])
    })
  })

  describe('a legal hold', () => {
    it('is put on states and released, and what two states share stays held', async () => {
      const store = await originStore()
      const docs = await store.collection('docs')
      const target = await placeAt(server)
      await docs.snapshots.create('friday')
      await docs.delete({ ids: ['r0'] })
      await docs.snapshots.create('monday')
      await push(store, target)
      const heldKeys = async (): Promise<string[]> => {
        const found = await heldIn(target)
        return found.filter((key) => /^(blobs|collections)/.test(key))
      }
      const hold = (act: 'hold' | 'release', snapshot?: string) =>
        changeLocks(store, target, { act, ...(snapshot === undefined ? {} : { snapshot }) })
      await hold('hold', 'friday')
      const pack = (await versionsOf(target, 'blobs/')).length
      expect(pack).toBe(2)
      expect((await heldKeys()).length).toBe(3)
      // Nobody can delete what proves it, either.
      const isWitness = (key: string) => !/^(blobs|collections)/.test(key)
      const witness = (await versionsOf(target)).map(({ key }) => key).filter(isWitness)
      expect((await heldIn(target)).filter(isWitness)).toEqual(witness)
      await hold('hold')
      expect((await heldKeys()).length).toBe(6)
      expect(await problemsOf(store, target)).toEqual([])
      await hold('release', 'friday')
      expect((await heldKeys()).length).toBe(4)
      expect(await problemsOf(store, target)).toEqual([])
      const status = await sealedStatus(target, await store.environment.keys.trusted())
      expect(status.states.map(({ labels, legalHold }) => [labels, legalHold])).toEqual([
        [['monday'], true],
        [['friday'], false],
      ])
      await hold('release')
      expect(await heldIn(target)).toEqual([])
      expect(await problemsOf(store, target)).toEqual([])
      await expect(hold('hold', 'sunday')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    it('comes with a push that says so', async () => {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target)
      await push(store, target, { legalHold: true })
      await addRows(store, 'new', 3)
      await push(store, target)
      const { states } = await sealedStatus(target, await store.environment.keys.trusted())
      expect(states.map(({ legalHold }) => legalHold)).toEqual([false, true])
      expect((await heldIn(target)).length).toBeGreaterThan(10)
      expect(await problemsOf(store, target)).toEqual([])
      await changeLocks(store, target, { act: 'release' })
      expect(await heldIn(target)).toEqual([])
      expect(await problemsOf(store, target)).toEqual([])
    })
  })
})
