import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { dropCollection } from '../../src/db/collection/lifecycle.ts'
import { RemoteChanges } from '../../src/db/wal/remote-changes.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { makeDocs } from '../support/log-process.ts'
import { createTestMachine } from '../support/memory-environment.ts'
import { ingestRows } from '../support/records.ts'

const settle = () => new Promise((go) => setImmediate(go))

/** Changes whose pauses end when the test says so. */
function changesOf({ changed = true, names = ['a', 'b'] } = {}) {
  let nowMs = 1_000
  const looks: string[] = []
  const merges: string[] = []
  let wake: (() => void) | undefined
  const changes = new RemoteChanges({
    clock: {
      nowMs: () => nowMs,
      sleep: (ms, signal) =>
        new Promise((done, failed) => {
          wake = () => {
            nowMs += ms
            done()
          }
          signal?.addEventListener('abort', () => failed(signal.reason))
        }),
    },
    names: async () => names,
    look: async (name) => {
      looks.push(name)
      if (name.startsWith('bad')) throw new Error('no such thing')
      return changed
    },
    merge: (name) => void merges.push(name),
  })
  return {
    changes,
    looks,
    merges,
    isWaiting: () => wake !== undefined,
    /** Lets time go by until nothing waits, or so much has gone. */
    pass: async (ms: number) => {
      const untilMs = nowMs + ms
      await settle()
      while (wake !== undefined && nowMs < untilMs) {
        const next = wake
        wake = undefined
        next()
        await settle()
      }
    },
  }
}

it('a change that is told is looked at at once, and those that follow after a pause', async () => {
  const { changes, looks, pass } = changesOf()
  changes.note('a')
  await settle()
  expect(looks).toEqual(['a'])
  for (let n = 0; n < 10_000; n++) changes.note(n % 2 === 0 ? 'a' : 'b')
  await settle()
  expect(looks).toEqual(['a'])
  await pass(limits.remoteLookPauseMs)
  expect(looks).toEqual(['a', 'a', 'b'])
  await pass(60_000)
  expect(looks).toHaveLength(3)
})

it('where more are told than may wait, all are looked at once', async () => {
  const { changes, looks, pass } = changesOf()
  changes.note('first')
  await settle()
  for (let n = 0; n < limits.remoteChangesMax + 1_000; n++) changes.note(`bad${n}`)
  await pass(limits.remoteLookPauseMs)
  expect(looks).toHaveLength(1 + 2 + limits.remoteChangesMax)
  expect(looks.slice(0, 3)).toEqual(['first', 'a', 'b'])
})

it('all are looked at only so often, and one that is named does not wait for that', async () => {
  const { changes, looks, pass } = changesOf()
  changes.note()
  await settle()
  expect(looks).toEqual(['a', 'b'])
  changes.note()
  changes.note('b')
  await pass(limits.remoteLookPauseMs)
  expect(looks).toEqual(['a', 'b', 'b'])
  await pass(limits.remoteListPauseMs)
  expect(looks).toEqual(['a', 'b', 'b', 'a', 'b'])
})

it('what was changed is merged once, when it has been quiet for a while', async () => {
  const { changes, merges, pass, isWaiting } = changesOf()
  changes.note('a')
  await pass(limits.remoteMergeQuietMs / 2)
  changes.note('a')
  await pass(limits.remoteMergeQuietMs / 2 + limits.remoteLookPauseMs)
  expect(merges).toEqual([])
  await pass(limits.remoteMergeQuietMs)
  expect(merges).toEqual(['a'])
  expect(isWaiting()).toBe(false)
})

it('what was not changed, or is not there, is not merged, and nothing goes on', async () => {
  const { changes, merges, pass, isWaiting } = changesOf({ changed: false })
  changes.note('a')
  changes.note('bad')
  await pass(60_000)
  expect(merges).toEqual([])
  expect(isWaiting()).toBe(false)
})

it('ends while it waits, and hears nothing any more', async () => {
  const { changes, looks } = changesOf()
  changes.note('a')
  await settle()
  changes.note('b')
  await changes.close()
  changes.note('c')
  await settle()
  expect(looks).toEqual(['a'])
})

async function copyAll(from: ObjectStore, to: ObjectStore): Promise<void> {
  for await (const { key } of from.list('')) await to.put(key, await from.get(key))
}

it('a head is looked at again, however young the last look is', async () => {
  const machine = createTestMachine()
  await makeDocs(machine)
  const elsewhere = createTestMachine()
  const started = { ...machine.start().environment, headAgeMaxMs: 3_600_000 }
  await copyAll(machine.store, elsewhere.store)
  const other = elsewhere.start().core('docs')
  await ingestRows(other, [{ id: 'a', vector: [1, 1], n: 1 }])
  const core = new CollectionCore({ environment: started, name: 'docs' })
  const before = await core.recentHead()
  // What another machine committed comes without a word.
  await copyAll(elsewhere.store, machine.store)
  expect(await core.recentHead()).toBe(before)
  expect(await core.lookAgain()).toBe(true)
  expect((await core.recentHead()).commit.version).toBe(before.commit.version + 1)
  expect(await core.lookAgain()).toBe(false)
  // A search may have met another head before it is told of.
  await ingestRows(other, [{ id: 'b', vector: [1, 1], n: 1 }])
  await copyAll(elsewhere.store, machine.store)
  await core.recentHead()
  expect(await core.lookAgain()).toBe(true)
  await dropCollection(other)
  await copyAll(elsewhere.store, machine.store)
  await expect(core.lookAgain()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(core.recentHead()).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

it('while events are followed, searches look seldom, but they look', async () => {
  const machine = createTestMachine()
  await makeDocs(machine)
  const elsewhere = createTestMachine()
  await copyAll(machine.store, elsewhere.store)
  await ingestRows(elsewhere.start().core('docs'), [{ id: 'a', vector: [1, 1], n: 1 }])
  const environment = { ...machine.start().environment, headAgeMaxMs: 40, followed: true }
  const core = new CollectionCore({ environment, name: 'docs' })
  const before = await core.recentHead()
  await copyAll(elsewhere.store, machine.store)
  machine.clock.advance(200)
  expect(await core.recentHead()).toBe(before)
  machine.clock.advance(limits.followedHeadAgeMs)
  expect((await core.recentHead()).commit.version).toBe(before.commit.version + 1)
})
