import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { adoptStore, initStore, openStore, verifyAudit } from '../../src/index.ts'
import { inputFile, lines, opened, tempFolder, tempStore } from '../support/temp-store.ts'

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
    .toSorted()

describe('init', () => {
  it('is harmless twice', async () => {
    const url = join(await tempFolder(), 'a', 'store')
    const first = await initStore({ url })
    const second = await initStore({ url })
    expect(first.created).toBe(true)
    expect(second).toEqual({ ...first, created: false })
    expect(first.keys.map(({ name }) => name).toSorted()).toEqual(['default', 'log'])
  })
})

describe('a store', () => {
  it('is NOT_FOUND where there is none, and is not made', async () => {
    const url = join(await tempFolder(), 'none')
    for (const mode of ['read', 'write'] as const) {
      await expect(openStore({ url, mode })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
    await expect(readdir(url)).rejects.toThrow(/ENOENT/)
  })

  it('is shared when one process opens it twice, until both have closed it', async () => {
    const first = await tempStore()
    const second = await opened(first.url)
    await first.createCollection('docs', { dimension: 1 })
    await (await second.collection('docs')).upsert([{ id: 'a', vector: Float32Array.of(1) }])
    await first.close()
    await first.close()
    expect(await (await second.collection('docs')).get(['a'])).toMatchObject([{ id: 'a' }])
    await second.close()
    await using third = await openStore({ url: first.url, mode: 'read' })
    expect((await third.list())[0]?.count).toBe(1)
  })

  it('opened for reading changes nothing but the audit log', async () => {
    const store = await tempStore()
    const file = await inputFile(dirname(store.url), 'a.jsonl', lines('r', 5))
    await store.prospect('docs').ingest({ inputs: [file] })
    await store.close()
    const before = await filesIn(store.url)
    const reader = await opened(store.url, 'read')
    const docs = await reader.collection('docs')
    expect((await docs.search({ id: 'r1', k: 2 })).hits).toHaveLength(2)
    for await (const record of docs.scan()) expect(record.id).toMatch(/^r/)
    for (const change of [
      () => reader.createCollection('x', { dimension: 1 }),
      () => reader.drop('docs'),
      () => reader.gc(),
      () => docs.upsert([]),
      () => docs.delete({ ids: ['r1'] }),
      () => docs.ingest({ inputs: [file] }),
      () => docs.revert('1'),
      () => docs.compact(),
      () => docs.buildIndex(),
      () => docs.snapshots.create('x'),
    ]) {
      await expect(change()).rejects.toMatchObject({ code: 'AUTH', exitCode: 23 })
    }
    await reader.close()
    const changed = (await filesIn(store.url)).filter((path) => !before.includes(path))
    expect(changed.filter((path) => !/^\/(audit|local)\//.test(path))).toEqual([])
  })

  it('opens for reading without its state folder', async () => {
    const store = await tempStore()
    const file = await inputFile(dirname(store.url), 'a.jsonl', lines('r', 5))
    await store.prospect('docs').ingest({ inputs: [file] })
    await store.close()
    const bare = join(await tempFolder(), 'bare')
    await cp(store.url, bare, { recursive: true, filter: (path) => !path.endsWith('/local') })
    const reader = await opened(bare, 'read')
    const docs = await reader.collection('docs')
    expect((await docs.search({ id: 'r1', k: 10 })).hits).toHaveLength(4)
    await reader.close()
    expect(await readdir(bare)).not.toContain('local')
  })
})

describe('collection names', () => {
  it.each(['', '.a', '-a', 'a/b', '../a', 'ä', 'a'.repeat(129), 'a b'])(
    'refuse "%s"',
    async (name) => {
      const store = await tempStore()
      const making = store.createCollection(name, { dimension: 1 })
      await expect(making).rejects.toMatchObject({ code: 'USAGE' })
      expect(await store.list()).toEqual([])
    },
  )

  it('are unique ignoring case, and at most 128 characters', async () => {
    const store = await tempStore()
    await store.createCollection('Docs', { dimension: 1 })
    for (const name of ['docs', 'Docs', 'DOCS']) {
      const again = store.createCollection(name, { dimension: 1 })
      await expect(again).rejects.toMatchObject({ code: 'EXISTS' })
    }
    await store.createCollection('a'.repeat(128), { dimension: 1 })
    expect((await store.list()).map(({ collection }) => collection)).toEqual([
      'Docs',
      'a'.repeat(128),
    ])
  })

  it('of a dropped collection can be taken again; its numbers go on under a new id', async () => {
    const store = await tempStore()
    const first = await store.createCollection('docs', { dimension: 2 })
    await first.upsert([{ id: 'a', vector: Float32Array.of(1, 2) }])
    expect(await store.drop('docs')).toEqual({ rows: 1 })
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(store.drop('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const second = await store.createCollection('docs', { dimension: 3 })
    expect(second.id).not.toBe(first.id)
    const info = await second.info()
    expect(info).toMatchObject({ count: 0, dimension: 3 })
    expect(info.manifestVersion).toBeGreaterThan(2)
    expect((await second.info({ asOf: String(info.manifestVersion - 2) })).count).toBe(1)
    await expect(second.revert('1')).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('take limits of the dimension', async () => {
    const store = await tempStore()
    const make = (name: string, dimension: number) => store.createCollection(name, { dimension })
    await make('one', 1)
    await make('max', 16_384)
    await expect(make('over', 16_385)).rejects.toMatchObject({ code: 'LIMIT', exitCode: 27 })
    for (const wrong of [0, -1, 1.5, Number.NaN]) {
      await expect(make('wrong', wrong)).rejects.toMatchObject({ code: 'USAGE' })
    }
  })
})

describe('a store that is elsewhere', () => {
  it('is refused for changes until it is adopted as moved', async () => {
    const store = await tempStore()
    await store.createCollection('docs', { dimension: 1 })
    await store.close()
    const moved = `${store.url}-moved`
    await cp(store.url, moved, { recursive: true })
    await expect(openStore({ url: moved, mode: 'write' })).rejects.toMatchObject({
      code: 'CONFLICT',
      exitCode: 22,
      hint: expect.stringContaining('adopt'),
    })
    const reader = await opened(moved, 'read')
    expect(await reader.list()).toHaveLength(1)
    await reader.close()
    const adopted = await adoptStore({ url: moved, as: 'moved' })
    expect(adopted.id).toBe(store.id)
    const open = await opened(moved)
    await open.createCollection('more', { dimension: 1 })
  })

  it('gets a log of its own when it is adopted as a copy', async () => {
    const store = await tempStore()
    await store.createCollection('docs', { dimension: 1 })
    await store.close()
    const url = `${store.url}-copy`
    await cp(store.url, url, { recursive: true })
    const { logId } = await adoptStore({ url, as: 'copy' })
    const copy = await opened(url)
    await copy.createCollection('more', { dimension: 1 })
    await copy.close()
    const original = await opened(store.url)
    await original.createCollection('other', { dimension: 1 })
    await original.close()
    expect((await readdir(join(url, 'audit'))).length).toBe(2)
    expect(await readdir(join(url, 'audit'))).toContain(logId)
    expect(await readdir(join(store.url, 'audit'))).not.toContain(logId)
    for (const target of [url, store.url]) {
      expect((await verifyAudit({ store: { url: target }, keyFiles: [] })).ok, target).toBe(true)
    }
    // The former one is no less a part of it: a head names it.
    const [former = ''] = await readdir(join(store.url, 'audit'))
    await rm(join(url, 'audit', former), { recursive: true })
    const cut = await verifyAudit({ store: { url }, keyFiles: [] })
    expect(cut.problems.map(({ code }) => code)).toEqual(['TRUNCATED'])
  })

  it('may be renamed in place', async () => {
    const store = await tempStore()
    await store.close()
    const url = `${store.url}-renamed`
    await mkdir(dirname(url), { recursive: true })
    await rename(store.url, url)
    await (await opened(url)).createCollection('docs', { dimension: 1 })
    expect(JSON.parse(await readFile(join(url, 'akidb.json'), 'utf8')).id).toBe(store.id)
  })
})
