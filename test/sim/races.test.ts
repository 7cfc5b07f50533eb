import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { revertTo } from '../../src/db/collection/history.ts'
import { recoverActs } from '../../src/db/collection/recover.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { buildIndexes } from '../../src/db/rebuild/index-build.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import { SimulatedCrash, type StepHook } from '../support/fault-store.ts'
import { createTestMachine, type TestProcess } from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

// Races that the simulation found once, each played on its own.

/** Does something once, at the first step that a test describes. */
function once(at: Parameters<StepHook>[0]['operation'], key: RegExp, what: () => Promise<void>) {
  let armed = false
  const hook: StepHook = async (step) => {
    if (!armed || step.phase !== 'before' || step.operation !== at || !key.test(step.key)) return
    armed = false
    await what()
  }
  return {
    hook,
    arm: () => {
      armed = true
    },
  }
}

const outcomesOf = async ({ environment }: TestProcess, actId: string): Promise<number> => {
  let count = 0
  const audit = await environment.audit()
  for await (const entry of audit.read()) {
    if (entry.actId === actId && entry.phase === 'outcome') count++
  }
  return count
}

it('begins a merge again where a revert brought rows back meanwhile', async () => {
  const machine = createTestMachine()
  const other = machine.start()
  await ingestRows(other.core('docs'), testRows('a', 3))
  const { version } = (await other.core('docs').head()).commit
  await deleteRecords(other.core('docs'), { ids: ['a0'] })
  const revert = once('commit', /^blobs\//, async () => {
    await revertTo(other.core('docs'), String(version), false)
  })
  const merging = machine.start({ hook: revert.hook })
  await merging.core('docs').head()
  revert.arm()
  // Nothing is dead in what there is then.
  expect(await mergeSegments(merging.core('docs'), { kind: 'compact' })).toBe(0)
  expect(await idsOf(other.core('docs'))).toEqual(['a0', 'a1', 'a2'])
})

it('gives up a merge whose rows change each time', async () => {
  const machine = createTestMachine()
  const other = machine.start()
  await ingestRows(other.core('docs'), testRows('a', 30))
  const { version } = (await other.core('docs').head()).commit
  let isArmed = false
  let next = 0
  const merging = machine.start({
    hook: async ({ phase, operation, key }) => {
      if (!isArmed || phase !== 'before' || operation !== 'commit' || !/^blobs\//.test(key)) return
      isArmed = false
      await revertTo(other.core('docs'), String(version), false)
      await deleteRecords(other.core('docs'), { ids: [`a${next++}`] })
      isArmed = true
    },
  })
  await deleteRecords(other.core('docs'), { ids: ['a28', 'a29'] })
  isArmed = true
  const ended = mergeSegments(merging.core('docs'), { kind: 'compact' })
  await expect(ended).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await idsOf(other.core('docs'))).toHaveLength(29)
})

it('keeps a row of the log when the segment with its older row is gone', async () => {
  const machine = createTestMachine()
  const process: TestProcess = machine.start({ owner: () => owner })
  const core = process.core('docs')
  await ingestRows(core, testRows('a', 2))
  const owner = await LogOwner.start(process.environment, { timer: false })
  const write = async (id: string): Promise<void> => {
    const vector = Float32Array.of(1, 2, 3, 4)
    const row = { id, vector, payload: new Map([['from', 'log']]) }
    await (await owner.log(core, await core.head())).write([{ kind: 'upsert', row }])
  }
  await write('a0')
  await owner.fold()
  await write('a0')
  // Its segment has no live row after this, and goes together with the dead row of a0.
  await deleteRecords(core, { ids: ['a1'] })
  process.kill()
  const reader = machine.start().core('docs')
  const { view } = await reader.hold()
  expect(view.log?.get('a0')).toBeDefined()
  expect(await idsOf(reader)).toEqual(['a0'])
})

it('writes one outcome where two processes recover an act at once', async () => {
  const machine = createTestMachine()
  const dying = machine.start({
    hook: ({ operation, key, phase }) => {
      if (operation === 'put' && key.includes('/manifests/') && phase === 'after') {
        throw new SimulatedCrash('after the commit')
      }
    },
  })
  await expect(ingestRows(dying.core('docs'), testRows('a', 1))).rejects.toThrow()
  const [lock = ''] = await machine.locks
    .forProcess('looker', { host: 'test', pid: 1, command: 'x', startedAt: '' })
    .list('act-')
  const both = [machine.start(), machine.start()] as const
  // Both know the log before either writes to it.
  await Promise.all(both.map(({ environment }) => environment.audit()))
  const written = await Promise.all(both.map(({ environment }) => recoverActs(environment)))
  expect(written.reduce((sum, count) => sum + count)).toBe(1)
  expect(await outcomesOf(machine.start(), lock.slice('act-'.length))).toBe(1)
})

it('recovers an act whose intent is younger than its own look at the log', async () => {
  const machine = createTestMachine()
  const old = machine.start()
  await ingestRows(old.core('docs'), testRows('a', 1))
  let armed = true
  const dying = machine.start({
    hook: ({ operation, key }) => {
      if (armed && operation === 'put' && key.includes('/manifests/')) {
        armed = false
        throw new SimulatedCrash('at the commit')
      }
    },
  })
  await expect(ingestRows(dying.core('docs'), testRows('b', 1))).rejects.toThrow()
  expect(await recoverActs(old.environment)).toBe(1)
})

it('does not commit blobs that garbage collection took while the writer stood still', async () => {
  const machine = createTestMachine()
  const collector = machine.start()
  await ingestRows(collector.core('docs'), testRows('a', 1))
  let sleeps = true
  const writer = machine.start({
    hook: async ({ operation, phase }) => {
      if (!sleeps || operation !== 'commit' || phase !== 'after') return
      sleeps = false
      machine.clock.advance(limits.pinLifeMs + 1)
      await collectGarbage(collector.environment, { keepMs: 0 })
    },
  })
  await expect(ingestRows(writer.core('docs'), testRows('b', 1))).rejects.toMatchObject({
    code: 'CONFLICT',
  })
  expect(await idsOf(collector.core('docs'))).toEqual(['a0'])
})

it('finds the head when gc takes the one that was listed before', async () => {
  const machine = createTestMachine()
  const other = machine.start()
  await ingestRows(other.core('docs'), testRows('a', 1))
  const race = once('get', /\/manifests\//, async () => {
    await ingestRows(other.core('docs'), testRows('b', 1))
    await collectGarbage(other.environment, { keepMs: 0 })
  })
  const reader = machine.start({ hook: race.hook })
  race.arm()
  expect(await idsOf(reader.core('docs'))).toEqual(['a0', 'b0'])
})

it('reads the newer state when gc takes the head before it is pinned', async () => {
  const machine = createTestMachine()
  const other = machine.start()
  await ingestRows(other.core('docs'), testRows('a', 1))
  const race = once('put', /^pins\//, async () => {
    await ingestRows(other.core('docs'), testRows('a', 2))
    await collectGarbage(other.environment, { keepMs: 0 })
  })
  const reader = machine.start({ hook: race.hook })
  race.arm()
  expect(await idsOf(reader.core('docs'))).toEqual(['a0', 'a1'])
})

it.each([
  ['an index build', (core: CollectionCore) => buildIndexes(core, { again: true })],
  ['a compaction', (core: CollectionCore) => mergeSegments(core, { kind: 'compact' })],
])(
  'lets %s go on with the newer state when gc takes the head before it is pinned',
  async (_, run) => {
    const machine = createTestMachine()
    const other = machine.start()
    await ingestRows(other.core('docs'), testRows('a', 2))
    await ingestRows(other.core('docs'), testRows('b', 1))
    let gone: readonly number[] = []
    const race = once('put', /^pins\//, async () => {
      const { version } = (await other.core('docs').head()).commit
      await ingestRows(other.core('docs'), testRows('c', 1))
      await collectGarbage(other.environment, { keepMs: 0 })
      gone = (await other.core('docs').manifests.has(version)) ? [] : [version]
    })
    const process = machine.start({ hook: race.hook })
    await process.core('docs').head()
    race.arm()
    await run(process.core('docs'))
    expect(gone).toHaveLength(1)
    expect(await idsOf(other.core('docs'))).toEqual(['a0', 'a1', 'b0', 'c0'])
  },
)

it('reads every row while a write to the log and another read come in between', async () => {
  const machine = createTestMachine()
  const other = machine.start()
  await ingestRows(other.core('docs'), testRows('a', 1))
  const race = once('delete', /^pins\//, async () => {
    await write('a0', core)
    await write('b', core)
    await idsOf(core)
  })
  const process: TestProcess = machine.start({ owner: () => owner, hook: race.hook })
  const core = process.core('docs')
  const owner = await LogOwner.start(process.environment, { timer: false })
  const write = async (id: string, docs: CollectionCore): Promise<void> => {
    const row = { id, vector: Float32Array.of(1, 2, 3, 4), payload: new Map() }
    await (await owner.log(docs, await docs.head())).write([{ kind: 'upsert', row }])
  }
  await write('a0', core)
  await owner.fold()
  await idsOf(core)
  // The next read lets go of the head before, and stands still just then.
  await ingestRows(other.core('docs'), testRows('c', 1))
  race.arm()
  expect(await idsOf(core)).toEqual(['a0', 'c0'])
  expect(await idsOf(core)).toEqual(['a0', 'b', 'c0'])
})
