import { expect, it } from 'vitest'
import { createCollection } from '../../src/db/collection/lifecycle.ts'
import { claimEpoch, claimOf, newestEpoch } from '../../src/db/wal/claim.ts'
import { NAME, own, row, twoMachines } from '../support/local-owner.ts'
import { createTestMachine } from '../support/memory-environment.ts'

// Claims of the logs of single writes: who owns which epoch.

it('gives each of those that claim at once a number of its own', async () => {
  const machine = createTestMachine({ isShared: true })
  const core = machine.start().core(NAME)
  await createCollection(core, {})
  const head = await core.head()
  const claimed = await Promise.all(Array.from({ length: 6 }, () => claimEpoch(core, head)))
  expect(new Set(claimed).size).toBe(6)
  expect(Math.min(...claimed)).toBe(head.commit.epoch + 1)
  expect(await newestEpoch(core)).toBe(Math.max(...claimed))
  for (const epoch of claimed) expect((await claimOf(core, epoch))?.epoch).toBe(epoch)
})

it('gives none that a head has had, although its claim is gone', async () => {
  const [a] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('x')])
  await first.owner.close()
  const core = a.start().core(NAME)
  const head = await core.head()
  expect(head.commit.epoch).toBeGreaterThan(0)
  for await (const { key } of a.store.list(`collections/${NAME}/owner/`)) await a.store.delete(key)
  expect(await claimEpoch(core, head)).toBe(head.commit.epoch + 1)
})
