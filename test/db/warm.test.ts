import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { sha256 } from '../../src/core/digest.ts'
import { openKeys } from '../../src/db/open/state-keys.ts'
import {
  initStore,
  type OpenedStore,
  openStore,
  type TiersStatus,
  trustKey,
  warmCollections,
} from '../../src/index.ts'
import { pushCollections } from '../../src/transfer/push/push.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, openBucket } from '../support/s3.ts'
import { suiteFolder } from '../support/temp-store.ts'

const URL = 's3://evidence/site-a'
const DIMENSION = 512

describeMinio('what is brought near of a store in a bucket', () => {
  const { server, proxy, through } = minioScene({ locked: ['evidence'] })
  const folder = suiteFolder()
  let home: string
  let homes = 0
  beforeAll(async () => {
    await initStore({ url: local() })
    const rows = join(folder, 'rows.jsonl')
    const lines = Array.from({ length: 9_000 }, (_, i) =>
      JSON.stringify({ ...record(i), vector: [...record(i).vector] }),
    )
    await writeFile(rows, lines.join('\n'))
    const store = await openStore({ url: local(), mode: 'write' })
    await store.prospect('docs').ingest({ inputs: [rows], textColumns: ['text'] })
    const small = await store.createCollection('small', { dimension: 2, metric: 'l2' })
    await small.upsert([{ id: 'a', vector: Float32Array.of(1, 2) }])
    const target = await openBucket(URL, accessTo(server))
    const locked = { forMs: 2 * 365 * 86_400_000, mode: 'GOVERNANCE' } as const
    await pushCollections(store, target, { collections: ['docs'], retain: locked })
    await pushCollections(store, target, { collections: ['small'] })
    await target.close()
    await store.close()
  }, 120_000)
  beforeEach(async () => {
    home = join(folder, `state-${homes++}`)
    const pem = join(folder, 'site-a.pem')
    await writeFile(pem, await openKeys(join(local(), 'local')).exportPublic('default'))
    await trustKey({ ...request(), input: pem, name: 'site-a' })
    warnings.length = 0
  })

  const local = () => join(folder, 'a')
  const warnings: string[] = []
  const request = (cacheBytes?: number) => ({
    url: URL,
    s3: accessTo(through),
    stateHome: home,
    onWarning: ({ message }: { message: string }) => void warnings.push(message),
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  })
  /** Another process would find nothing in memory either. */
  async function using<T>(work: (store: OpenedStore) => Promise<T>, bytes?: number): Promise<T> {
    const store = await openStore({ ...request(bytes), mode: 'read' })
    proxy.requests.length = 0
    try {
      return await work(store)
    } finally {
      await store.close()
    }
  }
  const blobRequests = () => proxy.requests.filter(({ path }) => path.includes('/blobs/')).length
  const search = async (store: OpenedStore) => {
    const docs = await store.collection('docs')
    const { hits } = await docs.search({ vector: record(7).vector, k: 5, withPayload: false })
    const words = await docs.search({ text: 'seven', k: 3, withPayload: false })
    return [hits.map(({ id }) => id), words.hits.map(({ id }) => id)]
  }
  const cacheFiles = async () =>
    (await readdir(home, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && /\/cache\/.*[0-9a-f]{64}$/.test(entry.parentPath))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => /\/\d+$/.test(path))

  it('comes once, as many bytes as were said, and searches find it there', async () => {
    const plan = await using((store) => warmCollections(store, { dryRun: true }))
    expect(await cacheFiles()).toEqual([])
    expect(plan.moved).toBe(plan.bytes)
    const seen: number[] = []
    const first = await using((store) =>
      warmCollections(store, { onProgress: ({ done }) => void seen.push(done) }),
    )
    expect(first).toMatchObject({ bytes: plan.bytes, moved: plan.bytes })
    expect(first.collections.map(({ collection, pinned }) => [collection, pinned])).toEqual([
      ['docs', false],
      ['small', false],
    ])
    expect(seen.at(-1)).toBe(plan.bytes)
    const second = await using(async (store) => {
      const { moved } = await warmCollections(store)
      return { moved, requests: blobRequests() }
    })
    expect(second).toEqual({ moved: 0, requests: 0 })
    await using(async (store) => {
      // The float32 rows alone are read from the bucket.
      const whole = await warmCollections(store, { all: true, dryRun: true })
      const vectorBytes = 9_000 * DIMENSION * 4
      expect(whole.moved).toBeGreaterThan(vectorBytes)
      expect(whole.bytes - whole.moved).toBe(first.bytes)
      await warmCollections(store, { collection: 'docs', all: true })
      proxy.requests.length = 0
      expect((await search(store))[0]?.[0]).toBe('row-7')
      expect(blobRequests()).toBe(0)
    })
  })

  it('stays where it is pinned, while all of a larger store is read', async () => {
    const budget = 28 * 2 ** 20
    await using(async (store) => {
      const pinned = await warmCollections(store, { collection: 'docs', pin: 'pin' })
      expect(pinned.collections).toMatchObject([{ collection: 'docs', pinned: true }])
      const docs = await store.collection('docs')
      for await (const _ of docs.scan({ withVector: true }));
    }, budget)
    await using(async (store) => {
      // One that is pinned is pinned anew without being told so.
      const again = await warmCollections(store, { collection: 'docs' })
      expect(again).toMatchObject({ moved: 0, collections: [{ pinned: true }] })
      await expect(
        warmCollections(store, { collection: 'docs', pin: 'pin', all: true }),
      ).rejects.toMatchObject({ code: 'LIMIT' })
      await warmCollections(store, { pin: 'unpin' })
      const usage = await store.environment.store.cache?.usage()
      expect(usage?.bytes.pinned).toBe(0)
      expect([...(usage?.pins ?? [])]).toEqual([])
      expect(usage?.bytes.hot).toBeGreaterThan(again.bytes)
    }, budget)
  })

  it('is told by class and collection, with what is stored, locked and paid for', async () => {
    const bytes = 40 * 2 ** 20
    const { tiers } = await using(async (store) => {
      await warmCollections(store, { collection: 'small', pin: 'pin' })
      await warmCollections(store, { collection: 'docs' })
      await search(store)
      return (await store.status({ pricePerGibMonth: 2 })) as { readonly tiers: TiersStatus }
    }, bytes)
    const [docs, small] = tiers.collections
    const { memory, cache, stored } = tiers
    expect(cache).toMatchObject({ budget: bytes, pinned: small?.cache?.pinned })
    expect(small?.cache?.pinned).toBeGreaterThan(small?.stored.bytes ?? Infinity)
    expect(docs?.cache).toMatchObject({ pinned: 0, hot: expect.any(Number) })
    expect(docs?.cache?.hot).toBeGreaterThan(2 ** 20)
    expect(docs?.memory?.held).toBeGreaterThan(2 ** 20)
    expect(memory?.held).toBe(docs?.memory?.held)
    expect(stored).toMatchObject({ kind: 'bucket', blobs: expect.any(Number) })
    expect(stored.bytes).toBeGreaterThanOrEqual(
      (docs?.stored.bytes ?? 0) + (small?.stored.bytes ?? 0),
    )
    // Sealed for about two years, rounded up to the first of a month; the other was sealed freely.
    expect(small?.stored.locked).toBeNull()
    const { bytes: locked = 0, gibYears = 0, until = '' } = docs?.stored.locked ?? {}
    expect(locked).toBe(docs?.stored.bytes)
    const years = gibYears / (locked / 2 ** 30)
    expect(years).toBeGreaterThan(1.99)
    expect(years).toBeLessThan(2.1)
    expect(until).toMatch(/^20\d\d-\d\d-01T00:00:00\.000Z$/)
    const { perMonth = 0, committed = 0 } = docs?.stored.cost ?? {}
    expect(perMonth).toBeCloseTo((2 * locked) / 2 ** 30, 9)
    expect(committed).toBeCloseTo(perMonth * 12 * years, 9)
    await expect(
      using((store) => store.status({ pricePerGibMonth: Number.NaN })),
    ).rejects.toMatchObject({ code: 'BAD_INPUT' })
  })

  it('is refused where it would push itself out', async () => {
    await expect(using((store) => warmCollections(store), 2 ** 21)).rejects.toMatchObject({
      code: 'LIMIT',
    })
    const here = await openStore({ url: local(), mode: 'read' })
    await expect(warmCollections(here)).rejects.toMatchObject({ code: 'USAGE' })
    await here.close()
  })

  it('is read once more from the bucket where it is wrong under a hash of its own', async () => {
    const expected = await using(async (store) => {
      await warmCollections(store, { all: true })
      return await search(store)
    })
    const paths = await cacheFiles()
    expect(paths.length).toBeGreaterThan(20)
    for (const path of paths) {
      const content = await readFile(path)
      const body = content.subarray(0, -32)
      for (let at = 0; at < body.length; at += 4096) body[at] = (body[at] ?? 0) ^ 0x55
      await writeFile(path, Buffer.concat([body, sha256(body)]))
    }
    const rows = async (store: OpenedStore) => {
      const docs = await store.collection('docs')
      return await docs.get(['row-3', 'row-8999'], { withVector: true })
    }
    await using(async (store) => {
      expect(await search(store)).toEqual(expected)
      const found = await rows(store)
      expect(found.map((one) => one?.payload.get('text'))).toEqual(['row 3', 'row 8999'])
      expect(blobRequests()).toBeGreaterThan(0)
    })
    // What was wrong is right from then on.
    await using(async (store) => {
      expect(await search(store)).toEqual(expected)
      await rows(store)
      expect(blobRequests()).toBe(0)
    })
    expect(warnings).toEqual([])
  })
})

const record = (i: number) => ({
  id: `row-${i}`,
  vector: Float32Array.from({ length: DIMENSION }, (_, d) => Math.sin(i * (d + 1)) + 0.01 * d),
  text: i === 7 ? 'row seven' : `row ${i}`,
})
