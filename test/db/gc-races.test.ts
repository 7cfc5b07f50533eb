import { describe, expect, it } from 'vitest'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { revertTo } from '../../src/db/collection/history.ts'
import { recoverActs } from '../../src/db/collection/recover.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { manifestKey } from '../../src/db/states/manifest-store.ts'
import { RESERVE_FILE, withReserve } from '../../src/db/states/reserve.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { crashAtStep, fullDiskAtStep } from '../support/fault-store.ts'
import { blobsIn, expectWhole, LIVE, versionsOf, withHistory } from '../support/history.ts'
import {
  cloneMachine,
  contentsOf,
  createTestMachine,
  type TestMachine,
} from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

describe('beside a writer', () => {
  // The writer's segment is byte for byte one that is being condemned.
  it('never loses a blob, at whatever step of it a writer begins', async () => {
    let step = 1
    for (let ended = false; !ended; step++) {
      const machine = createTestMachine({ seed: step })
      await withRubbishSegment(machine)
      let writing: Promise<unknown> | undefined
      let count = 0
      const collector = machine.start({
        hook: async () => {
          if (++count !== step) return
          const writer = machine.start()
          writing = ingestRows(writer.core('docs'), testRows('a', 4))
          for (let turn = 0; turn < 20; turn++) await nextTurn()
        },
      })
      await collectGarbage(collector.environment, { keepMs: 0 })
      await writing
      ended = writing === undefined
      const { core } = machine.start()
      await expectWhole(core('docs'))
      expect(await idsOf(core('docs'))).toEqual(ended ? ['x0'] : ['a0', 'a1', 'a2', 'a3', 'x0'])
    }
    expect(step).toBeGreaterThan(60)
  })
})

/** Runs a command; at its n-th step another process deletes a record and collects all garbage. */
async function withCollection(
  machine: TestMachine,
  n: number,
  command: (core: CollectionCore) => Promise<unknown>,
): Promise<{ done: boolean; disturbed: boolean }> {
  let count = 0
  const { core } = machine.start({
    hook: async () => {
      if (++count !== n) return
      const other = machine.start()
      // Where the command holds a lock that the other one needs, nothing happens.
      await deleteRecords(other.core('docs'), { ids: ['a0'] }).catch(() => undefined)
      await collectGarbage(other.environment, { keepMs: 0 }).catch(() => undefined)
    },
  })
  const done = await command(core('docs')).then(
    () => true,
    (error: unknown) => {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(CONFLICT|NOT_FOUND|LOCKED)$/) })
      return false
    },
  )
  return { done, disturbed: count >= n }
}

describe('beside a command that names an old state', () => {
  it.each([
    ['snapshot', (core: CollectionCore) => createSnapshot(core, 'friday')],
    ['revert', (core: CollectionCore) => revertTo(core, '2', false)],
  ])('takes no state from under a %s, at whatever step of it', async (name, command) => {
    let made = 0
    for (let n = 1, disturbed = true; disturbed; n++) {
      const machine = createTestMachine({ seed: n })
      const { core } = machine.start()
      await ingestRows(core('docs'), testRows('a', 3))
      if (name === 'revert') await deleteRecords(core('docs'), { ids: ['a1'] })
      const found = await withCollection(machine, n, command)
      disturbed = found.disturbed
      await expectWhole(core('docs'))
      if (!found.done) continue
      made++
      const fresh = machine.start().core('docs')
      const label = name === 'snapshot' ? 'friday' : undefined
      expect((await idsOf(fresh, label)).length, `step ${n}`).toBeGreaterThan(1)
    }
    expect(made).toBeGreaterThan(10)
  })
})

it('says of a time whose commit is gone that it is gone, and tells of no older one', async () => {
  const machine = createTestMachine()
  const { environment, core } = await withHistory(machine)
  const times: string[] = []
  for await (const { commit } of core('docs').manifests.history()) times.unshift(commit.committedAt)
  const file = Buffer.from(await machine.store.get(manifestKey('docs', 2)))
  const stateRoot = JSON.parse(file.toString('utf8').split('\n')[0] ?? '').stateRoot
  const label = { label: 'kept', stateRoot, version: 2, committedAt: times[1] }
  const key = 'collections/docs/snapshots/kept.json'
  await machine.store.put(key, Buffer.from(JSON.stringify(label)))
  await collectGarbage(environment, { keepMs: 0 })
  expect(await versionsOf(core('docs'))).toEqual([5, 2])
  const docs = machine.start().core('docs')
  expect(await idsOf(docs, times[1])).toEqual(['a0', 'a1', 'a2', 'a3'])
  expect(await idsOf(docs, times[4])).toEqual(LIVE)
  await expect(docs.hold(times[2])).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Rows a0–a3 were there and are gone; x0 is there. */
async function withRubbishSegment(machine: TestMachine): Promise<void> {
  const { core } = machine.start()
  await ingestRows(core('docs'), testRows('x', 1))
  await ingestRows(core('docs'), testRows('a', 4))
  await deleteRecords(core('docs'), { ids: ['a0', 'a1', 'a2', 'a3'] })
}

it('leaves every state whole wherever it is killed, and finishes the next time', async () => {
  const base = createTestMachine()
  await withHistory(base)
  let step = 1
  for (let ended = false; !ended; step++) {
    const machine = await cloneMachine(base)
    const crash = crashAtStep(step, step % 2 === 0 ? 0.5 : 0)
    const killed = machine.start({ hook: crash.hook })
    const options = { keepMs: 0, batchBlobs: 2 }
    await collectGarbage(killed.environment, options).catch(() => undefined)
    ended = crash.struck() === undefined
    const { environment, core } = machine.start()
    await expectWhole(core('docs'))
    expect(await idsOf(core('docs'))).toEqual(LIVE)
    await recoverActs(environment)
    await collectGarbage(environment, options)
    expect(await versionsOf(core('docs'))).toEqual([5])
    expect(await blobsIn(machine.store)).toHaveLength(1)
    const left = [...(await contentsOf(machine.store)).keys()]
    expect(left.filter((key) => key.startsWith('gc/'))).toEqual([])
  }
  expect(step).toBeGreaterThan(20)
})

describe('on a full disk', () => {
  it('gives up the reserve, wherever the room runs out, and makes it again', async () => {
    const base = createTestMachine()
    await withHistory(base)
    await base.state.put(RESERVE_FILE, new Uint8Array(64))
    let step = 1
    for (let ended = false; !ended; step++) {
      const machine = await cloneMachine(base)
      let reserve = true
      const full = fullDiskAtStep(step, () => reserve)
      const { environment } = machine.start({
        hook: async (at) => {
          await full.hook(at)
          const given = at.operation === 'delete' && at.phase === 'after' && at.key === RESERVE_FILE
          if (given) reserve = false
        },
      })
      await collectGarbage(environment, { keepMs: 0 })
      ended = full.struck() === undefined
      const { core } = machine.start()
      expect(await versionsOf(core('docs'))).toEqual([5])
      expect(await idsOf(core('docs'))).toEqual(LIVE)
      expect(await machine.state.head(RESERVE_FILE)).toBeDefined()
    }
    expect(step).toBeGreaterThan(10)
  })

  it('says so where there is no reserve left', async () => {
    const machine = createTestMachine()
    await withHistory(machine)
    const { environment } = machine.start({ hook: fullDiskAtStep(1).hook })
    await expect(collectGarbage(environment)).rejects.toMatchObject({ code: 'NO_SPACE' })
  })

  it('passes on every other error without a second try', async () => {
    const { environment } = createTestMachine().start()
    let tries = 0
    const work = async (): Promise<void> => {
      tries++
      throw new AkidbError('AUTH', 'not allowed')
    }
    await expect(withReserve(environment, work)).rejects.toMatchObject({ code: 'AUTH' })
    expect(tries).toBe(1)
  })
})
