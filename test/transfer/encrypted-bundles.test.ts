import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  auditEntries,
  exportBundle,
  importBundle,
  inspectBundle,
  kmsCreateKey,
  kmsRewrap,
  openStore,
  repairFrom,
  replayBundle,
  verifyBundle,
} from '../../src/index.ts'
import { describeTls } from '../support/certificates.ts'
import { kesScene } from '../support/kes-scene.ts'
import { lines } from '../support/temp-store.ts'
import { answers, damaged, noPassphrase, take, twoSites } from './sites.ts'

const { server, clients, accessOf } = kesScene(
  { site: ['/v1/key/generate/', '/v1/key/decrypt/', '/v1/key/create/'], stranger: [] },
  'each test',
)
const { site, stranger } = clients

/** Two sites, and an encrypted bundle of the first. */
async function carried(change: { kmsKey?: string; since?: string; name?: string } = {}) {
  const sites = await twoSites()
  const { path, result } = await seal(sites, change)
  return { ...sites, path, result, kes: accessOf(site) }
}

async function seal(
  { from, folder }: Pick<Awaited<ReturnType<typeof twoSites>>, 'from' | 'folder'>,
  { name = 'docs', ...change }: { kmsKey?: string; since?: string; name?: string } = {},
) {
  const path = join(folder, `${name}.akipkg`)
  const result = await exportBundle({
    url: from.url,
    collections: ['docs'],
    output: { path, force: false },
    key: 'default',
    passphrase: noPassphrase,
    kes: accessOf(site),
    kmsKey: 'site-a',
    ...change,
  })
  return { path, result }
}

describeTls('with a key server', () => {
  beforeEach(async () => {
    for (const id of ['site-a', 'site-b']) await kmsCreateKey({ ...accessOf(site), id })
  })

  describe('an encrypted bundle', () => {
    it('carries a collection to another store, and tells nothing on its way', async () => {
      const { from, to, path, result, kes } = await carried()
      const bytes = await readFile(path)
      expect(result).toMatchObject({ kmsKey: 'site-a', bytes: bytes.length })
      expect(bytes.subarray(0, 4).toString()).toBe('AKEV')
      for (const word of ['HEAD.json', 'docs', 'odd', 'akidb-bundle']) {
        expect(bytes.includes(word), word).toBe(false)
      }
      const input = { path }
      const inspected = await inspectBundle({ input, keyFiles: [], kes, store: { url: to.url } })
      const { headDigest, stateRoots } = result
      expect(inspected).toMatchObject({ kmsKey: 'site-a', trusted: true, headDigest, stateRoots })
      const verified = await verifyBundle({ input, keyFiles: [], kes, store: { url: to.url } })
      expect(verified).toMatchObject({ ok: true, problems: [], kmsKey: 'site-a', stateRoots })
      const { collections } = await importBundle({ url: to.url, input, kes })
      expect(collections).toMatchObject([{ name: 'docs', after: stateRoots.docs, inserted: 40 }])
      expect(await answers(to)).toEqual(await answers(from))
      const replay = await replayBundle({ url: to.url, input, kes })
      expect(replay.stateRoot).toBe(stateRoots.docs)
      const [entry] = await exportsOf(from.url)
      expect(entry?.details).toMatchObject({ kmsKey: 'site-a' })
    })

    it('goes over a stream, and is the base of a delta', async () => {
      const { from, to, folder, path, kes } = await carried()
      await take(from, folder, 'more', lines('s', 5))
      const pieces: Uint8Array[] = []
      const delta = await exportBundle({
        url: from.url,
        collections: ['docs'],
        output: { write: async (bytes) => void pieces.push(Uint8Array.from(bytes)) },
        ...{ key: 'default', passphrase: noPassphrase, since: path, kes, kmsKey: 'site-b' },
      })
      const whole = Buffer.concat(pieces)
      expect([delta.bytes, delta.kmsKey, delta.path]).toEqual([whole.length, 'site-b', '-'])
      await importBundle({ url: to.url, input: { path }, kes })
      const stream = async function* () {
        for (let at = 0; at < whole.length; at += 1_000) yield whole.subarray(at, at + 1_000)
      }
      await importBundle({ url: to.url, input: { name: 'stdin', stream: stream() }, kes })
      expect(await answers(to)).toEqual(await answers(from))
    })

    it('mends a store', async () => {
      const { from, path, kes } = await carried()
      const { url } = from
      await from.close()
      const [blob] = (await readdir(join(url, 'blobs'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
      await damaged(blob ?? '', 70, `${blob}.bad`)
      await rename(`${blob}.bad`, blob ?? '')
      await using store = await openStore({ url, mode: 'write' })
      const without = repairFrom(store, { from: path })
      await expect(without).rejects.toMatchObject({ code: 'AUTH', exitCode: 23 })
      expect((await repairFrom(store, { from: path, kes })).missing).toEqual([])
      expect((await store.check({ readData: true })).problems).toEqual([])
    })

    it('is refused without its key server, and by every wrong one', async () => {
      const { to, path, kes } = await carried()
      const take = (access?: object) =>
        importBundle({ url: to.url, input: { path }, ...(access ? { kes: access } : {}) })
      const unnamed = await take().catch((error: unknown) => error)
      expect(unnamed).toMatchObject({ code: 'AUTH', exitCode: 23, details: { keyId: 'site-a' } })
      expect(unnamed).toMatchObject({ hint: expect.stringContaining('--kes-endpoint') })
      await expect(take(accessOf(stranger))).rejects.toMatchObject({ code: 'AUTH' })
      server.keys.set('site-a', Buffer.alloc(32, 7))
      await expect(take(kes)).rejects.toMatchObject({ code: 'INTEGRITY', exitCode: 24 })
      server.keys.delete('site-a')
      const gone = await take(kes).catch((error: unknown) => error)
      expect(gone).toMatchObject({ code: 'NOT_FOUND', exitCode: 21 })
      expect((gone as { hint: string }).hint).not.toContain('create-key')
      await server.close()
      await expect(take(kes)).rejects.toMatchObject({ code: 'UNREACHABLE', exitCode: 25 })
      expect(await to.list()).toEqual([])
    })

    it('that was damaged, cut or extended leaves nothing visible', async () => {
      const { to, folder, path, kes } = await carried()
      const bytes = await readFile(path)
      const bad = join(folder, 'bad.akipkg')
      const takeBad = () => importBundle({ url: to.url, input: { path: bad }, kes })
      for (let i = 1; i <= 12; i++) {
        await damaged(path, Math.floor(((bytes.length - 1) / 12) * i), bad)
        await expect(takeBad(), `part ${i}`).rejects.toMatchObject({ exitCode: 24 })
        expect(await to.list()).toEqual([])
      }
      const others = [bytes.subarray(0, -1), bytes.subarray(0, bytes.length / 2)]
      for (const other of [...others, Buffer.concat([bytes, Buffer.alloc(1)])]) {
        await writeFile(bad, other)
        await expect(takeBad()).rejects.toMatchObject({ code: 'INTEGRITY' })
        expect(await to.list()).toEqual([])
      }
      await importBundle({ url: to.url, input: { path }, kes })
    })

    it('is not begun without a key, and leaves no file where it fails', async () => {
      const sites = await twoSites()
      const failing = seal(sites, { kmsKey: 'none' })
      await expect(failing).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const { url } = sites.from
      const noKes = exportBundle({
        ...{ url, collections: ['docs'], key: 'default', passphrase: noPassphrase },
        ...{ output: { path: join(sites.folder, 'x.akipkg'), force: false }, kmsKey: 'site-a' },
      })
      await expect(noKes).rejects.toMatchObject({ code: 'USAGE' })
      expect((await readdir(sites.folder)).filter((name) => name.includes('akipkg'))).toEqual([])
      expect(await exportsOf(url)).toEqual([])
    })
  })

  describe('kmsRewrap', () => {
    it('moves a bundle to another key, without a byte of what is in it', async () => {
      const { to, folder, path, kes } = await carried()
      const moved = join(folder, 'moved.akipkg')
      const output = { path: moved, force: false }
      const result = await kmsRewrap({ ...kes, input: { path }, output, id: 'site-b' })
      const [before, after] = [await readFile(path), await readFile(moved)]
      expect(result).toEqual({
        ...{ path: moved, bytes: after.length, from: 'site-a', to: 'site-b', endpoint: server.url },
      })
      expect(after.length).toBe(before.length)
      expect(after.subarray(0, 112).equals(before.subarray(0, 112))).toBe(true)
      const chunks = before.length - 300
      expect(after.subarray(-chunks).equals(before.subarray(-chunks))).toBe(true)
      server.keys.delete('site-a')
      const input = { path: moved }
      expect((await importBundle({ url: to.url, input, kes })).collections).toHaveLength(1)
      const exists = kmsRewrap({ ...kes, input, output, id: 'site-b' })
      await expect(exists).rejects.toMatchObject({ code: 'EXISTS' })
    })

    it('replaces a bundle in its place, whole or not at all', async () => {
      const { to, path, kes } = await carried()
      const output = { path, force: true }
      const before = await readFile(path)
      const input = { path }
      const lost = kmsRewrap({ ...kes, input, output, id: 'none' })
      await expect(lost).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect((await readFile(path)).equals(before)).toBe(true)
      await kmsRewrap({ ...kes, input, output, id: 'site-b' })
      server.keys.delete('site-a')
      const verified = await verifyBundle({ input, keyFiles: [], kes, store: { url: to.url } })
      expect(verified).toMatchObject({ ok: true, kmsKey: 'site-b' })
    })

    it('refuses what is not encrypted, or does not hold', async () => {
      const { folder, path, kes } = await carried()
      const output = { path: join(folder, 'out'), force: false }
      const plain = join(folder, 'plain')
      await writeFile(plain, 'HEAD.json')
      const anew = (input: { path: string }) => kmsRewrap({ ...kes, input, output, id: 'site-b' })
      await expect(anew({ path: plain })).rejects.toMatchObject({ code: 'BAD_INPUT' })
      await expect(anew({ path: await damaged(path, 90, plain) })).rejects.toMatchObject({
        code: 'INTEGRITY',
      })
      expect(await readdir(folder)).not.toContain('out')
    })

    it('stands in the audit log of a store, as kmsCreateKey does', async () => {
      const { from, folder, path, kes } = await carried()
      const store = { url: from.url }
      const output = { path: join(folder, 'moved'), force: false }
      await kmsCreateKey({ ...kes, id: 'site-c', store })
      await kmsRewrap({ ...kes, input: { path }, output, id: 'site-c', store })
      const again = kmsCreateKey({ ...kes, id: 'site-c', store })
      await expect(again).rejects.toMatchObject({ code: 'EXISTS' })
      const told = (await entriesOf(from.url)).filter(({ act }) => act.startsWith('kms.'))
      expect(told.map(({ act, phase, details }) => [act, phase, details])).toEqual([
        ['kms.create-key', 'intent', { id: 'site-c', endpoint: server.url }],
        ['kms.create-key', 'outcome', { result: 'done' }],
        [
          'kms.rewrap',
          'intent',
          { bundle: 'docs.akipkg', from: 'site-a', to: 'site-c', endpoint: server.url },
        ],
        ['kms.rewrap', 'outcome', { result: 'done' }],
        ['kms.create-key', 'intent', { id: 'site-c', endpoint: server.url }],
        ['kms.create-key', 'outcome', { result: 'aborted', code: 'EXISTS' }],
      ])
      const nowhere = { url: join(folder, 'no-store') }
      await kmsCreateKey({ ...kes, id: 'site-d', store: nowhere })
      expect(await readdir(folder)).not.toContain('no-store')
    })
  })
})

const entriesOf = (url: string) => Array.fromAsync(auditEntries({ url }))

const exportsOf = async (url: string) =>
  (await entriesOf(url)).filter(({ act, phase }) => act === 'export' && phase === 'intent')
