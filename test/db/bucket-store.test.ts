import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { openKeys } from '../../src/db/open/state-keys.ts'
import { initStore, type OpenedStore, openStore, trustKey } from '../../src/index.ts'
import { pushCollections } from '../../src/transfer/push/push.ts'
import { describeMinio, type MinioServer } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { countRounds } from '../support/rounds.ts'
import { accessTo, openBucket } from '../support/s3.ts'
import { suiteFolder } from '../support/temp-store.ts'

const URL = 's3://evidence/site-a'
const DIMENSION = 16

describeMinio('a sealed store that is read in its bucket', () => {
  const { server, proxy, through } = minioScene({ locked: ['evidence'] })
  const folder = suiteFolder()
  let home: string
  let homes = 0
  beforeAll(async () => {
    await initStore({ url: local() })
    const store = await openStore({ url: local(), mode: 'write' })
    const docs = await store.createCollection('docs', {
      ...{ dimension: DIMENSION, metric: 'cosine', textFields: ['text'] },
    })
    await docs.upsert(Array.from({ length: 500 }, (_, i) => record(i)))
    await docs.snapshots.create('friday')
    await docs.upsert([record(500)])
    const target = await openBucket(URL, accessTo(server))
    await pushCollections(store, target, { kmsKey: 'site-a' })
    await target.close()
    await store.close()
  })
  beforeEach(() => {
    home = join(folder, `state-${homes++}`)
  })

  const local = () => join(folder, 'a')
  const request = () => ({
    url: URL,
    s3: accessTo(through),
    stateHome: home,
  })
  const trust = async () => {
    const pem = join(folder, 'site-a.pem')
    await writeFile(pem, await openKeys(join(local(), 'local')).exportPublic('default'))
    await trustKey({ ...request(), input: pem, name: 'site-a' })
  }
  const openTrusted = async (): Promise<OpenedStore> => {
    await trust()
    return await openStore({ ...request(), mode: 'read' })
  }
  const answers = async (store: OpenedStore) => {
    const docs = await store.collection('docs')
    const query = record(7).vector
    const found = []
    for (const options of [{}, { asOf: 'friday' }, { exact: true }, { filter: { even: true } }]) {
      const { hits, stateRoot } = await docs.search({ vector: query, k: 20, ...options })
      found.push({ hits, stateRoot })
    }
    const byText = await docs.search({ text: 'row seven', k: 5 })
    found.push({ hits: byText.hits, stateRoot: byText.stateRoot })
    return found
  }

  it('answers as the store does that pushed it, to the last bit', async () => {
    const here = await openStore({ url: local(), mode: 'read' })
    const there = await openTrusted()
    expect(await answers(there)).toEqual(await answers(here))
    expect((await there.list()).map(({ collection, count }) => ({ collection, count }))).toEqual([
      { collection: 'docs', count: 501 },
    ])
    await there.close()
    await here.close()
  })

  it('is opened by nobody who trusts none of its keys', async () => {
    await expect(openStore({ ...request(), mode: 'read' })).rejects.toMatchObject({
      code: 'UNTRUSTED',
    })
  })

  it('refuses changes, and keeps its searches in a log of its own', async () => {
    await trust()
    await expect(openStore({ ...request(), mode: 'write' })).rejects.toMatchObject({ code: 'AUTH' })
    const store = await openStore({ ...request(), mode: 'read' })
    const docs = await store.collection('docs')
    await expect(docs.upsert([record(1)])).rejects.toMatchObject({ code: 'AUTH' })
    await expect(store.check()).rejects.toMatchObject({ code: 'USAGE' })
    const before = await keysIn(server)
    const audit = await store.environment.audit()
    expect(audit.size).toBeGreaterThan(0)
    await store.close()
    expect(await keysIn(server)).toEqual(before)
  })

  it('sees what was sealed, whatever lies above it now', async () => {
    const store = await openTrusted()
    const expected = await answers(store)
    await store.close()
    await rm(join(home, 'akidb'), { recursive: true })
    const keys = await keysIn(server)
    const shadowed = keys.filter((key) => /\/(blobs|collections)\//.test(key))
    expect(shadowed.length).toBeGreaterThan(3)
    for (const [i, key] of shadowed.entries()) {
      if (i % 2 === 0) await server.client.putObject('evidence', key, Buffer.from('forged'))
      else await server.client.removeObject('evidence', key)
    }
    const again = await openTrusted()
    expect(await answers(again)).toEqual(expected)
    await again.close()
  })

  it('takes four rounds of requests to a first answer, and none for what it has', async () => {
    await trust()
    const counted = countRounds(proxy)
    const store = await openStore({ ...request(), mode: 'read' })
    await (await store.collection('docs')).search({ vector: record(3).vector, k: 10 })
    await store.close()
    counted.stop()
    expect(counted.rounds.length, `rounds ${counted.rounds}`).toBeLessThanOrEqual(4)
    proxy.requests.length = 0
    const again = await openStore({ ...request(), mode: 'read' })
    await (await again.collection('docs')).search({ vector: record(3).vector, k: 10 })
    await again.close()
    expect(proxy.requests.filter(({ path }) => path.includes('/blobs/'))).toEqual([])
    const cached = await readdir(home, { recursive: true })
    expect(cached.some((name) => name.includes('/cache/'))).toBe(true)
  })

  it('is not taken for a working store because somebody says so', async () => {
    const url = 's3://evidence/planted'
    const origin = await openStore({ url: local(), mode: 'write' })
    const target = await openBucket(url, accessTo(server))
    await pushCollections(origin, target, {})
    await target.close()
    await origin.close()
    const at = { ...request(), url }
    const pem = join(folder, 'planted.pem')
    await writeFile(pem, await openKeys(join(local(), 'local')).exportPublic('default'))
    await trustKey({ ...at, input: pem, name: 'site-a' })
    const store = await openStore({ ...at, mode: 'read' })
    const { id } = store
    await store.close()
    const createdAt = new Date().toISOString()
    const file = { format: 'akidb-store/1', id, kind: 'working', createdAt }
    const planted = Buffer.from(JSON.stringify(file))
    await server.client.putObject('evidence', 'planted/akidb.json', planted)
    const hidden = { code: 'INTEGRITY', message: expect.stringContaining('was sealed') }
    await expect(openStore({ ...at, mode: 'write' })).rejects.toMatchObject(hidden)
    const reader = await openStore({ ...at, mode: 'read' })
    const { hits } = await (await reader.collection('docs')).search({ id: 'row-1', k: 1 })
    expect(hits).toHaveLength(1)
    await reader.close()
  })
})

const record = (i: number) => ({
  id: `row-${i}`,
  vector: Float32Array.from({ length: DIMENSION }, (_, d) => Math.sin(i * (d + 1)) + 0.01 * d),
  payload: { even: i % 2 === 0, text: i === 7 ? 'row seven' : `row ${i}` },
})

async function keysIn(server: MinioServer): Promise<string[]> {
  const target = await openBucket('s3://evidence', accessTo(server))
  const keys = new Set<string>()
  for await (const { key } of target.versions('')) keys.add(key)
  await target.close()
  return [...keys].sort()
}
