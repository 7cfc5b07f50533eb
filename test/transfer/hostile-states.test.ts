import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { initStore } from '../../src/db/open/init.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import { importBundle, replayBundle, verifyBundle } from '../../src/index.ts'
import { lines } from '../support/temp-store.ts'
import { type Lie, lyingBundle } from './lying-site.ts'
import { pack, take, trusts, twoSites, unpack } from './sites.ts'
import { changed, MISFITTING, MISSHAPEN, ROWS, segment, state } from './state-lies.ts'

const packBytesMax = limits.packBytesMax

interface Place {
  readonly folder: string
  readonly from: OpenedStore
  readonly to: OpenedStore
}

/** Two stores; the second trusts the key of the first. */
async function place(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'akidb-hostile-'))
  const [from, to] = [join(folder, 'from'), join(folder, 'to')]
  await initStore({ url: from })
  await initStore({ url: to })
  const stores = {
    folder,
    from: await openStore({ url: from, mode: 'write' }),
    to: await openStore({ url: to, mode: 'write' }),
  }
  await take(stores.from, folder, 'a', lines('r', ROWS))
  await trusts(stores.to, stores.from, folder)
  return stores
}

async function leave({ folder, from, to }: Place): Promise<void> {
  await from.close()
  await to.close()
  rmSync(folder, { recursive: true, force: true })
}

/** Keys of the store under a prefix. */
async function keysIn({ environment }: OpenedStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of environment.store.list(prefix)) keys.push(key)
  return keys
}

describe.each([
  ['one blob a segment', packBytesMax],
  ['a blob of its own for each role', 1],
])('a trusted site that lies, with %s,', (_, bytesMax) => {
  let at: Place
  beforeAll(async () => {
    Object.assign(limits, { packBytesMax: bytesMax })
    at = await place()
  })
  afterAll(async () => {
    Object.assign(limits, { packBytesMax })
    await leave(at)
  })

  async function refused(path: string, what: RegExp): Promise<Record<string, unknown>> {
    const { to } = at
    const request = { url: to.url, input: { path } }
    const error = await importBundle(request).then(
      () => expect.fail('it was imported'),
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({
      code: 'INTEGRITY',
      exitCode: 24,
      message: expect.stringMatching(what),
      hint: expect.any(String),
    })
    await expect(replayBundle(request)).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringMatching(what),
    })
    expect(await to.list()).toEqual([])
    expect(await to.list({ replays: true })).toEqual([])
    expect(await keysIn(to, 'collections/')).toEqual([])
    expect(await keysIn(to, 'replays/')).toEqual([])
    expect(await keysIn(to, 'pins/')).toEqual([])
    return (error as { details: Record<string, unknown> }).details
  }

  it('is believed where it says the truth', async () => {
    const there = await place()
    try {
      const path = await lyingBundle(there.from, there.folder, {
        docs: ({ state: s }) => ({ state: s }),
      })
      await importBundle({ url: there.to.url, input: { path } })
      await replayBundle({ url: there.to.url, input: { path } })
      expect((await there.to.list()).map(({ count }) => count)).toEqual([ROWS])
      expect((await there.to.check({ readData: true })).problems).toEqual([])
    } finally {
      await leave(there)
    }
  })

  it.each(MISSHAPEN)('about %s is refused, and its state is named', async (_name, liar, what) => {
    const path = await lyingBundle(at.from, at.folder, { docs: liar })
    const { problems } = await refused(path, what)
    const checked = await verifyBundle({
      input: { path },
      keyFiles: [],
      store: { url: at.to.url },
    })
    expect(checked).toMatchObject({ ok: false, problems })
    expect(checked.problems[0]?.member).toMatch(/^states\//)
  })

  it.each(MISFITTING)('about %s is refused, and the part is named', async (_name, liar, what) => {
    const path = await lyingBundle(at.from, at.folder, { docs: liar })
    const { problems } = await refused(path, what)
    expect(problems).toContainEqual({
      code: 'INTEGRITY',
      key: expect.any(String),
      message: expect.stringMatching(what),
    })
  })

  it('about several things has each of them named', async () => {
    const path = await lyingBundle(at.from, at.folder, {
      docs: async (truth): Promise<Lie> => {
        const origin = await changed(truth, 'orgsrc', (bytes) => bytes.writeUInt32LE(1, 4))
        const entry = await truth.with('origin', { orgsrc: origin })
        const payloadBytes = entry.payloadBytes + 1
        return { state: { ...truth.state, sources: [], segments: [{ ...entry, payloadBytes }] } }
      },
    })
    const { problems } = await refused(path, /names source 0.*\(and 2 more\)/)
    expect(problems).toHaveLength(3)
  })
})

describe('a bundle of which a part is a lie', () => {
  it('shows nothing of its other collections either', async () => {
    const { from, to, folder } = await twoSites()
    await take(from, folder, 'b', lines('s', 3), 'lies')
    const path = await lyingBundle(from, folder, {
      docs: ({ state: s }) => ({ state: s }),
      lies: segment((entry) => ({ payloadBytes: entry.payloadBytes + 1 })),
    })
    const request = { url: to.url, input: { path } }
    await expect(importBundle(request)).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(replayBundle(request)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await to.list()).toEqual([])
    expect(await to.list({ replays: true })).toEqual([])
  })

  it('names the states of all collections that are misshapen', async () => {
    const { from, to, folder } = await twoSites()
    await take(from, folder, 'b', lines('s', 3), 'more')
    const lie = state(() => ({ nextSegment: 0 }))
    const path = await lyingBundle(from, folder, { docs: lie, more: lie })
    const store = { url: to.url }
    const { problems } = await verifyBundle({ input: { path }, keyFiles: [], store })
    const named = problems.filter(({ member }) => member.startsWith('states/'))
    expect(new Set(named.map(({ member }) => member)).size).toBe(2)
    await expect(unpack(to, path)).rejects.toMatchObject({ details: { problems } })
  })

  it('leaves a collection as it was, and open to what its origin says next', async () => {
    const { from, to, folder } = await twoSites()
    await unpack(to, (await pack(from, folder, 'first')).path)
    const before = await to.list()
    await take(from, folder, 'b', lines('s', 5))
    const honest = await pack(from, folder, 'second')
    const lies = await lyingBundle(from, folder, { docs: state(() => ({ sources: [] })) })
    await expect(unpack(to, lies)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await to.list()).toEqual(before)
    expect((await to.check({ readData: true })).problems).toEqual([])
    // Its sequence is lower than the lie's, which was not taken.
    await unpack(to, honest.path)
    expect((await to.list()).map(({ count }) => count)).toEqual([ROWS + 5])
  })

  it('is refused where it holds one collection under two names', async () => {
    const { from, to, folder } = await twoSites()
    await take(from, folder, 'b', lines('s', 3), 'more')
    const { collection: id } = (await from.core('docs').head()).commit
    const path = await lyingBundle(from, folder, {
      docs: ({ state: s }) => ({ state: s }),
      more: ({ state: s }) => ({ state: s, head: { id } }),
    })
    await expect(unpack(to, path)).rejects.toMatchObject({ code: 'INTEGRITY', exitCode: 24 })
    expect(await to.list()).toEqual([])
  })
})
