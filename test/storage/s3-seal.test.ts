import { RETENTION_MODES } from 'minio'
import { beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { eachAtOnce } from '../../src/core/slots.ts'
import type { Retention, SealedStore } from '../../src/storage/object-store.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import {
  accessTo,
  bodyOf,
  bytesOf,
  type CountedBody,
  gather,
  openBucket,
  patternOf,
} from '../support/s3.ts'

const DAY_MS = 86_400_000
const MIB = 1024 * 1024

describeMinio('a sealed object', () => {
  const { server, proxy } = minioScene({ locked: ['locked'], plain: ['plain'] })
  let stores = 0

  /** An empty store behind the proxy, whose requests are counted from here on. */
  async function fresh(bucket = 'locked', endpoint = proxy.url): Promise<SealedStore> {
    const access = accessTo(server, { endpoint })
    const store = await openBucket(`s3://${bucket}/store-${stores++}`, access)
    proxy.requests.length = 0
    return store
  }
  const wholeKey = (store: SealedStore, key: string): string =>
    `${store.url.replace('s3://locked/', '')}/${key}`

  const retention = (): Retention => ({ mode: 'COMPLIANCE', untilMs: Date.now() + DAY_MS })
  const encryption = { keyId: 'site-a', context: { store: 'a"b', collection: 'ü' } }
  const small = bodyOf('sealed')
  let large: CountedBody
  beforeAll(() => {
    large = bodyOf(patternOf(limits.s3PutBytesMax + 5_000_000))
  })

  async function sealed(store: SealedStore, key = 'k', body = small): Promise<string> {
    const versionId = await store.seal(key, body, { retention: retention() })
    if (versionId === undefined) throw new Error('it was there')
    return versionId
  }
  const textOf = async (store: SealedStore, key: string, versionId: string): Promise<string> =>
    (await bytesOf(store.readVersion(key, versionId))).toString()

  describe('of one request', () => {
    it('has lock, hold, key, context and checksum from the request that makes it', async () => {
      const store = await fresh()
      const lock = retention()
      const options = { retention: lock, legalHold: true, encryption }
      const versionId = (await store.seal('k', small, options)) ?? ''
      expect(proxy.requests.map(({ method }) => method)).toEqual(['PUT'])
      const headers = proxy.requests[0]?.headers
      expect(headers).toMatchObject({ 'if-none-match': '*' })
      const context = String(headers?.['x-amz-server-side-encryption-context'])
      expect(JSON.parse(Buffer.from(context, 'base64').toString())).toEqual(encryption.context)
      expect(await store.headVersion('k', versionId)).toMatchObject({
        ...{ key: 'k', versionId, bytes: small.bytes, retention: lock, legalHold: true },
        keyId: 'site-a',
        checksum: await store.checksumOf(small),
      })
      expect(await textOf(store, 'k', versionId)).toBe('sealed')
    })

    it('is not made twice: the second time nothing changes', async () => {
      const store = await fresh()
      const versionId = await sealed(store)
      expect(await store.seal('k', bodyOf('other'), { retention: retention() })).toBeUndefined()
      const versions = await gather(store.versions('k'))
      expect(versions.map((version) => version.versionId)).toEqual([versionId])
    })

    it('is not even read where it is there already and not small', async () => {
      // Not through the proxy: it asks for every body itself.
      const store = await fresh('locked', server.url)
      const body = bodyOf(patternOf(8 * MIB))
      await sealed(store, 'k', body)
      expect(body.opened()).toBe(1)
      expect(await store.seal('k', body, {})).toBeUndefined()
      expect(body.opened()).toBe(1)
    })

    it('is not made of a body that is not what it says', async () => {
      const store = await fresh()
      const half = small.open
      const wrong = [
        { ...small, bytes: 7 },
        { ...small, bytes: 5 },
        { ...small, bytes: 0 },
        { ...small, sha256: '0'.repeat(64) },
        { ...bodyOf(patternOf(2 * MIB)), open: half },
        { ...large, open: half },
        { ...large, sha256: '0'.repeat(64) },
      ]
      for (const body of wrong) {
        await expect(store.seal('k', body, {})).rejects.toMatchObject({ code: 'INTEGRITY' })
      }
      expect(await gather(store.versions(''))).toEqual([])
      // No connection was left with what does not belong to the next request.
      expect(await sealed(store)).toMatch(/^[0-9a-f-]{36}$/)
    })

    it('fails as its source fails', async () => {
      const store = await fresh()
      const broken = async function* () {
        yield Buffer.from('sea')
        throw new RangeError('the disk is gone')
      }
      for (const body of [small, bodyOf(patternOf(2 * MIB)), large]) {
        const sealing = store.seal('k', { ...body, open: broken }, {})
        await expect(sealing).rejects.toThrow(new RangeError('the disk is gone'))
      }
      expect(await gather(store.versions(''))).toEqual([])
    })
  })

  it('may come from the store itself, many at once', async () => {
    const store = await fresh()
    const body = bodyOf(patternOf(2 * MIB))
    await store.seal('source', body, {})
    const copies = Array.from({ length: 12 }, (_, i) =>
      store.seal(`copy-${i}`, { ...body, open: () => store.read('source') }, {}),
    )
    expect(new Set(await Promise.all(copies)).size).toBe(12)
  })

  describe('in parts', () => {
    it('has all that one of one request has', async () => {
      const store = await fresh()
      const lock = retention()
      const options = { retention: lock, legalHold: true, encryption }
      const versionId = (await store.seal('k', large, options)) ?? ''
      const sent = proxy.requests.map(({ method, query }) => [method, ...query.keys()].join(' '))
      const count = Math.ceil(large.bytes / limits.s3PartBytes)
      const parts = Array.from({ length: count }, () => 'PUT partNumber uploadId')
      expect(sent).toEqual(['HEAD', 'POST uploads', ...parts, 'POST uploadId'])
      expect(proxy.requests.at(-1)?.headers).toMatchObject({ 'if-none-match': '*' })
      const info = await store.headVersion('k', versionId)
      expect(info).toMatchObject({ bytes: large.bytes, retention: lock, legalHold: true })
      expect(info?.keyId).toBe('site-a')
      expect(info?.checksum).toBe(await store.checksumOf(large))
      expect(info?.checksum).toMatch(new RegExp(`-${count}$`))
      let [at, isSame] = [0, true]
      const whole = Buffer.concat(await gather(large.open(0)))
      for await (const piece of store.readVersion('k', versionId)) {
        isSame &&= Buffer.compare(piece, whole.subarray(at, at + piece.length)) === 0
        at += piece.length
      }
      expect([at, isSame]).toEqual([large.bytes, true])
      await expect(store.deleteVersion('k', versionId)).rejects.toMatchObject({ exitCode: 23 })
    })

    it('is not sent where it is there', async () => {
      const store = await fresh()
      const versionId = await sealed(store)
      const opened = large.opened()
      expect(await store.seal('k', large, {})).toBeUndefined()
      expect(large.opened()).toBe(opened)
      expect(await textOf(store, 'k', versionId)).toBe('sealed')
    })

    it('gives way to what came while it was sent', async () => {
      const store = await fresh()
      const open = async function* () {
        yield* large.open(0)
        await store.put('k', Buffer.from('first'))
      }
      expect(await store.seal('k', { ...large, open }, {})).toBeUndefined()
      expect(await gather(store.versions(''))).toMatchObject([{ key: 'k', bytes: 5 }])
      const left = await gather(server.client.listIncompleteUploads('locked', '', true))
      expect(left).toEqual([])
    })

    it('replaces where that is asked for', async () => {
      const store = await fresh('plain')
      await store.put('k', Buffer.from('old'))
      const whole = Buffer.concat(await gather(large.open(0)))
      expect(await store.put('k', whole, { mode: 'replace' })).toBe('created')
      expect((await store.head('k'))?.bytes).toBe(large.bytes)
      await store.delete('k')
    })
  })

  describe('against who has the root credentials', () => {
    it('cannot be deleted, shortened or softened, by version', async () => {
      const store = await fresh()
      const versionId = await sealed(store)
      const key = wholeKey(store, 'k')
      const { client } = server
      const worm = { message: expect.stringContaining('WORM') }
      const removal = { versionId, governanceBypass: true }
      await expect(client.removeObject('locked', key, removal)).rejects.toMatchObject(worm)
      const soon = new Date(Date.now() + 60_000).toISOString()
      for (const mode of [RETENTION_MODES.COMPLIANCE, RETENTION_MODES.GOVERNANCE]) {
        const change = { mode, retainUntilDate: soon, versionId, governanceBypass: true }
        const changing = client.putObjectRetention('locked', key, change)
        await expect(changing).rejects.toMatchObject(worm)
      }
      expect(await textOf(store, 'k', versionId)).toBe('sealed')
      await expect(store.deleteVersion('k', versionId)).rejects.toMatchObject({
        code: 'RETENTION',
        exitCode: 23,
      })
      await expect(store.delete('k')).rejects.toMatchObject({ code: 'RETENTION' })
    })

    it('is read beneath a newer version and beneath a delete marker, which show', async () => {
      const store = await fresh()
      const versionId = await sealed(store)
      await server.client.putObject('locked', wholeKey(store, 'k'), 'shadow')
      expect(await textOf(store, 'k', versionId)).toBe('sealed')
      expect(Buffer.from(await store.get('k')).toString()).toBe('shadow')
      await server.client.removeObject('locked', wholeKey(store, 'k'))
      expect(await store.head('k')).toBeUndefined()
      expect(await textOf(store, 'k', versionId)).toBe('sealed')
      const range = { offset: 2, bytes: 3 }
      expect(Buffer.from(await store.getVersion('k', versionId, range)).toString()).toBe('ale')
      const versions = await gather(store.versions(''))
      expect(versions.map(({ isDeleteMarker }) => isDeleteMarker)).toEqual([true, false, false])
      expect(versions.map(({ isLatest }) => isLatest)).toEqual([true, false, false])
      expect(versions.at(-1)).toMatchObject({ key: 'k', versionId, bytes: 6 })
      const marker = versions[0]?.versionId ?? ''
      expect(await store.headVersion('k', marker)).toBeUndefined()
      await expect(textOf(store, 'k', marker)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    it('shows the known hole: a conditional PUT succeeds under a delete marker', async () => {
      const store = await fresh()
      const versionId = await sealed(store)
      await server.client.removeObject('locked', wholeKey(store, 'k'))
      const second = await store.seal('k', bodyOf('forged'), {})
      expect(second).not.toBe(undefined)
      const versions = await gather(store.versions('k'))
      expect(versions.map((version) => version.versionId)).toEqual([
        second,
        expect.stringMatching(/./),
        versionId,
      ])
      expect(versions.map(({ isDeleteMarker }) => isDeleteMarker)).toEqual([false, true, false])
    })

    it('is found by no other version id, none at all, or that of another object', async () => {
      const store = await fresh()
      await sealed(store, 'a')
      const other = await sealed(store, 'b')
      const strange = ['11111111-1111-4111-8111-111111111111', 'null', 'no-uuid', other]
      for (const versionId of strange) {
        expect(await store.headVersion('a', versionId)).toBeUndefined()
        await expect(textOf(store, 'a', versionId)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      }
      await expect(store.headVersion('a', '')).rejects.toMatchObject({ code: 'INTERNAL' })
      await expect(store.deleteVersion('a', '')).rejects.toMatchObject({ code: 'INTERNAL' })
      await expect(store.headVersion('a', '../b')).rejects.toMatchObject({ code: 'BAD_INPUT' })
    })
  })

  it('is listed with all versions and markers, by key, over several pages', async () => {
    const store = await fresh()
    const keys = Array.from({ length: 250 }, (_, i) => `p/${String(i).padStart(4, '0')}+=@`)
    const put = (text: string) => async (key: string) => {
      await store.put(key, Buffer.from(text), { mode: 'replace' })
    }
    await eachAtOnce(keys, 16, put('1'))
    await eachAtOnce(keys, 16, put('22'))
    // Markers cost a request for all keys at once: two versions and three markers make a page full.
    const marked = keys.filter((_, i) => i % 5 !== 0)
    const markersOfEach = [0, 0, 0]
    for (const _ of markersOfEach) {
      await server.client.removeObjects(
        'locked',
        marked.map((key) => wholeKey(store, key)),
      )
    }
    proxy.requests.length = 0
    const found = await gather(store.versions('p/'))
    expect(proxy.requests.length).toBe(2)
    const expected = keys.flatMap((key) =>
      [...(marked.includes(key) ? markersOfEach : []), 2, 1].map((n) => `${key} ${n}`),
    )
    expect(found.map(({ key, bytes }) => `${key} ${bytes}`)).toEqual(expected)
    expect(found.filter(({ isDeleteMarker }) => isDeleteMarker)).toHaveLength(
      marked.length * markersOfEach.length,
    )
    expect(new Set(found.map(({ versionId }) => versionId)).size).toBe(found.length)
  })
})
