import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { createCollection, dropCollection } from '../../src/db/collection/lifecycle.ts'
import { claimEpoch } from '../../src/db/wal/claim.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import { outboxLogs, readMark } from '../../src/db/wal/outbox.ts'
import { unsentFiles, unsentRows } from '../../src/db/wal/outbox-settle.ts'
import { crashAtStep } from '../support/fault-store.ts'
import { keptAt, NAME, own, row, turns, twoMachines } from '../support/local-owner.ts'
import type { TestMachine, TestProcess } from '../support/memory-environment.ts'
import { idsOf, ingestRows, recordsOf } from '../support/records.ts'

// Single writes that are acknowledged in the state folder.

const idsAt = (machine: TestMachine): Promise<string[]> => idsOf(machine.start().core(NAME))

it('acknowledges without the bucket, and brings it there when it answers', async () => {
  const [a, b] = await twoMachines()
  const { log, link, owner, core, process } = await own(a)
  link.cut(true)
  link.calls.length = 0
  await log.write([row('x'), row('y')])
  await log.write([row('z')])
  expect(log.atRisk).toMatchObject({ rows: 3, sinceMs: expect.any(Number) })
  expect(log.atRisk?.sinceMs).toBeGreaterThan(0)
  expect(await idsAt(b)).toEqual([])
  link.cut(false)
  await turns()
  expect(log.atRisk).toMatchObject({ rows: 0, bytes: 0, sinceMs: 0 })
  expect(await idsAt(b)).toEqual(['x', 'y', 'z'])
  expect(process.warnings).toEqual([expect.objectContaining({ code: 'UNREACHABLE' })])
  await owner.close()
  expect((await core.head()).state.segments).toHaveLength(1)
  expect(await Array.fromAsync(a.state.list('outbox/'))).toEqual([])
  expect(await Array.fromAsync(a.store.list('collections/docs/log/'))).toEqual([])
})

const unsentAt = async (machine: TestMachine) => {
  const { environment, core } = machine.start({ mode: 'read' })
  return await unsentRows(environment, new Map([[NAME, await core(NAME).head()]]))
}

const eventsOf = async ({ environment }: TestProcess) =>
  (await Array.fromAsync((await environment.audit()).read())).filter(
    ({ act }) => act === 'upsert.unsent',
  )

it('brings what an owner that was killed had acknowledged', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('sent')])
  await turns()
  first.link.cut(true)
  const startMs = a.clock.nowMs()
  await first.log.write([row('x'), { kind: 'delete', id: 'sent' }])
  first.process.kill()
  expect(await unsentAt(a)).toEqual([{ collection: NAME, rows: 2, sinceMs: expect.any(Number) }])
  expect((await unsentAt(a))[0]?.sinceMs).toBeGreaterThan(startMs)
  expect(await idsAt(b)).toEqual(['sent'])
  const next = await own(a)
  expect(await idsAt(b)).toEqual(['x'])
  expect(await unsentAt(a)).toEqual([])
  expect(await keptAt(a)).toEqual([])
  await next.owner.close()
})

it('brings it also where it was killed in between, once', async () => {
  for (let step = 1; ; step += 3) {
    const [a, b] = await twoMachines()
    const first = await own(a)
    first.link.cut(true)
    await first.log.write([row('x', 1), row('y', 1)])
    first.process.kill()
    const crash = crashAtStep(step)
    const process = a.start({ hook: crash.hook })
    const done = await LogOwner.start(process.environment, { timer: false })
      .then(async (owner) => await owner.log(process.core(NAME), await process.core(NAME).head()))
      .then(
        () => true,
        () => false,
      )
    process.kill()
    const next = await own(a)
    expect(await idsAt(b), `step ${step}`).toEqual(['x', 'y'])
    expect(await keptAt(a)).toEqual([])
    expect(await eventsOf(next.process)).toEqual([])
    expect(await Array.fromAsync(a.state.list('outbox/'))).toEqual([])
    if (done) break
  }
})

it('keeps apart what another machine came before, and says so', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('before')])
  await turns()
  first.link.cut(true)
  await first.log.write([row('x', 1), { kind: 'delete', id: 'before' }])
  first.process.kill()
  const other = await own(b)
  await other.log.write([row('x', 2)])
  await other.owner.close()
  const next = await own(a)
  expect(await recordsOf(a.start().core(NAME))).toEqual([
    ['before', '[["n",0]]'],
    ['x', '[["n",2]]'],
  ])
  expect(await keptAt(a)).toEqual([
    '{"id":"x","payload":{"n":1}}',
    '{"id":"before","deleted":true}',
  ])
  expect(next.process.warnings).toEqual([
    expect.objectContaining({ code: 'ROWS_UNSENT', message: expect.stringContaining('2 ack') }),
    expect.objectContaining({ code: 'LOG_TAKEN' }),
  ])
  const [file = ''] = await unsentFiles(a)
  expect(await eventsOf(next.process)).toEqual([
    expect.objectContaining({
      collection: NAME,
      details: expect.objectContaining({ rows: 2, file, replacedBy: expect.any(Number) }),
    }),
  ])
  await next.owner.close()
  expect(await unsentAt(a)).toEqual([])
})

it('tells an owner that lives of another one, and keeps its rows', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  const other = await own(b)
  await other.log.write([row('y', 1)])
  first.link.cut(false)
  a.clock.advance(10_000)
  await turns()
  await expect(first.log.write([row('z')])).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await keptAt(a)).toEqual(['{"id":"x","payload":{"n":1}}'])
  expect(first.log.knownHead).toBeUndefined()
  expect(await first.log.fold()).toBe('replaced')
  await first.owner.close()
  await other.owner.close()
  expect(await idsAt(a)).toEqual(['y'])
})

it('commits before one who has only claimed the log', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  const { core } = b.start()
  await claimEpoch(core(NAME), await core(NAME).head())
  first.link.cut(false)
  await turns()
  expect(await idsAt(b)).toEqual(['x'])
  await expect(first.log.write([row('z')])).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await keptAt(a)).toEqual([])
})

it('keeps the rows of a collection that was dropped elsewhere', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  await dropCollection(b.start().core(NAME))
  await createCollection(b.start().core(NAME), {})
  first.link.cut(false)
  expect(await first.log.fold()).toBe('gone')
  expect(await keptAt(a)).toEqual(['{"id":"x","payload":{"n":1}}'])
  expect(await idsAt(a)).toEqual([])
})

it('takes no more at risk than it may', async () => {
  const [a] = await twoMachines()
  const { log, link, owner } = await own(a)
  link.cut(true)
  const many = Array.from({ length: limits.localRowsMax }, (_, i) => row(`r${i}`))
  await log.write(many)
  expect(log.atRisk?.rows).toBe(limits.localRowsMax)
  await expect(log.write([row('late')])).rejects.toMatchObject({ code: 'UNREACHABLE' })
  link.cut(false)
  await log.write([row('late')])
  expect(log.atRisk?.rows ?? 0).toBeLessThan(limits.localRowsMax)
  await owner.close()
  expect(await idsAt(a)).toHaveLength(limits.localRowsMax + 1)
})

it('refuses to go on where what it had acknowledged is damaged', async () => {
  const [a] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  await first.log.write([row('y', 1)])
  first.process.kill()
  const [piece] = (await Array.fromAsync(a.state.list('outbox/'))).filter(
    ({ key }) => !key.endsWith('.json'),
  )
  const bytes = Buffer.from(await a.state.get(piece?.key ?? ''))
  bytes[60] = (bytes[60] ?? 0) ^ 1
  await a.state.put(piece?.key ?? '', bytes, { mode: 'replace' })
  await expect(unsentAt(a)).rejects.toMatchObject({ code: 'INTEGRITY' })
  await expect(own(a)).rejects.toMatchObject({
    code: 'INTEGRITY',
    hint: expect.stringMatching(/"outbox\/docs\/[0-9a-f]{32}"/),
  })
})

it('believes no mark that is damaged: it tells of too much, never of too little', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('sent')])
  await turns()
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  first.process.kill()
  const [log] = await outboxLogs(a.state)
  expect(log && (await readMark(a.state, log))).toMatchObject({ sent: expect.any(Number) })
  const [mark] = (await Array.fromAsync(a.state.list('outbox/'))).filter(({ key }) =>
    key.endsWith('.json'),
  )
  for (const text of ['', '{"sent":-1,"sinceMs":0}', '{"sent":1e9', '\0\0']) {
    await a.state.put(mark?.key ?? '', Buffer.from(text), { mode: 'replace' })
    expect(await unsentAt(a)).toEqual([{ collection: NAME, rows: 2, sinceMs: 0 }])
  }
  await (await own(b)).owner.close()
  await own(a)
  expect(await keptAt(a)).toHaveLength(2)
})

it('keeps at risk what it cannot commit when it ends, for the next owner', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  first.link.cut(true)
  await first.log.write([row('x', 1)])
  await expect(first.owner.close()).rejects.toMatchObject({ code: 'UNREACHABLE' })
  expect(await unsentAt(a)).toMatchObject([{ rows: 1 }])
  await (await own(a)).owner.close()
  expect(await idsAt(b)).toEqual(['x'])
  expect(await unsentAt(a)).toEqual([])
})

it('takes no write for a collection of which it hears that it was dropped', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('x', 1)])
  await turns()
  await dropCollection(b.start().core(NAME))
  a.clock.advance(2_000)
  expect(first.log.knownHead).toBeDefined()
  await first.log.write([row('y', 1)])
  await turns()
  expect(first.log.knownHead).toBeUndefined()
  await expect(first.log.write([row('z', 1)])).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await keptAt(a)).toEqual(['{"id":"y","payload":{"n":1}}'])
  await first.owner.close()
})

it('checks writes against what others have committed', async () => {
  const [a, b] = await twoMachines()
  const first = await own(a)
  await first.log.write([row('x', 1)])
  await turns()
  const before = first.log.knownHead?.commit.version ?? 0
  await ingestRows(b.start().core(NAME), [{ id: 'b', payload: new Map() }])
  a.clock.advance(2_000)
  await first.log.write([row('y', 1)])
  await turns()
  expect(first.log.knownHead?.commit.version).toBe(before + 1)
  await first.owner.close()
  expect(await idsAt(b)).toEqual(['b', 'x', 'y'])
})
