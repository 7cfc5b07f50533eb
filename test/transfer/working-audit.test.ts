import { describe, expect, it } from 'vitest'
import { splitFrames } from '../../src/audit/frames.ts'
import { createSharedLogs } from '../../src/audit/shared-logs.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { verifyWorkingLogs } from '../../src/transfer/working-audit.ts'
import {
  cloneMachine,
  createTestClock,
  createTestMachine,
  startProcess,
  type TestMachine,
} from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

/** Two machines that each committed to a collection of their own, and signed their logs. */
async function twoMachines(): Promise<readonly [TestMachine, TestMachine]> {
  const clock = createTestClock()
  const a = createTestMachine({ isShared: true, clock })
  const b = createTestMachine({ seed: 2, isShared: true, clock, store: a.store })
  for (const [machine, name] of [[a, 'docs'] as const, [b, 'notes'] as const]) {
    const { environment, core } = machine.start()
    await ingestRows(core(name), testRows('r', 3))
    await (await environment.audit()).checkpoint()
  }
  return [a, b]
}

const folderOf = ({ logKey }: TestMachine): string => `audit/${logKey.keyId}`

const keysOf = async (store: ObjectStore, prefix: string): Promise<string[]> =>
  (await Array.fromAsync(store.list(prefix))).map(({ key }) => key)

const partsOf = (machine: TestMachine): Promise<string[]> =>
  keysOf(machine.store, `${folderOf(machine)}/tail/`)

/** As `a` sees it, who trusts both. */
const verify = (a: TestMachine, b: TestMachine) =>
  verifyWorkingLogs(a.store, { trusted: [a.logKey, b.logKey], state: a.state })

const codesOf = async (a: TestMachine, b: TestMachine) => {
  const { ok, problems } = await verify(a, b)
  expect(ok).toBe(problems.length === 0)
  return problems.map(({ code, message }) => `${code} ${message.slice(0, message.indexOf(':'))}`)
}

describe('the logs of all machines in a bucket', () => {
  it('are whole, and the own one is the same here', async () => {
    const [a, b] = await twoMachines()
    const { ok, logs, problems, checkpoints } = await verify(a, b)
    expect({ ok, problems, checkpoints }).toEqual({ ok: true, problems: [], checkpoints: 3 })
    const own = logs.find(({ logId }) => logId === a.logKey.keyId)
    expect(own?.entriesHere).toBe(own?.entries)
    const other = logs.find(({ logId }) => logId === b.logKey.keyId)
    expect(other).toMatchObject({ entriesHere: null, entries: own?.entries })
  })

  it('are untrusted where nobody vouches for one of them', async () => {
    const [a, b] = await twoMachines()
    const { ok, problems } = await verifyWorkingLogs(a.store, {
      trusted: [a.logKey],
      state: a.state,
    })
    expect(ok).toBe(false)
    expect(problems.map(({ code }) => code)).toEqual(['UNTRUSTED'])
    expect(await codesOf(a, b)).toEqual([])
  })

  for (const whose of [0, 1]) {
    const who = whose === 0 ? 'its own' : "another's"

    it(`are broken where the end of ${who} was cut`, async () => {
      const machines = await twoMachines()
      const victim = machines[whose] as TestMachine
      await victim.store.delete((await partsOf(victim)).at(-1) ?? '')
      expect(await codesOf(...machines)).toContain('TRUNCATED in the bucket')
    })

    it(`are broken where ${who} was removed`, async () => {
      const machines = await twoMachines()
      const victim = machines[whose] as TestMachine
      for (const key of await keysOf(victim.store, folderOf(victim))) await victim.store.delete(key)
      expect(await codesOf(...machines)).toContain('TRUNCATED in the bucket')
    })

    it(`are broken where ${who} was put in place of the other`, async () => {
      const machines = await twoMachines()
      const victim = machines[whose] as TestMachine
      const other = machines[1 - whose] as TestMachine
      const theirs = await partsOf(other)
      for (const key of await partsOf(victim)) await victim.store.delete(key)
      for (const key of theirs) {
        const as = key.replace(folderOf(other), folderOf(victim))
        await victim.store.put(as, await victim.store.get(key))
      }
      expect((await codesOf(...machines)).length).toBeGreaterThan(0)
    })

    it(`are broken where an entry of ${who} was altered`, async () => {
      const machines = await twoMachines()
      const victim = machines[whose] as TestMachine
      const [part = ''] = await partsOf(victim)
      const bytes = Buffer.from(await victim.store.get(part))
      const [entry = new Uint8Array()] = splitFrames(bytes).entries
      bytes.write('z', 2 + Buffer.from(entry).indexOf('test'))
      await victim.store.put(part, bytes, { mode: 'replace' })
      expect((await codesOf(...machines)).length).toBeGreaterThan(0)
    })
  }

  it('are broken where the own one goes on otherwise in the bucket', async () => {
    const [a, b] = await twoMachines()
    // A copy of the whole machine, with its keys, that goes on elsewhere.
    const copy = await cloneMachine(a)
    const bucket = await cloneMachine({ ...a, state: createTestMachine().state })
    const fork = { ...a, state: copy.state, store: bucket.store }
    for (const [machine, act] of [
      [a, 'here'],
      [fork, 'there'],
    ] as const) {
      const { environment } = startProcess(machine, {}, act)
      const audit = await environment.audit()
      await audit.append([{ act, phase: 'event', actor: environment.actor }])
      await audit.checkpoint()
    }
    expect(await codesOf(a, b)).toEqual([])
    for (const key of await keysOf(a.store, folderOf(a))) await a.store.delete(key)
    for (const key of await keysOf(fork.store, folderOf(a))) {
      await a.store.put(key, await fork.store.get(key))
    }
    const codes = await codesOf(a, b)
    expect(codes.length).toBeGreaterThan(0)
    expect(codes.every((one) => one.endsWith('here'))).toBe(true)
  })

  it('may lack what the bucket could not take, and not what this machine lacks', async () => {
    const [a, b] = await twoMachines()
    const reader = a.start().environment
    const unpublished = createSharedLogs({
      ...{ inner: a.store, state: a.state, logId: a.logKey.keyId, publishes: false },
    })
    const [tail = ''] = await keysOf(a.state, `${folderOf(a)}/tail/`)
    const before = await a.state.get(tail)
    const audit = await reader.audit()
    expect(audit.size).toBeGreaterThan(0)
    expect((await unpublished.head(tail))?.bytes).toBe(before.length)
    expect(await codesOf(a, b)).toEqual([])
    // An older copy of the state folder.
    const entries = splitFrames(before).entries
    const last = entries.at(-1)?.length ?? 0
    await a.state.put(tail, before.subarray(0, before.length - last - 2), { mode: 'replace' })
    expect((await codesOf(a, b)).some((one) => one.endsWith('here'))).toBe(true)
  })
})
