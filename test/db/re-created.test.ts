import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { createCollection, dropCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { createSnapshot, listSnapshots } from '../../src/db/states/snapshots.ts'
import { isLogOpen } from '../../src/db/wal/log-file.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import type { StepHook } from '../support/fault-store.ts'
import {
  createTestClock,
  createTestMachine,
  type TestMachine,
  type TestProcess,
} from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

// A collection that is dropped, and made again under its name, while somebody works on it.

const HOUR_MS = 3_600_000
const CONFLICT = { code: 'CONFLICT' }

function twoMachines(): readonly [TestMachine, TestMachine] {
  const clock = createTestClock()
  const a = createTestMachine({ isShared: true, clock })
  return [a, createTestMachine({ seed: 2, isShared: true, clock, store: a.store })]
}

/** Another machine drops `docs` and makes it anew, with other rows of the same ids. */
async function replace({ core }: TestProcess): Promise<void> {
  await dropCollection(core('docs'))
  await ingestRows(core('docs'), testRows('x', 2))
}

/** A process whose collection is replaced right before it does something to such a key, once. */
async function slowProcess(operation: string, key: RegExp): Promise<TestProcess> {
  const [a, b] = twoMachines()
  let isArmed = false
  const hook: StepHook = async (step) => {
    const isIt = step.phase === 'before' && step.operation === operation && key.test(step.key)
    if (!isArmed || !isIt) return
    isArmed = false
    await replace(b.start())
  }
  const process = a.start({ hook })
  await ingestRows(process.core('docs'), testRows('x', 2))
  isArmed = true
  return process
}

const filter = { must: [{ key: 'n', range: { gte: 0 } }] }

it.each([
  ['a delete by id', (p: TestProcess) => deleteRecords(p.core('docs'), { ids: ['x0'] })],
  ['a delete by filter', (p: TestProcess) => deleteRecords(p.core('docs'), { filter })],
  ['a drop', (p: TestProcess) => dropCollection(p.core('docs'))],
])('%s that was decided before changes nothing after', async (_, act) => {
  // Before it looks at the head that it commits on, and between that and its commit.
  for (const key of [/^audit\//, /\/manifests\//]) {
    const process = await slowProcess('put', key)
    await expect(act(process), String(key)).rejects.toMatchObject(CONFLICT)
    expect(await idsOf(process.core('docs'))).toEqual(['x0', 'x1'])
  }
})

it('a snapshot that was begun before names nothing after', async () => {
  const process = await slowProcess('put', /^audit\//)
  await expect(createSnapshot(process.core('docs'), 'friday')).rejects.toMatchObject(CONFLICT)
  expect(await listSnapshots(process.core('docs'))).toEqual([])
})

it('a drop of a collection that another machine has dropped is done', async () => {
  const [a, b] = twoMachines()
  await ingestRows(a.start().core('docs'), testRows('x', 1))
  let isArmed = true
  const process = a.start({
    hook: async ({ phase, operation, key }) => {
      if (!isArmed || phase !== 'before' || operation !== 'put' || !/manifests/.test(key)) return
      isArmed = false
      await dropCollection(b.start().core('docs'))
    },
  })
  const { state } = await dropCollection(process.core('docs'))
  expect(state.dropped).toBe(true)
})

const row = (id: string) => ({
  kind: 'upsert' as const,
  row: { id, vector: Float32Array.of(1, 2, 3, 4), payload: new Map() },
})

/** An owner with a row that is in the log alone, and dies. */
async function deadOwner(machine: TestMachine): Promise<TestProcess> {
  const process = machine.start()
  await ingestRows(process.core('docs'), testRows('x', 1))
  const owner = await LogOwner.start(process.environment, { timer: false })
  const log = await owner.log(process.core('docs'), await process.core('docs').head())
  await log.write([row('late')])
  process.kill()
  return process
}

const piecesOf = async ({ isShared, store, state }: TestMachine): Promise<string[]> => {
  const [from, prefix] = isShared === true ? [store, 'collections/docs/log/'] : [state, 'wal/']
  return (await Array.fromAsync(from.list(prefix))).map(({ key }) => key)
}

for (const isShared of [true, false]) {
  const where = isShared ? 'a bucket' : 'a folder'

  it(`gc removes from ${where} what a dead owner left of a dropped collection`, async () => {
    const machine = createTestMachine({ isShared })
    await deadOwner(machine)
    const { core, environment } = machine.start()
    await dropCollection(core('docs'))
    expect(await piecesOf(machine)).toHaveLength(1)
    // A reader may stand on the state before.
    expect(await collectGarbage(environment, { keepMs: 0 })).toMatchObject({ logPieces: 0 })
    machine.clock.advance(limits.gcSharedKeepMs + 60_000)
    const dry = await collectGarbage(environment, { keepMs: 0, dryRun: true })
    expect(dry).toMatchObject({ logPieces: 1 })
    expect(await collectGarbage(environment, { keepMs: 0 })).toEqual(dry)
    expect(await piecesOf(machine)).toEqual([])
  })

  it(`gc keeps in ${where} what nobody has committed yet, however old`, async () => {
    const machine = createTestMachine({ isShared })
    await deadOwner(machine)
    machine.clock.advance(30 * 24 * HOUR_MS)
    const { core, environment } = machine.start()
    expect(await collectGarbage(environment, { keepMs: 0 })).toMatchObject({ logPieces: 0 })
    const head = await core('docs').head()
    expect(await isLogOpen(environment, head)).toBe(true)
    expect(await idsOf(core('docs'))).toEqual(['late', 'x0'])
  })
}

it('gc takes the log of the former collection and keeps that of the one of its name', async () => {
  const [a, b] = twoMachines()
  await deadOwner(a)
  await dropCollection(b.start().core('docs'))
  await createCollection(b.start().core('docs'), { dimension: 4 })
  a.clock.advance(2 * HOUR_MS)
  await deadOwner(b)
  expect(await piecesOf(a)).toHaveLength(2)
  const { environment, core } = a.start()
  expect(await collectGarbage(environment, { keepMs: 0 })).toMatchObject({ logPieces: 1 })
  expect(await idsOf(core('docs'))).toEqual(['late', 'x0'])
})

it('gc spares the log of a collection that comes back while it looks', async () => {
  const machine = createTestMachine({ isShared: true })
  await deadOwner(machine)
  const { core } = machine.start()
  const head = await core('docs').head()
  await dropCollection(core('docs'))
  machine.clock.advance(2 * HOUR_MS)
  let lists = 0
  const { environment } = machine.start({
    hook: async ({ phase, operation, key }) => {
      if (phase !== 'after' || operation !== 'put' || !key.startsWith('gc/')) return
      // As an import of it does: under the id that it had.
      if (++lists === 1) await createCollection(core('docs'), { dimension: 4 })
      const newest = await machine.start().core('docs').manifests.newest()
      if (newest === undefined) return
      const digits = String(99_999_999_999_999_999_999n - BigInt(newest.commit.version))
      const made = `collections/docs/manifests/${digits}.json`
      const text = Buffer.from(await machine.store.get(made)).toString('utf8')
      const file = text.replace(newest.commit.collection, head.commit.collection)
      await machine.store.put(made, Buffer.from(file), { mode: 'replace' })
    },
  })
  const result = await collectGarbage(environment, { keepMs: 0 })
  expect(lists).toBe(1)
  expect(result.logPieces).toBe(0)
  expect(await piecesOf(machine)).toHaveLength(1)
})
