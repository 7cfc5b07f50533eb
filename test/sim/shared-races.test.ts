import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { blobKey } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import type { StepHook } from '../support/fault-store.ts'
import {
  createTestClock,
  createTestMachine,
  type TestMachine,
  type TestProcess,
} from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'
import { withoutDeadlines, withoutLists } from './altered-store.ts'

// What locks decide in a folder and time decides between machines, each case played on its own,
// with the promise and with the promise broken.

const HOUR_MS = 3_600_000
const asIs = (store: ObjectStore): ObjectStore => store

/** Two machines at one store. */
function twoMachines(): readonly [TestMachine, TestMachine] {
  const clock = createTestClock()
  const a = createTestMachine({ isShared: true, clock })
  return [a, createTestMachine({ seed: 2, isShared: true, clock, store: a.store })]
}

/** Does something once, before a machine's process does something to keys of some kind. */
function once(operation: Parameters<StepHook>[0]['operation'], key: RegExp) {
  let what: (() => Promise<void>) | undefined
  const hook: StepHook = async (step) => {
    const isIt = step.phase === 'before' && step.operation === operation && key.test(step.key)
    if (what === undefined || !isIt) return
    const due = what
    what = undefined
    await due()
  }
  return {
    hook,
    arm: (work: () => Promise<void>) => {
      what = work
    },
  }
}

/** The collection as a process sees it whose store is altered. */
const coreOf = (
  { environment }: TestProcess,
  alter: (store: ObjectStore) => ObjectStore,
): CollectionCore =>
  new CollectionCore({
    environment: { ...environment, store: alter(environment.store) },
    name: 'docs',
  })

const blobsOf = async (core: CollectionCore): Promise<string[]> =>
  [...closureOf(await core.head()).keys()].map((digest) => blobKey(digest))

for (const [promise, alter, expected] of [
  ['commits on what is there when it wakes', asIs, ['a0', 'b0', 'c0', 'late0']],
  // Its number is free again, and nobody ever looks at it.
  ['would lose its rows without a deadline', withoutDeadlines, ['a0', 'b0', 'c0']],
] as const) {
  it(`a writer that stood still before its manifest ${promise}`, async () => {
    const [a, b] = twoMachines()
    const stands = once('put', /\/manifests\//)
    const sleeper = a.start({ hook: stands.hook })
    const other = b.start()
    await ingestRows(other.core('docs'), testRows('a', 1))
    stands.arm(async () => {
      await ingestRows(other.core('docs'), testRows('b', 1))
      await ingestRows(other.core('docs'), testRows('c', 1))
      a.clock.advance(2 * HOUR_MS)
      await collectGarbage(other.environment, { keepMs: 0 })
    })
    await ingestRows(coreOf(sleeper, alter), testRows('late', 1))
    expect(await idsOf(b.start().core('docs'))).toEqual(expected)
  })
}

/** A blob that only an old state names, and the gc of one machine right before it deletes it. */
async function beforeDeletion(alter: (store: ObjectStore) => ObjectStore) {
  const [a, b] = twoMachines()
  const stands = once('delete', /^blobs\//)
  const collector = a.start({ hook: stands.hook })
  const other = b.start()
  await ingestRows(other.core('docs'), testRows('keep', 1))
  await ingestRows(other.core('docs'), testRows('x', 3))
  await deleteRecords(other.core('docs'), { ids: ['x0', 'x1', 'x2'] })
  await mergeSegments(other.core('docs'), { kind: 'compact' })
  a.clock.advance(2 * HOUR_MS)
  const environment = { ...collector.environment, store: alter(collector.environment.store) }
  return {
    ...{ a, other, stands },
    /** Makes the very blob again. */
    again: (core = other.core('docs')) => ingestRows(core, testRows('x', 3)),
    collect: () => collectGarbage(environment, { keepMs: 0 }),
    missing: async (): Promise<string[]> => {
      const core = b.start().core('docs')
      const there = await Promise.all((await blobsOf(core)).map((key) => a.store.head(key)))
      return (await blobsOf(core)).filter((_, i) => there[i] === undefined)
    },
  }
}

it('a writer waits for what another machine is about to delete', async () => {
  const { again, collect, stands, missing, other } = await beforeDeletion(asIs)
  stands.arm(async () => {
    await expect(again()).rejects.toMatchObject({ code: 'LOCKED' })
  })
  await collect()
  await again()
  expect(await missing()).toEqual([])
  expect(await idsOf(other.core('docs'))).toEqual(['keep0', 'x0', 'x1', 'x2'])
})

it('a writer would name what is deleted, did it not look at the lists', async () => {
  const { again, collect, stands, missing, other } = await beforeDeletion(asIs)
  stands.arm(async () => void (await again(coreOf(other, withoutLists))))
  await collect()
  expect(await missing()).toHaveLength(1)
})

it('a collector that stood still deletes nothing when it wakes', async () => {
  const { a, again, collect, stands, missing } = await beforeDeletion(asIs)
  stands.arm(async () => {
    a.clock.advance(limits.gcRecordLifeMs + 60_000)
    await again()
  })
  await expect(collect()).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await missing()).toEqual([])
})

it('a collector that stood still would delete what is named, without a deadline', async () => {
  const { a, again, collect, stands, missing } = await beforeDeletion(withoutDeadlines)
  stands.arm(async () => {
    a.clock.advance(limits.gcRecordLifeMs + 60_000)
    await again()
  })
  await collect()
  expect(await missing()).toHaveLength(1)
})

it('what was the head within the last hour stays, and older states go', async () => {
  const [a, b] = twoMachines()
  const [one, other] = [a.start(), b.start()]
  for (const id of ['a', 'b', 'c']) {
    await ingestRows(one.core('docs'), testRows(id, 1))
    a.clock.advance(40 * 60_000)
  }
  // The last commit is 40 minutes old, the one before 80: it was the head an hour ago.
  const { version } = (await one.core('docs').head()).commit
  await collectGarbage(other.environment, { keepMs: 0 })
  const left = await Array.fromAsync(one.core('docs').manifests.versions())
  expect(left).toEqual([version, version - 1])
  expect(await idsOf(other.core('docs'))).toEqual(['a0', 'b0', 'c0'])
})
