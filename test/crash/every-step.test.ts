import { expect, it } from 'vitest'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { revertTo } from '../../src/db/collection/history.ts'
import { dropCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { buildIndexes } from '../../src/db/rebuild/index-build.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import { crashAtStep } from '../support/fault-store.ts'
import { cloneMachine, createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'
import { contents, expectOutcomes, reopen } from '../support/reopened.ts'

/** Shares of an append that reach the disk when the crash comes before it. */
const TORN_SHARES = [0, 0.5, 1]

/** One command, run in a process that may be killed at any step. */
interface Command {
  readonly name: string
  run(core: (name: string) => CollectionCore): Promise<unknown>
  /** It may be run again after it was done. */
  readonly repeatable: boolean
}

const changed = testRows('a', 4, 2).map((row) => ({ ...row, n: -1, text: 'changed' }))

const COMMANDS: readonly Command[] = [
  {
    name: 'ingest',
    run: (core) => ingestRows(core('docs'), changed),
    repeatable: true,
  },
  {
    name: 'ingest into a new collection',
    run: (core) => ingestRows(core('notes'), testRows('n', 5), { textColumns: ['text'] }),
    repeatable: true,
  },
  {
    name: 'delete',
    run: (core) => deleteRecords(core('docs'), { ids: ['a1', 'b0'] }),
    repeatable: true,
  },
  {
    name: 'merge',
    run: (core) => mergeSegments(core('docs'), { kind: 'compact' }),
    repeatable: true,
  },
  {
    name: 'index build',
    run: (core) => buildIndexes(core('docs'), { index: { m: 8 } }),
    repeatable: true,
  },
  {
    name: 'revert',
    run: (core) => revertTo(core('docs'), '2', false),
    repeatable: true,
  },
  {
    name: 'snapshot',
    run: (core) => createSnapshot(core('docs'), 'friday'),
    repeatable: false,
  },
  {
    name: 'drop',
    run: (core) => dropCollection(core('docs')),
    repeatable: false,
  },
  {
    name: 'gc',
    run: (core) => collectGarbage(core('docs').environment, { keepMs: 0 }),
    repeatable: true,
  },
]

async function base(): Promise<TestMachine> {
  const machine = createTestMachine()
  const { environment, core } = machine.start()
  await ingestRows(core('docs'), testRows('a', 4), { textColumns: ['text'] })
  await ingestRows(core('docs'), testRows('b', 2))
  await deleteRecords(core('docs'), { ids: ['a0'] })
  await (await environment.audit()).checkpoint()
  return machine
}

it.each(COMMANDS)(
  '$name leaves the state before it or after it, at whatever step it is killed',
  async (command) => {
    const start = await base()
    const before = await contents(start)
    const done = await cloneMachine(start)
    await command.run(done.start().core)
    const after = await contents(done)
    let step = 1
    for (let ended = false; !ended; step++) {
      const machine = await cloneMachine(start, 1_000 + step)
      const crash = crashAtStep(step, TORN_SHARES[step % TORN_SHARES.length])
      const process = machine.start({ hook: crash.hook })
      const acknowledged = await command.run(process.core).then(
        () => true,
        () => false,
      )
      ended = crash.struck() === undefined
      const where = `killed ${crash.struck()?.phase} ${crash.struck()?.operation} (step ${step})`
      await reopen(machine)
      await expectOutcomes(machine)
      const found = await contents(machine)
      if (acknowledged) expect(found, where).toBe(after)
      else expect([before, after], where).toContain(found)
      if (!command.repeatable) continue
      await command.run(machine.start().core)
      expect(await contents(machine), where).toBe(after)
    }
    expect(step).toBeGreaterThan(8)
  },
)
