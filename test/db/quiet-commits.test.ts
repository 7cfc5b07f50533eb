import { expect, it } from 'vitest'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { makeDocs } from '../support/log-process.ts'
import { createTestMachine } from '../support/memory-environment.ts'
import { ingestRows } from '../support/records.ts'

// A commit that this process was not told of at once (a fold of the log) must not take its place
// before a later one.

/** A collection whose head is looked up every ten seconds, where nothing tells of a newer one. */
async function slowToLook() {
  const machine = createTestMachine()
  await makeDocs(machine)
  const environment = { ...machine.start().environment, headAgeMaxMs: 10_000 }
  const core = new CollectionCore({ environment, name: 'docs' })
  await ingestRows(core, [
    { id: 'a', vector: [1, 1], n: 1 },
    { id: 'b', vector: [1, 1], n: 2 },
  ])
  return { machine, core, other: machine.start().core('docs') }
}

it('are the head as soon as they are announced', async () => {
  const { core, other } = await slowToLook()
  const before = await core.recentHead()
  const moment = core.moment()
  const quiet = await other.head()
  core.announce(quiet, moment)
  expect(await core.recentHead()).toBe(quiet)
  expect(quiet.commit.version).toBe(before.commit.version)
})

it.each(['this', 'another'] as const)(
  'do not hide what %s handle of the process committed since',
  async (which) => {
    const { core, other } = await slowToLook()
    const moment = core.moment()
    const quiet = await core.head()
    const writer = which === 'this' ? core : other
    expect(await deleteRecords(writer, { filter: { n: 1 } })).toBe(1)
    core.announce(quiet, moment)
    const seen = await core.recentHead()
    expect(seen.commit.version).toBe(quiet.commit.version + 1)
  },
)
