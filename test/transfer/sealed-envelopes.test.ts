import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openKeys } from '../../src/db/open/state-keys.ts'
import { readLedger } from '../../src/db/sealed/ledger.ts'
import { envelopeDomainOf } from '../../src/db/sealed/target.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import {
  kmsCreateKey,
  openStore,
  pull as pullFrom,
  push as pushTo,
  trustKey,
} from '../../src/index.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { systemRandom } from '../../src/storage/system-random.ts'
import { envelopeBody } from '../../src/transfer/push/envelope-body.ts'
import { placeEnvelope } from '../../src/transfer/push/place-envelope.ts'
import { changeLocks } from '../../src/transfer/worm/change-locks.ts'
import { sealedStatus } from '../../src/transfer/worm/status.ts'
import { describeTls } from '../support/certificates.ts'
import type { Fault } from '../support/fault-proxy.ts'
import { kesScene } from '../support/kes-scene.ts'
import { memoryKeys, seededBytes } from '../support/memory-keys.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, bodyOf } from '../support/s3.ts'
import { inputFile, tempFolder, tempStore } from '../support/temp-store.ts'
import { withFaults } from './fault-runs.ts'
import {
  addRows,
  COMPLIANCE,
  heldIn,
  newPlace,
  originStore,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  versionsOf,
} from './sealed-sites.ts'

const DIMENSION = 64
const STORE_ID = 'ab'.repeat(16)

/** A store whose one blob takes several chunks. */
async function wideStore(rows = 700): Promise<OpenedStore> {
  const store = await tempStore()
  const docs = await store.createCollection('docs', { dimension: DIMENSION, metric: 'cosine' })
  await docs.upsert(Array.from({ length: rows }, (_, i) => record(i)))
  await docs.flush()
  return store
}

const record = (i: number) => ({
  id: `r${i}`,
  vector: Float32Array.from({ length: DIMENSION }, (_, at) => Math.sin(i * 31 + at)),
  payload: { even: i % 2 === 0 },
})

const blobsIn = async (target: SealedStore) =>
  (await versionsOf(target, 'blobs/')).filter(({ isDeleteMarker }) => !isDeleteMarker)

const bytesOf = async (target: SealedStore, key: string, versionId: string): Promise<Buffer> =>
  Buffer.concat(
    (await Array.fromAsync(target.readVersion(key, versionId), (part) => part.slice())) as Buffer[],
  )

describe('a blob on its way into an envelope', () => {
  const sealing = () => ({
    keyId: 'site-a',
    server: memoryKeys(systemRandom),
    random: systemRandom,
  })

  it('is the same from every byte on, as often as it is read', async () => {
    const plain = bodyOf(seededBytes(1)(200_000))
    const { body: sealed, end } = await envelopeBody(sealing(), whole(plain), STORE_ID)
    const all = Buffer.concat(await Array.fromAsync(sealed.open(0)))
    expect(all.length).toBe(sealed.bytes)
    expect(bodyOf(all).sha256).toBe(sealed.sha256)
    const step = 65_536 + 16
    const offsets = [1, 100, 300, 400, step, step + 300, 2 * step + 7, all.length - 1]
    for (const offset of [...offsets, all.length]) {
      const rest = Buffer.concat(await Array.fromAsync(sealed.open(offset)))
      expect(rest.equals(all.subarray(offset)), `${offset}`).toBe(true)
    }
    end()
  })

  it('is refused where it is damaged, before or between the readings', async () => {
    const plain = bodyOf(seededBytes(2)(150_000))
    const named = { ...whole(plain), sha256: 'ab'.repeat(32) }
    const failing = envelopeBody(sealing(), named, STORE_ID)
    await expect(failing).rejects.toMatchObject({ code: 'INTEGRITY' })
    let reads = 0
    const turning = {
      ...plain,
      open: async function* (at: number) {
        const bytes = Buffer.concat(await Array.fromAsync(cut(plain, at)))
        if (reads++ > 0) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
        yield bytes
      },
    }
    const { body, end } = await envelopeBody(sealing(), turning, STORE_ID)
    await expect(Array.fromAsync(body.open(0))).rejects.toMatchObject({ code: 'INTEGRITY' })
    end()
  })
})

/** The same, that can be read from any byte on. */
const whole = (body: ReturnType<typeof bodyOf>) => ({
  ...body,
  open: (at: number) => cut(body, at),
})

async function* cut(body: ReturnType<typeof bodyOf>, at: number): AsyncGenerator<Uint8Array> {
  const all = Buffer.concat(await Array.fromAsync(body.open(0)))
  for (let from = at; from < all.length; from += 10_000) yield all.subarray(from, from + 10_000)
}

describeMinio('collections that are sealed in envelopes', () => {
  const { server, proxy, through } = minioScene({ locked: ['evidence'] })

  const keysFor = () => {
    const keyServer = memoryKeys(systemRandom)
    return { keyServer, envelope: { keyId: 'site-a', server: keyServer, random: systemRandom } }
  }

  it('lie there as ciphertext, which is proven without a key', async () => {
    const store = await wideStore()
    const target = await placeAt(server)
    const { envelope } = keysFor()
    const result = await push(store, target, { retain: COMPLIANCE, envelope })
    expect(result).toMatchObject({ envelopeKey: 'site-a', kmsKey: null })
    expect(await problemsOf(store, target)).toEqual([])
    const [blob, ...others] = await blobsIn(target)
    expect([others, blob?.key.startsWith(`blobs/${envelopeDomainOf('site-a')}/`)]).toEqual([
      [],
      true,
    ])
    const { key = '', versionId = '' } = blob ?? {}
    const bytes = await bytesOf(target, key, versionId)
    expect(bytes.toString('latin1', 0, 4)).toBe('AKEV')
    expect(bytes.includes('SEGv')).toBe(false)
    const trusted = await store.environment.keys.trusted()
    const { expected } = await readLedger(target, trusted)
    const plain = (await store.core('docs').head()).state.segments[0]?.blobs[0]
    expect(expected.get(key)?.object).toMatchObject({
      ...{ bytes: bytes.length, sha256: bodyOf(bytes).sha256 },
      envelope: { keyId: 'site-a', bytes: plain?.bytes },
    })
    expect((await sealedStatus(target, trusted)).states).toMatchObject([{ envelopeKey: 'site-a' }])
  })

  it('come back by the key server, and by no other', async () => {
    const store = await wideStore()
    const target = await placeAt(server)
    const { envelope, keyServer } = keysFor()
    await push(store, target, { envelope })
    const reader = await readerOf(store)
    const unnamed = await pull(reader, target).catch((error: unknown) => error)
    expect(unnamed).toMatchObject({ code: 'AUTH', details: { keyId: 'site-a' } })
    const other = memoryKeys(systemRandom)
    const wrong = pull(reader, target, { keyServer: other })
    await expect(wrong).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await reader.list()).toEqual([])
    expect(await pull(reader, target, { keyServer })).toMatchObject({ blobs: { copied: 1 } })
    expect(await rootOf(reader)).toBe(await rootOf(store))
    expect((await reader.check({ readData: true })).problems).toEqual([])
    expect(keyServer.handedOut.every((key) => key.every((byte) => byte === 0))).toBe(true)
  })

  it('are sent once: what is there is not encrypted again', async () => {
    const store = await originStore()
    const target = await placeAt(server)
    const { envelope, keyServer } = keysFor()
    await push(store, target, { envelope })
    const asked = keyServer.handedOut.length
    const again = await push(store, target, { envelope, retain: COMPLIANCE })
    expect(again).toMatchObject({ blobs: { present: 1, uploaded: 0 }, bytes: 0 })
    // One to try the key.
    expect(keyServer.handedOut.length).toBe(asked + 1)
    await addRows(store, 'more', 3)
    expect((await push(store, target, { envelope })).blobs.uploaded).toBeGreaterThan(0)
    await changeLocks(store, target, { act: 'hold' })
    expect((await heldIn(target)).some((key) => key.startsWith('blobs/'))).toBe(true)
    expect(await problemsOf(store, target)).toEqual([])
    const reader = await readerOf(store)
    await pull(reader, target, { keyServer })
    expect(await rootOf(reader)).toBe(await rootOf(store))
  })

  it('are kept apart by key, and from what is sealed without', async () => {
    const store = await originStore()
    const target = await placeAt(server)
    const { envelope, keyServer } = keysFor()
    await push(store, target, {})
    await push(store, target, { envelope })
    await push(store, target, { envelope: { ...envelope, keyId: 'site-b' } })
    const keys = (await blobsIn(target)).map(({ key }) => key.split('/')[1])
    expect(keys.sort()).toEqual(['0', '_site-a', '_site-b'])
    expect(await problemsOf(store, target)).toEqual([])
    const reader = await readerOf(store)
    await pull(reader, target, { keyServer })
    expect(await rootOf(reader)).toBe(await rootOf(store))
  })

  it('go on where a push was cut off anywhere, and no blob is there twice', async () => {
    const { envelope, keyServer } = keysFor()
    const once = async (url: string, access: S3Access = {}) =>
      placeAt(through, url, { retryForMs: 0, ...access })
    const store = await wideStore()
    const first = await once(newPlace())
    const { count } = await withFaults(
      proxy,
      () => undefined,
      () => push(store, first, { envelope }),
    )
    let left = 0
    for (let n = 2; n <= count; n += 3) {
      const url = newPlace()
      const spoiled = await once(url)
      // The server does the n-th, and nobody hears of it.
      const cutOff = (number: number): Fault | undefined =>
        number < n ? undefined : { kind: number === n ? 'cut-after' : 'cut-before' }
      const { failure } = await withFaults(proxy, cutOff, () => push(store, spoiled, { envelope }))
      expect(failure, `request ${n}`).toBeDefined()
      const target = await placeAt(server, url)
      left += (await blobsIn(target)).length
      await push(store, target, { envelope })
      expect(await problemsOf(store, target), `request ${n}`).toEqual([])
      expect(await blobsIn(target), `request ${n}`).toHaveLength(1)
      const reader = await readerOf(store)
      await pull(reader, target, { keyServer })
      expect(await rootOf(reader)).toBe(await rootOf(store))
    }
    // Some pushes found a blob that no seal spoke of.
    expect(left).toBeGreaterThan(0)
  })

  it('are found where a push left them, and nothing else is taken for one', async () => {
    const target = await placeAt(server)
    const { envelope } = keysFor()
    const sealing = { ...envelope, storeId: STORE_ID }
    for (const bytes of [500, 100_000]) {
      const body = bodyOf(seededBytes(bytes)(bytes))
      const wanted = {
        key: `blobs/_site-a/aa/${body.sha256}`,
        body: whole(body),
        envelope: sealing,
      }
      const first = await placeEnvelope(target, wanted, {})
      const again = await placeEnvelope(target, wanted, {})
      expect([first.uploaded, again.uploaded]).toEqual([true, false])
      expect(again.object).toEqual(first.object)
      const other = { ...wanted, body: whole(bodyOf(seededBytes(7)(bytes))) }
      const failing = placeEnvelope(target, other, {})
      await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' })
      const elsewhere = { ...wanted, envelope: { ...sealing, storeId: 'cd'.repeat(16) } }
      const moved = placeEnvelope(target, elsewhere, {})
      await expect(moved).rejects.toMatchObject({ code: 'CONFLICT' })
    }
  })

  it('are refused where a server gives the envelope of another blob', async () => {
    const store = await originStore()
    await addRows(store, 'x', 20, 'other')
    const target = await placeAt(server)
    const { envelope, keyServer } = keysFor()
    await push(store, target, { envelope })
    const [a, b] = await blobsIn(target)
    expect(a?.key).not.toBe(b?.key)
    const swapped: SealedStore['readVersion'] = (key, versionId, options) => {
      const other = key === a?.key ? b : key === b?.key ? a : undefined
      return target.readVersion(other?.key ?? key, other?.versionId ?? versionId, options)
    }
    const lying = new Proxy(target, {
      get: (of, name) => {
        const value: unknown = name === 'readVersion' ? swapped : Reflect.get(of, name)
        return typeof value === 'function' ? value.bind(of) : value
      },
    })
    const reader = await readerOf(store)
    const failing = pull(reader, lying, { keyServer })
    await expect(failing).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await reader.list()).toEqual([])
    await pull(reader, target, { keyServer })
  })

  it('need a key that works before anything is sent, and one way to encrypt', async () => {
    const store = await originStore()
    const target = await placeAt(server)
    const { envelope } = keysFor()
    const absent = push(store, target, { envelope: { ...envelope, keyId: 'none' } })
    await expect(absent).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const both = push(store, target, { envelope, kmsKey: 'site-a' })
    await expect(both).rejects.toMatchObject({ code: 'USAGE' })
    expect(await versionsOf(target)).toEqual([])
    const dry = await push(store, target, { envelope, dryRun: true })
    expect(dry).toMatchObject({ blobs: { uploaded: 1 }, envelopeKey: 'site-a' })
    expect(await versionsOf(target)).toEqual([])
  })

  describeTls('and a key server over TLS', () => {
    const { server: kesServer, clients, accessOf } = kesScene({ site: ['/'] }, 'all tests')

    it('are pushed, pulled and read in place', async () => {
      const access = accessOf(clients.site)
      await kmsCreateKey({ ...access, id: 'site-a' })
      const store = await wideStore()
      const url = newPlace()
      const s3 = accessTo(server)
      const between = { url: store.url, target: url, s3 }
      const pushed = await pushTo({ ...between, kes: access, envelopeKey: 'site-a' })
      expect(pushed.envelopeKey).toBe('site-a')
      const reader = await readerOf(store)
      const closed = pullFrom({ ...between, url: reader.url })
      await expect(closed).rejects.toMatchObject({ code: 'AUTH', exitCode: 23 })
      await pullFrom({ ...between, url: reader.url, kes: access })
      expect(await rootOf(reader)).toBe(await rootOf(store))

      const stateHome = await tempFolder()
      const inPlace = { url, s3, stateHome }
      const pem = await openKeys(join(store.url, 'local')).exportPublic('default')
      const input = await inputFile(dirname(store.url), 'site.pem', pem)
      await trustKey({ ...inPlace, input, name: 'site' })
      const without = await openStore({ ...inPlace, mode: 'read' })
      const search = async (from: OpenedStore) => {
        const docs = await from.collection('docs')
        const vector = record(5).vector
        const exact = { vector, k: 9, exact: true, withVector: true, withPayload: true } as const
        const found = [await docs.search({ vector, k: 9, filter: { even: true } })]
        return [...found, await docs.search(exact)].map(({ hits }) => hits)
      }
      await expect(search(without)).rejects.toMatchObject({ code: 'AUTH', exitCode: 23 })
      await without.close()
      const there = await openStore({ ...inPlace, mode: 'read', kes: access })
      const asked = kesServer.seen.length
      expect(await search(there)).toEqual(await search(store))
      expect(await there.list()).toMatchObject([{ collection: 'docs', count: 700 }])
      expect(kesServer.seen.length).toBe(asked + 1)
      await there.close()
      const files = (await readdir(stateHome, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile() && entry.parentPath.includes('/cache'))
        .map((entry) => join(entry.parentPath, entry.name))
      expect(files.length).toBeGreaterThan(0)
      for (const file of files) expect((await readFile(file)).includes('SEGv')).toBe(false)
    })
  })
})
