import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { CondemnedList, closeStaleLists } from '../../src/db/gc/condemned-list.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { runAct } from '../../src/db/states/acts.ts'
import { commitManifest } from '../../src/db/states/commit.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { createWriterPin, livePins } from '../../src/db/states/pins.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { blobKey } from '../../src/format/blob.ts'
import type { DeleteOptions, ObjectStore } from '../../src/storage/object-store.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

// Collections of garbage in a store that machines share: lists, pins and ages, each on its own.

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const BLOB = Buffer.from('a blob that nobody names')
const DIGEST = sha256Hex(BLOB)

const newMachine = (): TestMachine => createTestMachine({ isShared: true })

/** A process whose store deletes blobs otherwise. */
function deletingSo(
  { environment }: { readonly environment: Environment },
  remove: (key: string, how: DeleteOptions) => Promise<boolean>,
): Environment {
  const { store } = environment
  const own: ObjectStore = new Proxy(store, {
    get: (target, name) => {
      if (name === 'delete') {
        return (key: string, how: DeleteOptions = {}) =>
          key.startsWith('blobs/') ? remove(key, how) : target.delete(key, how)
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { ...environment, store: own }
}

const listsOf = async ({ store }: TestMachine) => await Array.fromAsync(store.list('gc/'))

describe('the list of a collection of garbage', () => {
  it('is renewed as long as it deletes, for hours', async () => {
    const machine = newMachine()
    const list = await CondemnedList.open(machine.start().environment, [DIGEST])
    for (let i = 0; i < 60; i++) {
      await machine.store.put(`blobs/${i}`, BLOB)
      machine.clock.advance(4 * MINUTE_MS)
      expect(await list.delete(`blobs/${i}`)).toBe(true)
      const [file] = await listsOf(machine)
      const ageMs = machine.clock.nowMs() - (file?.modifiedMs ?? 0)
      expect(ageMs).toBeLessThan(MINUTE_MS)
    }
    await list.close()
    expect(await listsOf(machine)).toEqual([])
  })

  it('deletes nothing, and is no longer renewed, when its process stood still', async () => {
    const machine = newMachine()
    const list = await CondemnedList.open(machine.start().environment, [DIGEST])
    await machine.store.put('blobs/x', BLOB)
    const before = await listsOf(machine)
    machine.clock.advance(limits.gcStopMs + 1)
    await expect(list.delete('blobs/x')).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await machine.store.head('blobs/x')).toBeDefined()
    expect(await listsOf(machine)).toEqual(before)
  })

  it('sends no deletion and no renewal later than what is on it is waited for', async () => {
    const machine = newMachine()
    const sent: [string, number][] = []
    const environment = deletingSo(machine.start(), async (_, { notAfterMs = Infinity }) => {
      sent.push(['delete', notAfterMs])
      return true
    })
    const { store } = environment
    const put = store.put.bind(store)
    const putSo: ObjectStore['put'] = async (key, body, how = {}) => {
      if (how.mode === 'replace') sent.push(['renew', how.notAfterMs ?? Infinity])
      return await put(key, body, how)
    }
    const own = new Proxy(store, {
      get: (target, name) => (name === 'put' ? putSo : Reflect.get(target, name, target)),
    })
    const openedMs = machine.clock.nowMs()
    const list = await CondemnedList.open({ ...environment, store: own }, [DIGEST])
    await list.delete('blobs/x')
    machine.clock.advance(limits.gcRenewMs)
    const renewedMs = machine.clock.nowMs()
    await list.delete('blobs/y')
    // To the second: each look at the clock takes a millisecond of it.
    const seconds = sent.map(([what, ms]) => [what, Math.round((ms - openedMs) / 1_000)])
    const [first, second] = [0, renewedMs - openedMs].map((ms) =>
      Math.round((ms + limits.gcStopMs) / 1_000),
    )
    expect(seconds).toEqual([
      ['delete', first],
      ['renew', first],
      ['delete', second],
    ])
  })

  it('stays until it lapses where a deletion may still come', async () => {
    const doubts = {
      'no answer': async () => {
        throw new AkidbError('UNREACHABLE', 'no answer came')
      },
      'an answer to a second try': async (_: string, how: DeleteOptions) => {
        how.onDoubt?.()
        return true
      },
    }
    for (const [name, remove] of Object.entries(doubts)) {
      const machine = newMachine()
      const environment = deletingSo(machine.start(), remove)
      const list = await CondemnedList.open(environment, [DIGEST])
      await list.delete('blobs/x').catch(() => undefined)
      await list.close()
      expect(await listsOf(machine), name).toHaveLength(1)
      const other = machine.start().environment
      await closeStaleLists(other)
      expect(await listsOf(machine), name).toHaveLength(1)
      machine.clock.advance(limits.gcRecordLifeMs + MINUTE_MS)
      await closeStaleLists(other)
      expect(await listsOf(machine), name).toEqual([])
    }
  })
})

describe('a collection of garbage', () => {
  it('leaves what was written within the last hour, named or not', async () => {
    const machine = newMachine()
    await machine.store.put(blobKey(DIGEST), BLOB)
    const { environment } = machine.start()
    machine.clock.advance(limits.gcSharedKeepMs - MINUTE_MS)
    expect(await collectGarbage(environment, { keepMs: 0 })).toMatchObject({ blobs: 0, kept: 1 })
    machine.clock.advance(2 * MINUTE_MS)
    expect(await collectGarbage(environment, { keepMs: 0 })).toMatchObject({ blobs: 1, kept: 0 })
  })

  it('ends the uploads that nobody ended', async () => {
    let swept = 0
    const { environment } = newMachine().start({
      hook: ({ operation, remote }) => {
        if (operation === 'sweepTemporary' && remote) swept++
      },
    })
    await collectGarbage(environment, { keepMs: 0 })
    expect(swept).toBeGreaterThan(0)
  })
})

describe('a pin', () => {
  it('counts by the clock of the bucket, whatever its machine thinks', async () => {
    const machine = newMachine()
    const pin = (id: string, renewedMs: number) => {
      const file = { id, renewedMs, blobs: [DIGEST], manifests: [] }
      return machine.store.put(`pins/${id}.json`, Buffer.from(JSON.stringify(file)))
    }
    const { environment } = machine.start()
    await pin('behind', 0)
    await pin('ahead', machine.clock.nowMs() + 1_000 * HOUR_MS)
    const live = async () => (await livePins(environment, { sweep: true })).map(({ id }) => id)
    expect(await live()).toEqual(['ahead', 'behind'])
    machine.clock.advance(limits.pinLifeMs - MINUTE_MS)
    expect(await live()).toEqual(['ahead', 'behind'])
    machine.clock.advance(2 * MINUTE_MS)
    expect(await live()).toEqual([])
    expect(await Array.fromAsync(machine.store.list('pins/'))).toEqual([])
  })

  it('that lapsed holds again only what is there, and what nobody is about to delete', async () => {
    const machine = newMachine()
    const { environment } = machine.start()
    await machine.store.put(blobKey(DIGEST), BLOB)
    const pin = createWriterPin(environment)
    await pin.add([DIGEST])
    expect(pin.isFresh()).toBe(true)
    machine.clock.advance(limits.pinLifeMs + 1)
    expect(pin.isFresh()).toBe(false)
    const list = await CondemnedList.open(environment, [DIGEST])
    await expect(pin.renew()).rejects.toMatchObject({ code: 'LOCKED' })
    expect(pin.isFresh()).toBe(false)
    await list.delete(blobKey(DIGEST))
    await list.close()
    for (let i = 0; i < 2; i++) {
      await expect(pin.renew()).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(pin.isFresh()).toBe(false)
    }
    await machine.store.put(blobKey(DIGEST), BLOB)
    await pin.renew()
    expect(pin.isFresh()).toBe(true)
  })

  it('is made for a head only where somebody reads it for long, and in time', async () => {
    const machine = newMachine()
    const docs = machine.start().core('docs')
    await ingestRows(docs, testRows('a', 3))
    const reader = machine.start().core('docs')
    const { hold } = await reader.hold()
    const pins = async () => (await livePins(machine, { sweep: false })).length
    expect([await pins(), hold.isOld()]).toEqual([0, false])
    machine.clock.advance(limits.gcSharedKeepMs / 2)
    expect(hold.isOld()).toBe(true)
    await hold.renew()
    expect([await pins(), hold.isOld()]).toEqual([1, false])
    await ingestRows(docs, testRows('b', 3))
    machine.clock.advance(2 * HOUR_MS)
    await collectGarbage(machine.start().environment, { keepMs: 0 })
    expect(await reader.manifests.has(hold.manifest.commit.version)).toBe(true)
    await hold.release()
  })
})

it('a commit whose state took too long to compute looks at the head again', async () => {
  const machine = newMachine()
  const { environment, core } = machine.start()
  await ingestRows(core('docs'), testRows('a', 1))
  const { manifests } = core('docs')
  const seen: (number | undefined)[] = []
  const changed = { inserted: 0, updated: 0, deleted: 0 }
  const done = await runAct(environment, { act: 'upsert', collection: 'docs' }, async (act) => {
    const result = await commitManifest(environment, {
      ...{ manifests, act, name: 'docs', lock: 'create-docs', kind: 'upsert' },
      next: async (head) => {
        seen.push(head?.commit.version)
        if (head === undefined) throw new Error('no head')
        if (seen.length === 1) machine.clock.advance(limits.commitLifeMs + MINUTE_MS)
        return { state: head.state, changed }
      },
    })
    return { result, outcome: {} }
  })
  expect(seen).toEqual([2, 2])
  expect(done?.commit.version).toBe(3)
})
