import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { endLogs } from '../../src/db/wal/claim.ts'
import { isLogOpen } from '../../src/db/wal/log-file.ts'
import { OwnerHost } from '../../src/db/wal/owner-host.ts'
import type { StepHook } from '../support/fault-store.ts'
import { makeDocs, seenBy, startOwner } from '../support/log-process.ts'
import {
  createTestClock,
  createTestMachine,
  type TestMachine,
  type TestProcess,
} from '../support/memory-environment.ts'

// The log of single writes in a store that machines share: groups that are objects, and an owner
// whom nobody can ask.

/** Two machines at one store with an empty collection "docs". */
async function twoMachines(): Promise<readonly [TestMachine, TestMachine]> {
  const clock = createTestClock()
  const a = createTestMachine({ isShared: true, clock })
  await makeDocs(a)
  return [a, createTestMachine({ seed: 2, isShared: true, clock, store: a.store })]
}

const groupsOf = async ({ store }: TestMachine): Promise<string[]> =>
  (await Array.fromAsync(store.list('collections/docs/log/'))).map(({ key }) => key)

/** Does something once, before a process does something to keys of some kind. */
function once(operation: Parameters<StepHook>[0]['operation'], part: string) {
  const due: { work?: (() => Promise<unknown>) | undefined } = {}
  const hook: StepHook = async (step) => {
    const { work } = due
    const isIt = step.phase === 'before' && step.operation === operation && step.key.includes(part)
    if (work === undefined || !isIt) return
    due.work = undefined
    await work()
  }
  return { due, hook }
}

describe('groups of single writes in a bucket', () => {
  it('begin 50 ms apart, and take what came meanwhile', async () => {
    const [a] = await twoMachines()
    const begun: number[] = []
    const owner = await startOwner(a, ({ operation, phase, key }) => {
      if (operation !== 'put' || phase !== 'before' || !key.includes('/log/')) return
      begun.push(a.clock.nowMs())
    })
    const startMs = a.clock.nowMs()
    await owner.put(['first'], 0)
    expect(a.clock.nowMs() - startMs).toBeLessThan(limits.logGroupMs)
    await Promise.all(Array.from({ length: 50 }, (_, i) => owner.put([`r${i}`], i)))
    expect(begun.length).toBeLessThanOrEqual(3)
    for (let i = 0; i < 3; i++) await owner.put(['next'], i)
    const gaps = begun.slice(1).map((atMs, i) => atMs - (begun[i] ?? 0))
    for (const gapMs of gaps) {
      expect(gapMs).toBeGreaterThanOrEqual(limits.logGroupMs)
      expect(gapMs).toBeLessThan(2 * limits.logGroupMs)
    }
    expect(await seenBy(owner)).toHaveLength(52)
  })

  it('are committed when there are many, and go', async () => {
    const [a, b] = await twoMachines()
    const owner = await startOwner(a)
    for (let i = 0; i < limits.logFoldGroups; i++) await owner.put([`r${i}`], i)
    for (let turns = 0; turns < 5_000 && (await owner.owner.rowsAtRisk()) > 0; turns++) {
      await new Promise((go) => setImmediate(go))
    }
    expect(await owner.owner.rowsAtRisk()).toBe(0)
    await owner.put(['last'], 1)
    expect((await groupsOf(a)).length).toBe(1)
    expect(await seenBy(b.start())).toHaveLength(limits.logFoldGroups + 1)
  })

  it('stay where they came while the others were committed', async () => {
    const [a, b] = await twoMachines()
    const { due, hook } = once('put', '/manifests/')
    const owner = await startOwner(a, hook)
    await owner.put(['a'], 1)
    due.work = () => owner.put(['late'], 2)
    await owner.owner.fold()
    expect(await groupsOf(a)).toHaveLength(1)
    expect(await seenBy(b.start())).toEqual(['a=1', 'late=2'])
  })

  it('are not acknowledged where another one has the place', async () => {
    const [a, b] = await twoMachines()
    const owner = await startOwner(a)
    await owner.put(['a'], 1)
    const [first = ''] = await groupsOf(a)
    const { length } = await a.store.get(first)
    const next = first.replace(/\d{20}$/, String(length).padStart(20, '0'))
    await a.store.put(next, Buffer.from('of a copy of this machine'))
    await expect(owner.put(['b'], 1)).rejects.toMatchObject({ code: 'CONFLICT' })
    await a.store.delete(next)
    await owner.put(['c'], 1)
    expect(await seenBy(b.start())).toEqual(['a=1', 'c=1'])
  })

  it('are read on by a reader from whom they are taken', async () => {
    const [a, b] = await twoMachines()
    const owner = await startOwner(a)
    await owner.put(['a'], 1)
    await owner.put(['b'], 2)
    const { due, hook } = once('get', '/log/')
    const reader = b.start({ mode: 'read', hook })
    due.work = () => owner.owner.fold()
    expect(await seenBy(reader)).toEqual(['a=1', 'b=2'])
    expect(due.work).toBeUndefined()
  })

  it('of the owner before are gone when another took over, and his are not', async () => {
    const [a, b] = await twoMachines()
    const [one, other] = [await startOwner(a), await startOwner(b)]
    await one.put(['a'], 1)
    const before = await groupsOf(a)
    await other.put(['b'], 2)
    const after = await groupsOf(a)
    expect([before.length, after.length]).toEqual([1, 1])
    expect(after).not.toEqual(before)
    for (const _ of ['at once', 'and later']) {
      await expect(one.put(['c'], 3)).rejects.toMatchObject({
        code: 'CONFLICT',
        message: expect.stringMatching(/^".+" on test took over the log of "docs" \(epoch 2\)$/),
        hint: expect.stringContaining('stop that one'),
      })
    }
    expect(await seenBy(a.start())).toEqual(['a=1', 'b=2'])
  })

  it('that another machine had are told of, those that this one had are not', async () => {
    const [a, b] = await twoMachines()
    const before = await startOwner(a)
    await before.put(['w'], 1)
    await before.owner.close()
    const first = await startOwner(a)
    await first.put(['x'], 1)
    const second = await startOwner(b)
    await second.put(['y'], 1)
    await second.put(['z'], 1)
    await expect(first.put(['late'], 1)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect([...before.process.warnings, ...first.process.warnings]).toEqual([])
    expect(second.process.warnings).toEqual([
      {
        code: 'LOG_TAKEN',
        message: expect.stringMatching(/took over .* of "docs" from ".+" on test: if/),
      },
    ])
  })

  it('of a log that an import ended are refused once, and then go to a new one', async () => {
    const [a, b] = await twoMachines()
    const owner = await startOwner(a)
    await owner.put(['a'], 1)
    await owner.owner.fold()
    const core = b.start().core('docs')
    const epoch = await endLogs(core, await core.head())
    await expect(owner.put(['refused'], 2)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/^"docs" was dropped and imported again by ".+" on test$/),
    })
    await owner.put(['b'], 3)
    expect((await core.head()).commit.epoch).toBe(epoch + 1)
    // Here nothing was imported: a group that was refused may be there or not.
    expect(await seenBy(a.start())).toEqual(expect.arrayContaining(['a=1', 'b=3']))
  })
})

describe('rows that a server on another machine has not committed', () => {
  /** What a process does about them. */
  async function hostOf(
    process: TestProcess,
    { stateFolder = '', asleep = async () => undefined as unknown } = {},
  ) {
    const made = stateFolder === '' ? await mkdtemp(join(tmpdir(), 'akidb-owner-')) : stateFolder
    if (stateFolder === '') onTestFinished(() => rm(made, { recursive: true, force: true }))
    const { clock } = process.environment
    const sleep = async (ms: number): Promise<void> => {
      await clock.sleep(ms)
      await asleep()
    }
    const environment = {
      ...{ ...process.environment, stateFolder: made },
      clock: { nowMs: () => clock.nowMs(), sleep },
    }
    const cores = {
      core: (name: string) => process.core(name),
      withCore: <T>(name: string, work: (core: CollectionCore) => Promise<T>) =>
        work(process.core(name)),
    }
    const host = new OwnerHost(environment, () => cores)
    onTestFinished(() => host.close())
    return { host, core: process.core('docs'), stateFolder: made }
  }

  const isOpen = async (core: CollectionCore): Promise<boolean> =>
    await isLogOpen(core.environment, await core.head())

  /** A server on one machine that took a row, and a process on the other. */
  async function served() {
    const [a, b] = await twoMachines()
    const server = await startOwner(a)
    await server.put(['x'], 1)
    const { epoch } = (await server.core.head()).commit
    const untouched = async () => {
      expect((await server.core.head()).commit.epoch).toBe(epoch)
      expect(await isOpen(server.core)).toBe(true)
      await server.put(['still'], 1)
    }
    return { a, b, server, epoch, untouched }
  }

  it('are waited for, then warned of', async () => {
    const { b, untouched } = await served()
    const process = b.start()
    const { host, core } = await hostOf(process)
    const startMs = b.clock.nowMs()
    await host.flushLog(core)
    expect(b.clock.nowMs() - startMs).toBeGreaterThanOrEqual(process.environment.lockWaitMs)
    expect(process.warnings.map(({ code }) => code)).toEqual(['LOG_OPEN'])
    await untouched()
  })

  it('are waited for, then refused, where they must be there', async () => {
    const { b, untouched } = await served()
    const process = b.start()
    const { host, core } = await hostOf(process)
    await expect(host.flushLog(core, 'must')).rejects.toMatchObject({ code: 'LOCKED' })
    expect(process.warnings).toEqual([])
    await untouched()
  })

  it('are left at once where they may be', async () => {
    const { b, untouched } = await served()
    const process = b.start()
    const { host, core } = await hostOf(process)
    const startMs = b.clock.nowMs()
    await host.flushLog(core, 'leave')
    expect(b.clock.nowMs() - startMs).toBeLessThan(1_000)
    expect(process.warnings).toEqual([])
    await untouched()
  })

  it('are waited for no longer than until they are committed', async () => {
    const { b, server } = await served()
    const process = b.start()
    const { host, core } = await hostOf(process, { asleep: () => server.owner.fold() })
    await host.flushLog(core, 'must')
    expect(process.warnings).toEqual([])
    expect(await isOpen(core)).toBe(false)
  })

  it('are committed by another where their server left them for minutes', async () => {
    const { b, epoch } = await served()
    const { host, core } = await hostOf(b.start())
    b.clock.advance(limits.logOwnerQuietMs - 20_000)
    await expect(host.flushLog(core, 'must')).rejects.toMatchObject({ code: 'LOCKED' })
    b.clock.advance(20_000)
    await host.flushLog(core, 'must')
    expect(await isOpen(core)).toBe(false)
    expect((await core.head()).commit.epoch).toBe(epoch + 1)
    expect(await seenBy(b.start())).toEqual(['x=1'])
  })

  it('are committed at once by the machine whose server died', async () => {
    const { a, server, epoch } = await served()
    server.process.kill()
    const { host, core } = await hostOf(a.start())
    const startMs = a.clock.nowMs()
    await host.flushLog(core, 'must')
    expect(a.clock.nowMs() - startMs).toBeLessThan(2_000)
    expect((await core.head()).commit.epoch).toBe(epoch + 1)
    expect(await seenBy(a.start())).toEqual(['x=1'])
  })

  it('stay with their server, whomever on the other machine somebody asks', async () => {
    const { b, untouched } = await served()
    const owner = await hostOf(b.start())
    await owner.host.owner()
    const { host, core } = await hostOf(b.start(), { stateFolder: owner.stateFolder })
    await host.flushLog(core, 'leave')
    await expect(host.flushLog(core, 'must')).rejects.toMatchObject({ code: 'LOCKED' })
    await expect(owner.host.flushLog(core, 'must')).rejects.toMatchObject({ code: 'LOCKED' })
    await untouched()
  })
})
