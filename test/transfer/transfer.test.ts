import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { manifestKeyIn } from '../../src/db/states/manifest-store.ts'
import { replayFolder } from '../../src/db/states/replays.ts'
import { exportBundle, replayBundle, verifyBundle } from '../../src/index.ts'
import { lines, tempStore } from '../support/temp-store.ts'
import { answers, damaged, noPassphrase, pack, reopened, take, twoSites, unpack } from './sites.ts'

describe('a bundle', () => {
  it('carries a collection to another store, with the same answers', async () => {
    const { from, to, folder } = await twoSites()
    await (await from.collection('docs')).delete({ ids: ['r4'] })
    await (await from.collection('docs')).upsert([
      { id: 'log', vector: Float32Array.of(1, 9, 0.5, -1), payload: { tag: 'odd' } },
    ])
    const { path, result } = await pack(from, folder, 'full')
    const verified = await verifyBundle({ input: { path }, keyFiles: [], store: { url: to.url } })
    expect(verified).toMatchObject({ ok: true, problems: [], stateRoots: result.stateRoots })
    const imported = await unpack(to, path)
    expect(imported.collections).toEqual([
      { name: 'docs', before: null, after: result.stateRoots.docs, inserted: 40, deleted: 0 },
    ])
    expect(await answers(to)).toEqual(await answers(from))
    expect((await to.check({ readData: true })).problems).toEqual([])
  })

  it('imported again changes nothing', async () => {
    const { from, to, folder } = await twoSites()
    const { path } = await pack(from, folder, 'full')
    await unpack(to, path)
    const before = await (await to.collection('docs')).info()
    const again = await unpack(to, path)
    expect(again.collections).toMatchObject([{ inserted: 0, deleted: 0, before: before.stateRoot }])
    expect(again.blobs.copied).toBe(0)
    expect(await (await to.collection('docs')).info()).toEqual(before)
  })

  it('tried with -n changes nothing', async () => {
    const { from, to, folder } = await twoSites()
    const { path } = await pack(from, folder, 'full')
    const tried = await unpack(to, path, { dryRun: true })
    expect(tried.collections).toMatchObject([{ name: 'docs', before: null, inserted: 40 }])
    expect(await to.list()).toEqual([])
    expect(await readdir(to.url)).not.toContain('blobs')
  })

  it('of an unknown key is UNTRUSTED, and nothing of it is visible', async () => {
    const { from, folder } = await twoSites()
    const stranger = await tempStore()
    const { path } = await pack(from, folder, 'full')
    const failure = { code: 'UNTRUSTED', exitCode: 24 }
    await expect(unpack(stranger, path)).rejects.toMatchObject(failure)
    await expect(replayBundle({ url: stranger.url, input: { path } })).rejects.toMatchObject(
      failure,
    )
    const verified = await verifyBundle({ input: { path }, keyFiles: [] })
    expect(verified).toMatchObject({ ok: false, problems: [{ code: 'UNTRUSTED' }] })
    expect(await stranger.list()).toEqual([])
    expect(await stranger.list({ replays: true })).toEqual([])
  })

  it('that is damaged anywhere is refused, and nothing of it is visible', async () => {
    const { from, to, folder } = await twoSites()
    const { path, result } = await pack(from, folder, 'full')
    for (let i = 0; i < 12; i++) {
      const offset = Math.floor((result.bytes / 12) * i)
      const bad = await damaged(path, offset, join(folder, 'bad.akipkg'))
      const failure = await unpack(to, bad).catch((error: unknown) => error)
      expect(failure, `offset ${offset}`).toMatchObject({ exitCode: 24 })
      expect(await to.list()).toEqual([])
    }
    const whole = await readFile(path)
    await writeFile(join(folder, 'short.akipkg'), whole.subarray(0, whole.length - 600))
    await expect(unpack(to, join(folder, 'short.akipkg'))).rejects.toMatchObject({ exitCode: 24 })
    await unpack(to, path)
    expect(await answers(to)).toEqual(await answers(from))
  })

  it('holds several collections at once', async () => {
    const { from, to, folder } = await twoSites()
    await take(from, folder, 'b', lines('b', 5), 'more')
    const { path } = await pack(from, folder, 'both', { collections: ['docs', 'more', 'docs'] })
    await expect(unpack(to, path, { as: 'other' })).rejects.toMatchObject({ code: 'USAGE' })
    const { collections } = await unpack(to, path)
    expect(collections.map(({ name, inserted }) => [name, inserted])).toEqual([
      ['docs', 40],
      ['more', 5],
    ])
    expect(await answers(to)).toEqual(await answers(from))
  })

  it('can be of a snapshot, and goes over a stream', async () => {
    const { from, to, folder } = await twoSites()
    const { stateRoot } = await (await from.collection('docs')).snapshots.create('friday')
    await take(from, folder, 'b', lines('s', 5))
    const pieces: Uint8Array[] = []
    const { stateRoots, path } = await exportBundle({
      url: from.url,
      collections: ['docs'],
      snapshot: 'friday',
      output: { write: async (bytes) => void pieces.push(Uint8Array.from(bytes)) },
      key: 'default',
      passphrase: noPassphrase,
    })
    expect([stateRoots.docs, path]).toEqual([stateRoot, '-'])
    await writeFile(join(folder, 'streamed.akipkg'), Buffer.concat(pieces))
    await unpack(to, join(folder, 'streamed.akipkg'))
    expect((await (await to.collection('docs')).info()).count).toBe(40)
  })
})

describe('an export', () => {
  it('refuses a file that exists, a collection, snapshot or key that does not', async () => {
    const { from, folder } = await twoSites()
    await pack(from, folder, 'full')
    await expect(pack(from, folder, 'full')).rejects.toMatchObject({ code: 'EXISTS' })
    const none = { code: 'NOT_FOUND' }
    await expect(pack(from, folder, 'x', { collections: ['no'] })).rejects.toMatchObject(none)
    await expect(pack(from, folder, 'x', { snapshot: 'no' })).rejects.toMatchObject(none)
    await expect(
      pack(from, folder, 'x', { since: 'last', collections: ['no'] }),
    ).rejects.toMatchObject(none)
    await expect(pack(from, folder, 'x', { since: '0'.repeat(64) })).rejects.toMatchObject(none)
    await expect(pack(from, folder, 'x', { collections: [] })).rejects.toMatchObject({
      code: 'USAGE',
    })
    expect((await readdir(folder)).filter((name) => /akipkg/.test(name))).toEqual(['full.akipkg'])
  })

  it('of a damaged blob is INTEGRITY and leaves no file', async () => {
    const { from, folder } = await twoSites()
    const blobs = join(from.url, 'blobs')
    const [name = ''] = (await readdir(blobs, { recursive: true })).filter((path) =>
      /[0-9a-f]{64}$/.test(path),
    )
    const store = await reopened(from)
    const path = join(blobs, name)
    const bytes = await readFile(path)
    bytes[200] = (bytes[200] ?? 0) ^ 1
    await chmod(path, 0o600)
    await writeFile(path, bytes)
    await expect(pack(store, folder, 'bad')).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect((await readdir(folder)).filter((entry) => /akipkg|tmp/.test(entry))).toEqual([])
  })

  it('that is aborted leaves no file', async () => {
    const { from, folder } = await twoSites()
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(pack(from, folder, 'x', { signal })).rejects.toThrow('stopped')
    expect((await readdir(folder)).filter((entry) => /akipkg|tmp/.test(entry))).toEqual([])
  })
})

describe('an imported collection', () => {
  it('follows its origin: changing it here is a CONFLICT, until it diverges', async () => {
    const { from, to, folder } = await twoSites()
    const { path } = await pack(from, folder, 'full')
    await unpack(to, path)
    const docs = await to.collection('docs')
    expect((await docs.info()).following).toMatch(/^[0-9a-f]{64}$/)
    await writeFile(join(folder, 'more.jsonl'), lines('x', 1))
    for (const change of [
      () => docs.upsert([{ id: 'a', vector: Float32Array.of(1, 2, 3, 4) }]),
      () => docs.delete({ ids: ['r1'] }),
      () => docs.ingest({ inputs: [join(folder, 'more.jsonl')] }),
      () => docs.revert('1'),
    ]) {
      await expect(change()).rejects.toMatchObject({
        code: 'CONFLICT',
        exitCode: 22,
        hint: expect.stringContaining('--diverge'),
      })
    }
    await unpack(to, path, { diverge: true })
    expect(await docs.delete({ ids: ['r1'] })).toEqual({ deleted: 1 })
    await take(from, folder, 'b', lines('s', 1))
    const next = await pack(from, folder, 'next')
    await expect(unpack(to, next.path)).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('advances with a newer bundle under its name, and never goes back', async () => {
    const { from, to, folder } = await twoSites()
    const first = await pack(from, folder, 'first')
    await unpack(to, first.path, { as: 'papers' })
    await take(from, folder, 'b', lines('s', 5) + lines('r', 2))
    await (await from.collection('docs')).delete({ ids: ['r9'] })
    const second = await pack(from, folder, 'second')
    expect((await unpack(to, second.path)).collections).toMatchObject([
      { name: 'papers', before: first.result.stateRoots.docs, inserted: 5, deleted: 1 },
    ])
    expect(await answers(to, 'papers')).toEqual(await answers(from))
    await expect(unpack(to, first.path)).rejects.toMatchObject({ code: 'ROLLBACK', exitCode: 24 })
    await expect(unpack(to, second.path, { as: 'third' })).rejects.toMatchObject({ code: 'EXISTS' })
    expect(await answers(to, 'papers')).toEqual(await answers(from))
  })

  it('does not take the name of another collection', async () => {
    const { from, to, folder } = await twoSites()
    await to.createCollection('Docs', { dimension: 9 })
    const { path } = await pack(from, folder, 'full')
    await expect(unpack(to, path)).rejects.toMatchObject({
      code: 'EXISTS',
      hint: expect.stringContaining('--as'),
    })
    await expect(unpack(to, path, { as: 'a/b' })).rejects.toMatchObject({ code: 'USAGE' })
    await unpack(to, path, { as: 'theirs' })
    expect(await answers(to, 'theirs')).toEqual(await answers(from))
  })
})

describe('a delta', () => {
  it('carries only what is new, on top of its base', async () => {
    const { from, to, folder } = await twoSites()
    const full = await pack(from, folder, 'full')
    await unpack(to, full.path)
    await take(from, folder, 'b', lines('s', 5))
    const bases = { last: 'last', root: full.result.stateRoots.docs ?? '', bundle: full.path }
    for (const [name, since] of Object.entries(bases)) {
      const delta = await pack(from, folder, name, { since })
      expect(delta.result.baseStateRoots, name).toEqual(full.result.stateRoots)
      expect(delta.result.bytes, name).toBeLessThan(full.result.bytes)
      await unpack(to, delta.path)
      expect(await answers(to), name).toEqual(await answers(from))
    }
  })

  it('without its base is NOT_FOUND, and says which one', async () => {
    const { from, to, folder } = await twoSites()
    const full = await pack(from, folder, 'full')
    await take(from, folder, 'b', lines('s', 5))
    const delta = await pack(from, folder, 'delta', { since: 'last' })
    for (const dryRun of [true, false]) {
      await expect(unpack(to, delta.path, { dryRun })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining(full.result.stateRoots.docs ?? 'a root'),
      })
    }
    expect(await to.list()).toEqual([])
    await unpack(to, full.path)
    await unpack(to, delta.path)
    expect(await answers(to)).toEqual(await answers(from))
  })
})

describe('a replay', () => {
  it('opens any state beside the current one, read only, until it is dropped', async () => {
    const { from, to, folder } = await twoSites()
    const old = await pack(from, folder, 'old')
    const oldAnswers = await answers(from)
    await take(from, folder, 'b', lines('s', 5))
    await unpack(to, (await pack(from, folder, 'new')).path)
    await expect(unpack(to, old.path)).rejects.toMatchObject({ code: 'ROLLBACK' })
    const replay = await replayBundle({ url: to.url, input: { path: old.path } })
    expect(replay.name).toBe(`docs@${old.result.headDigest.slice(0, 12)}`)
    expect(await answers(to, replay.name)).toEqual(oldAnswers)
    expect(await replayBundle({ url: to.url, input: { path: old.path } })).toEqual(replay)
    expect((await to.list({ replays: true })).map(({ collection }) => collection)).toEqual([
      replay.name,
    ])
    expect((await to.list()).map(({ collection }) => collection)).toEqual(['docs'])
    const docs = await to.collection(replay.name)
    await expect(docs.delete({ ids: ['r1'] })).rejects.toMatchObject({ code: 'AUTH' })
    await expect(docs.snapshots.create('x')).rejects.toMatchObject({ code: 'AUTH' })
    expect(await to.drop(replay.name)).toEqual({ rows: 40 })
    expect(await to.list({ replays: true })).toEqual([])
    await expect(to.collection(replay.name)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(dirname(old.path)).toBe(folder)
  })

  it('checks out, however often it was opened and dropped', async () => {
    const { from, to, folder } = await twoSites()
    const input = { path: (await pack(from, folder, 'full')).path }
    const { name } = await replayBundle({ url: to.url, input })
    await replayBundle({ url: to.url, input })
    expect((await to.check()).problems).toEqual([])
    await to.drop(name)
    await replayBundle({ url: to.url, input })
    expect((await to.check()).problems).toEqual([])
    expect(await answers(to, name)).toEqual(await answers(from))
  })

  it.each(['garbage', 'another state'])('mends what it finds damaged: %s', async (kind) => {
    const { from, to, folder } = await twoSites()
    const input = { path: (await pack(from, folder, 'full')).path }
    const { name } = await replayBundle({ url: to.url, input })
    const [, head = ''] = name.split('@')
    const path = join(to.url, manifestKeyIn(replayFolder({ name: 'docs', head }), 1))
    const whole = await readFile(path, 'utf8')
    // As somebody would who may write to the folder: fewer rows than the bundle says.
    const other = whole.replace('"inserted":40', '"inserted":39')
    expect(other).not.toBe(whole)
    await writeFile(path, kind === 'garbage' ? 'garbage' : other)
    expect((await to.check()).problems).toMatchObject([{ code: 'INTEGRITY' }])
    await replayBundle({ url: to.url, input })
    const again = await reopened(to)
    expect((await again.check()).problems).toEqual([])
    expect(await answers(again, name)).toEqual(await answers(from))
  })
})
