import { createHash } from 'node:crypto'
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { doctor } from '../../src/db/doctor/doctor.ts'
import { initStore } from '../../src/db/open/init.ts'
import { inodeOf } from '../../src/db/open/store-place.ts'
import { readStoreFile, writePlace } from '../../src/db/states/store-file.ts'
import { openStore } from '../../src/db/store.ts'
import { upgradeStore } from '../../src/db/upgrade.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'

let folder = ''
let url = ''
let count = 0

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-doctor-'))
  const template = join(folder, 'template')
  await initStore({ url: template })
  await using store = await openStore({ url: template, mode: 'write' })
  const docs = await store.createCollection('docs', { dimension: 2, textFields: ['text'] })
  await docs.upsert([{ id: 'a', vector: Float32Array.of(1, 2), payload: { text: 'hello' } }])
})

/** Every test has a store of its own, in its place. */
beforeEach(async () => {
  url = join(folder, `store-${count++}`)
  cpSync(join(folder, 'template'), url, { recursive: true })
  const state = openFsStore(join(url, 'local'), { mode: 'write' })
  const { id } = await readStoreFile(openFsStore(url, { mode: 'read' }))
  await writePlace(state, { storeId: id, inode: inodeOf(url) })
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const findings = async (at = url): Promise<Record<string, string>> => {
  const { checks, ok } = await doctor({ url: at })
  expect(ok).toBe(checks.every(({ status }) => status !== 'fail'))
  for (const { status, fix } of checks) expect(fix === '').toBe(status === 'ok')
  return Object.fromEntries(checks.map(({ name, status }) => [name, status]))
}

/** What differs from a healthy store. */
const trouble = async (at = url): Promise<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(await findings(at)).filter(
      ([name, status]) => status !== 'ok' && !['hnswlib', 'disk space'].includes(name),
    ),
  )

describe('doctor', () => {
  it('finds nothing wrong with a healthy store, and leaves nothing behind', async () => {
    const before = await readdir(url, { recursive: true })
    expect(await trouble()).toEqual({})
    expect((await readdir(url, { recursive: true })).sort()).toEqual(before.sort())
  })

  it('looks at runtime, kernel and disks even where there is no store', async () => {
    const found = await findings(join(folder, 'nothing'))
    expect(found).toMatchObject({ runtime: 'ok', kernel: 'ok', store: 'fail' })
  })

  it('sees a damaged store file', async () => {
    writeFileSync(join(url, 'akidb.json'), '{')
    expect(await trouble()).toEqual({ store: 'fail' })
  })

  it('sees a copy, which must not write the same log', async () => {
    const copy = join(folder, 'copy')
    cpSync(url, copy, { recursive: true })
    expect(await trouble(copy)).toEqual({ place: 'fail' })
  })

  it('sees private keys that others can read', async () => {
    chmodSync(join(url, 'local', 'keys', 'default.key.json'), 0o644)
    expect(await trouble()).toEqual({ keys: 'fail' })
  })

  it('sees that the key of the log is gone', async () => {
    await rm(join(url, 'local', 'keys'), { recursive: true })
    expect(await trouble()).toEqual({ keys: 'fail', audit: 'fail' })
  })

  it('sees that the reserve is gone', async () => {
    await rm(join(url, 'local', 'reserve'))
    expect(await trouble()).toEqual({ reserve: 'warn' })
  })

  it('sees that the reserve is a part of itself, and gc makes it whole', async () => {
    await truncate(join(url, 'local', 'reserve'), 2 ** 20)
    expect(await trouble()).toEqual({ reserve: 'warn' })
    {
      await using store = await openStore({ url, mode: 'write' })
      await store.gc()
    }
    expect(await trouble()).toEqual({})
  })

  it('sees a cut audit log', async () => {
    const store = openFsStore(url, { mode: 'write' })
    for await (const { key, bytes } of store.list('audit/')) {
      if (key.includes('/tail/')) await store.truncate(key, bytes - 1)
    }
    expect(await trouble()).toEqual({ audit: 'fail' })
  })

  it('sees a damaged head', async () => {
    const store = openFsStore(url, { mode: 'write' })
    for await (const { key } of store.list('collections/docs/manifests/', { limit: 1 })) {
      await store.put(key, Buffer.from('{}'), { mode: 'replace' })
    }
    expect(await trouble()).toEqual({ collections: 'fail', clock: 'fail' })
  })

  it('sees what a killed collection of garbage left', async () => {
    const store = openFsStore(url, { mode: 'write' })
    await store.put(`gc/${'0'.repeat(20)}.json`, Buffer.from('{"condemned":[]}'))
    expect(await trouble()).toEqual({ leftovers: 'warn' })
  })

  it('names the owner of a lock', async () => {
    await using store = await openStore({ url, mode: 'write', command: 'akidb serve' })
    await (await store.collection('docs')).upsert([{ id: 'b', vector: Float32Array.of(1, 2) }])
    const { checks } = await doctor({ url })
    const locks = checks.find(({ name }) => name === 'locks')
    expect(locks?.message).toContain('owner by akidb serve')
  })
})

describe('status', () => {
  it('tells where collections, log and keys stand', async () => {
    await using store = await openStore({ url, mode: 'read' })
    const [docs] = await store.list()
    expect(await store.status()).toMatchObject({
      store: url,
      id: store.id,
      state: join(url, 'local'),
      owner: null,
      collections: [{ name: 'docs', rows: 1, segments: 1, walRows: 0, stateRoot: docs?.stateRoot }],
      ledger: [],
      walRows: 0,
      audit: { logId: expect.stringMatching(/^[0-9a-f]{64}$/), entries: expect.any(Number) },
      origins: [],
    })
  })

  it('counts the rows that are in the write-ahead log alone, and names its owner', async () => {
    await using owner = await openStore({ url, mode: 'write', command: 'akidb serve' })
    await (await owner.collection('docs')).upsert([
      { id: 'b', vector: Float32Array.of(1, 2) },
      { id: 'c', vector: Float32Array.of(2, 2) },
    ])
    await using reader = await openStore({ url, mode: 'read' })
    expect(await reader.status()).toMatchObject({
      owner: { command: 'akidb serve', pid: process.pid },
      collections: [{ rows: 1, walRows: 2 }],
      walRows: 2,
    })
  })

  it('names half-done ingests', async () => {
    const state = openFsStore(join(url, 'local'), { mode: 'write' })
    const hex = 'ab'.repeat(32)
    const blob = { digest: hex, bytes: 1, chunkBytes: 4096, chunkRoot: hex, role: 'pack' }
    const segment = { rows: 5, blobs: [blob], payloadBytes: 1 }
    const entry = { segment, rowsRead: 7, drop: 0, rejected: 2, rejectBytes: 0 }
    const header = JSON.stringify({ options: hex, schema: hex })
    const json = JSON.stringify(entry)
    const digest = createHash('sha256').update(json).digest('hex').slice(0, 16)
    const file = `${header}\n${json}\t${digest}\n{"torn`
    await state.put(`ledger/docs/${hex}-${hex.slice(0, 16)}.jsonl`, Buffer.from(file))
    await using store = await openStore({ url, mode: 'read' })
    expect((await store.status()).ledger).toEqual([
      { collection: 'docs', sha256: hex, segments: 1, rows: 7 },
    ])
  })
})

describe('upgrade', () => {
  it('changes nothing in a store of the only format there is', async () => {
    const store = openFsStore(url, { mode: 'read' })
    expect(await upgradeStore({ store })).toEqual({ changed: [], loses: [] })
  })

  it('refuses a store with a damaged head', async () => {
    const store = openFsStore(url, { mode: 'write' })
    for await (const { key } of store.list('collections/docs/manifests/', { limit: 1 })) {
      await store.put(key, Buffer.from('{}'), { mode: 'replace' })
    }
    await expect(upgradeStore({ store })).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})
