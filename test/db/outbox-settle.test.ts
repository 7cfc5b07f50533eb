import { expect, it } from 'vitest'
import { createCollection, dropCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { manifestKey } from '../../src/db/states/manifest-store.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import { settleOutbox } from '../../src/db/wal/outbox-settle.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { versionsOf } from '../support/history.ts'
import { keptAt, NAME, own, row, turns, twoMachines } from '../support/local-owner.ts'

// How rows are kept that another machine came before.

const kept = (id: string) => `{"id":"${id}","payload":{"n":0}}`

it('has many rows until they are kept elsewhere, where keeping them fails at first', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  const ids = Array.from({ length: 600 }, (_, i) => `r${i}`)
  await first.log.write(ids.map((id) => row(id)))
  first.process.kill()
  await (await own(b)).owner.close()
  const full = new AkidbError('NO_SPACE', 'the disk is full')
  const failing = own(a, ({ operation, phase, key }) => {
    if (phase === 'before' && operation === 'commit' && key.startsWith('unsent/')) throw full
  })
  await expect(failing).rejects.toBe(full)
  expect(await keptAt(a)).toEqual([])
  await own(a)
  expect(await keptAt(a)).toEqual(ids.map(kept))
})

it('keeps rows although of all its commits only an older owner’s is left', async () => {
  const [a, b] = await twoMachines()
  const older = await own(a)
  await older.log.write(Array.from({ length: 50 }, (_, i) => row(`r${i}`)))
  await older.owner.close()
  await createSnapshot(b.start().core(NAME), 'kept')
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x')])
  first.process.kill()
  const other = await own(b)
  await other.log.write([row('y')])
  await other.owner.close()
  a.clock.advance(3 * 3_600_000)
  await collectGarbage(b.start().environment, { keepMs: 0 })
  expect(await versionsOf(b.start().core(NAME))).toHaveLength(2)
  await own(a)
  expect(await keptAt(a)).toEqual([kept('x')])
})

it.each([
  ['and commits before it are there', false, 2],
  ['of which alone is left that it was', false, 1],
  ['of which nothing is left', true, 1],
])('keeps what was sent after a drop %s', async (_, isAnew, left) => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('x')])
  await turns()
  await dropCollection(b.start().core(NAME))
  // Sooner than it looks again.
  await first.log.write([row('y')])
  await turns()
  expect(first.log.atRisk?.rows).toBe(0)
  first.process.kill()
  if (isAnew) await createCollection(b.start().core(NAME), {})
  a.clock.advance(3 * 3_600_000)
  await collectGarbage(b.start().environment, { keepMs: 0 })
  const versions = await versionsOf(b.start().core(NAME))
  for (const version of versions.slice(left)) await a.store.delete(manifestKey(NAME, version))
  expect(await versionsOf(b.start().core(NAME))).toHaveLength(left)
  const core = a.start().core(NAME)
  await settleOutbox(core, await core.manifests.newest())
  // Too much may be told of, never too little.
  expect((await keptAt(a)).filter((line) => line !== kept('x'))).toEqual([kept('y')])
})
