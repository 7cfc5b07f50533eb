import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { createCollection, dropCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { runAct } from '../../src/db/states/acts.ts'
import { commitManifest } from '../../src/db/states/commit.ts'
import { outboxLogs } from '../../src/db/wal/outbox.ts'
import { unsentFiles, unsentRows } from '../../src/db/wal/outbox-settle.ts'
import { OwnerHost } from '../../src/db/wal/owner-host.ts'
import { takeLogOver } from '../../src/db/wal/takeover.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { Manifest } from '../../src/format/manifest.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { gate, keptAt, NAME, own, row, turns, twoMachines } from '../support/local-owner.ts'
import { idsOf, ingestRows, recordsOf } from '../support/records.ts'

// What must not happen to rows that are acknowledged in the state folder.

const kept = (id: string) => `{"id":"${id}","payload":{"n":0}}`

/**
 * An owner whose collection is dropped by another machine between its writes of x and y, and made
 * anew there at once, or when `recreate` is called.
 */
async function writtenAroundDrop(isAnew: boolean) {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('x')])
  await turns()
  const recreate = () => createCollection(b.start().core(NAME), {})
  await dropCollection(b.start().core(NAME))
  if (isAnew) await recreate()
  // Sooner than it looks again.
  await first.log.write([row('y')])
  await turns()
  return { a, first, recreate }
}

it('keeps what it sent to the log of a collection that was dropped just before', async () => {
  const { a, first } = await writtenAroundDrop(false)
  expect(await first.log.fold()).toBe('gone')
  expect(await keptAt(a)).toEqual([kept('y')])
  await first.owner.close()
})

it('the same where it was killed, and the collection is there anew', async () => {
  const { a, first } = await writtenAroundDrop(true)
  first.process.kill()
  await own(a)
  expect(await keptAt(a)).toEqual([kept('y')])
})

it('the same where it ended while the bucket was away', async () => {
  const { a, first, recreate } = await writtenAroundDrop(false)
  first.link.cut(true)
  await first.owner.close().catch(() => undefined)
  first.process.kill()
  await recreate()
  await own(a)
  expect(await keptAt(a)).toEqual([kept('y')])
})

it('keeps what another machine dropped without it, although a command here had seen', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x')])
  first.process.kill()
  await ingestRows(a.start().core(NAME), [{ id: 'b' }])
  await dropCollection(b.start().core(NAME))
  await createCollection(b.start().core(NAME), {})
  await own(a)
  expect(await keptAt(a)).toEqual([kept('x')])
})

it('keeps a write that is under way while its owner ends', async () => {
  for (const phase of ['before', 'after'] as const) {
    const [a, b] = await twoMachines()
    const stop = gate('append', phase, /^outbox\//)
    const first = await own(a, stop.hook)
    stop.arm()
    const written = first.log.write([row('x')]).then(
      () => 'acknowledged',
      () => 'failed',
    )
    await stop.isReached()
    const closed = first.owner.close().catch(() => undefined)
    await turns()
    stop.open()
    await closed
    if ((await written) === 'failed') continue
    await (await own(a)).owner.close()
    expect(await idsOf(b.start().core(NAME)), phase).toEqual(['x'])
  }
})

it('takes no write any more when its owner has ended', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.owner.close()
  const next = await own(a)
  await expect(first.log.write([row('x')])).rejects.toMatchObject({ code: 'CONFLICT' })
  await next.owner.close()
  expect(await idsOf(b.start().core(NAME))).toEqual([])
})

it('keeps writes to a collection that was re-created while the new one is taken over', async () => {
  const [a, b] = await twoMachines()
  const stop = gate('delete', 'before', /^outbox\/.*-\d{20}$/)
  const first = await own(a, stop.hook)
  await first.log.write([row('x')])
  await turns()
  first.link.cut(true)
  await first.log.write([row('y')])
  first.link.cut(false)
  await dropCollection(b.start().core(NAME))
  await createCollection(b.start().core(NAME), {})
  stop.arm()
  // As a command does that wants all rows committed.
  const flushed = first.owner.flush(first.core)
  await Promise.race([stop.isReached(), flushed.catch(() => undefined)])
  const written = await Promise.race([
    first.log.write([row('z')]).then(
      () => 'acknowledged',
      () => 'failed',
    ),
    turns(80).then(() => 'waits'),
  ])
  stop.open()
  await flushed.catch(() => undefined)
  await first.owner.close().catch(() => undefined)
  await (await own(a)).owner.close()
  const kept = (await keptAt(a)).join('\n')
  if (written === 'acknowledged') expect(kept).toContain('"z"')
  expect(kept).toContain('"y"')
})

it('believes no mark of which a digit is another one', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('sent')])
  await turns()
  first.link.cut(true)
  await first.log.write([row('x')])
  first.process.kill()
  const keys = (await Array.fromAsync(a.state.list('outbox/'))).map(({ key }) => key)
  const mark = keys.find((key) => key.endsWith('.json')) ?? ''
  const text = Buffer.from(await a.state.get(mark)).toString('utf8')
  const wrong = text.replace(/"sent":/, '"sent":9')
  expect(wrong).not.toBe(text)
  await a.state.put(mark, Buffer.from(wrong), { mode: 'replace' })
  await (await own(b)).owner.close()
  await own(a)
  expect((await keptAt(a)).join('\n')).toContain('"x"')
})

it('passes over what is none of its files', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  const [{ collection = '', epoch = 0 } = {}] = [
    { collection: (await first.core.head()).commit.collection, epoch: 1 },
  ]
  const folder = `outbox/${NAME}/${collection}/${String(epoch).padStart(20, '0')}`
  const at = (folder: string) => `${folder}-${'9'.repeat(20)}`
  for (const key of [
    `${folder}-junk`,
    `${folder}-${'0'.repeat(19)}`,
    at(folder),
    `outbox/${NAME}/${collection}/${'9'.repeat(20)}-${'9'.repeat(20)}`,
    `outbox/a@b=c+/${collection}/${'0'.repeat(20)}-${'0'.repeat(20)}`,
    `outbox/.hidden/${collection}/${'0'.repeat(20)}.json`,
    `outbox/docs@0123456789ab/${collection}/${'0'.repeat(20)}.json`,
    'outbox/junk',
  ]) {
    await a.state.put(key, Buffer.from('junk'))
  }
  await first.log.write([row('x')])
  await ingestRows(first.core, [{ id: 'b' }])
  await first.owner.fold()
  first.process.kill()
  const next = await own(a)
  await next.owner.close()
  expect(await idsOf(b.start().core(NAME))).toEqual(['b', 'x'])
  expect((await outboxLogs(a.state)).map(({ name }) => name)).not.toContain('a@b=c+')
})

/** A state folder in which something happens at the first read of a group. */
function stateWith(state: ObjectStore, happen: () => Promise<void>): ObjectStore {
  let isDue = true
  return new Proxy(state, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (name !== 'get') return value.bind(target)
      return async (...args: unknown[]) => {
        if (isDue && /-\d{20}$/.test(String(args[0]))) {
          isDue = false
          await happen()
        }
        return await value.apply(target, args)
      }
    },
  })
}

it('raises no alarm where an owner commits while somebody looks', async () => {
  const [a] = await twoMachines()
  const stop = gate('put', 'before', /\/manifests\//)
  const first = await own(a, stop.hook)
  const { environment, core } = a.start({ mode: 'read' })
  const foldAround = async (...ids: string[]): Promise<void> => {
    stop.arm()
    const folded = first.log.fold()
    await stop.isReached()
    for (const id of ids) await first.log.write([row(id)])
    stop.open()
    await folded
  }
  await first.log.write([row('a')])
  await foldAround('b')
  await first.log.write([row('c')])
  const head = await core(NAME).head()
  // The piece that holds b goes, the one that holds c and d stays.
  const state = stateWith(environment.state, () => foldAround('d'))
  const found = await unsentRows({ ...environment, state }, new Map([[NAME, head]]))
  expect(found).toMatchObject([{ rows: 1 }])
  await first.owner.close()
})

it('keeps rows once, however often it fails to tell of them', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x')])
  first.process.kill()
  await (await own(b)).owner.close()
  for (let i = 0; i < 3; i++) {
    let isDue = true
    await own(a, ({ operation, phase, key }) => {
      if (phase !== 'before' || operation !== 'delete' || !key.startsWith('outbox/')) return
      if (isDue) {
        isDue = false
        throw new Error('not now')
      }
    }).catch(() => undefined)
    for (const name of ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9']) {
      a.locks.releaseAll(name)
    }
  }
  await own(a)
  expect(await unsentFiles(a)).toHaveLength(1)
})

it('a collection of garbage elsewhere keeps what decides about rows at risk', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  first.process.kill()
  // A command of this machine saw that row, and writes over it.
  await ingestRows(a.start().core(NAME), [{ id: 'x', n: 2 }])
  a.clock.advance(3 * 3_600_000)
  await collectGarbage(b.start().environment, { keepMs: 0 })
  await (await own(a)).owner.close()
  expect(await recordsOf(b.start().core(NAME))).toEqual([['x', '[["n",2]]']])
})

/** As an import does: the collection is another site's from now on. */
async function follow({ environment, manifests }: CollectionCore): Promise<void> {
  const digest = '5'.repeat(64)
  const origin = { headDigest: digest, logId: digest, epoch: 0, sequence: 1, keyId: digest }
  await runAct(environment, { act: 'import', collection: NAME }, async (act) => {
    const manifest = await commitManifest(environment, {
      manifests,
      name: NAME,
      lock: 'follow',
      kind: 'import',
      act,
      next: async (head) => ({
        state: (head as Manifest).state,
        changed: { inserted: 0, updated: 0, deleted: 0 },
        origin: { ...origin, committedAt: '2026-01-01T00:00:00.000Z' },
      }),
    })
    return { result: manifest, outcome: {} }
  })
}

it('tells of rows of a collection in whose place another one follows a site', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x')])
  first.process.kill()
  await dropCollection(b.start().core(NAME))
  await createCollection(b.start().core(NAME), {})
  await follow(b.start().core(NAME))
  await expect(own(a)).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await keptAt(a)).toEqual([kept('x')])
  expect(await unsentRows(a.start().environment, new Map())).toEqual([])
})

it('takes no other collection over than the one that is meant', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  const { collection } = (await first.core.head()).commit
  await first.owner.close()
  await dropCollection(b.start().core(NAME))
  await createCollection(b.start().core(NAME), {})
  const { commit } = await b.start().core(NAME).head()
  await expect(takeLogOver(a.start().core(NAME), collection)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining('another collection of that name'),
  })
  expect((await b.start().core(NAME).head()).commit.version).toBe(commit.version)
})

it('counts rows that it told of as at risk no more', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x')])
  expect(first.owner.unsent()).toMatchObject([{ rows: 1 }])
  await own(b)
  first.link.cut(false)
  expect(await first.log.fold()).toBe('replaced')
  expect(await keptAt(a)).toEqual([kept('x')])
  expect(first.owner.unsent()).toEqual([{ rows: 0, bytes: 0, sinceMs: 0 }])
})

it('lets no collection that cannot be written keep writes from the others', async () => {
  for (const code of ['LIMIT', 'FORMAT_VERSION'] as const) {
    const [a] = await twoMachines()
    const first = await own(a)
    first.link.cut(true)
    await first.log.write([row('x')])
    first.process.kill()
    const process = a.start()
    const core = process.core(NAME)
    core.manifests.newest = () => Promise.reject(new AkidbError(code, 'not by this version'))
    await using folder = await mkdtempDisposable(join(tmpdir(), 'akidb-owner-'))
    const cores = { core: process.core, withCore: () => Promise.reject(new Error('unused')) }
    const host = new OwnerHost({ ...process.environment, stateFolder: folder.path }, () => cores)
    await host.owner()
    expect(process.warnings).toMatchObject([{ code, message: expect.stringContaining(NAME) }])
    await host.close()
    expect((await unsentRows(a.start().environment, new Map()))[0]?.rows).toBe(1)
  }
})

it('names what lies among the claims of owners and is none', async () => {
  for (const name of ['0junk.json', `${'0'.repeat(20)}.json`, '0']) {
    const [a] = await twoMachines()
    const key = `collections/${NAME}/owner/${name}`
    await a.store.put(key, Buffer.from('{}'))
    await expect(own(a)).rejects.toMatchObject({ code: 'INTEGRITY', details: { key } })
  }
})

it('hears of a drop also after its clock was set back', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('x')])
  await turns()
  a.clock.advance(-7_200_000)
  await dropCollection(b.start().core(NAME))
  await first.log.write([row('y')])
  await turns()
  expect(first.log.knownHead).toBeUndefined()
  await first.owner.close()
  expect(await keptAt(a)).toEqual([kept('y')])
})

it('waits for no log that cannot be taken over now', async () => {
  const [a] = await twoMachines()
  const stop = gate('put', 'before', /\/other\/owner\//)
  const first = await own(a, stop.hook)
  const other = new CollectionCore({ environment: first.core.environment, name: 'other' })
  await createCollection(other, {})
  stop.arm()
  const taken = first.owner.log(other, await other.head())
  await stop.isReached()
  expect(first.owner.knownHead('other')).toBeUndefined()
  expect(first.owner.knownHead(NAME)).toBeDefined()
  expect(first.owner.unsent()).toHaveLength(1)
  stop.open()
  await taken
  expect(first.owner.unsent()).toHaveLength(2)
  await first.owner.close()
})
