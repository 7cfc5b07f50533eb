import { describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { auditKeys } from '../../src/audit/layout.ts'
import { readEntries } from '../../src/audit/read.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { limits } from '../../src/core/limits.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { commitLockName } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { checkOutcomes, recoverActs } from '../../src/db/collection/recover.ts'
import { actLockName, beginAct, runAct } from '../../src/db/states/acts.ts'
import { commitManifest } from '../../src/db/states/commit.ts'
import { manifestKey } from '../../src/db/states/manifest-store.ts'
import { crashAtStep, type StepHook, type StoreStep } from '../support/fault-store.ts'
import { cloneMachine, createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

/** A collection `docs` of a0–a3 and a signed log, in a machine on which nothing runs. */
async function base(options: { isShared?: boolean } = {}): Promise<TestMachine> {
  const machine = createTestMachine(options)
  const { environment, core } = machine.start()
  await ingestRows(core('docs'), testRows('a', 4))
  await (await environment.audit()).checkpoint()
  return machine
}

async function entriesOf(machine: TestMachine): Promise<AuditEntry[]> {
  const keys = auditKeys(`audit/${machine.logKey.keyId}`)
  const entries: AuditEntry[] = []
  for await (const entry of readEntries(machine.store, keys, {})) entries.push(entry)
  return entries
}

/** Outcomes of a kind of act, oldest first. */
const outcomesOf = async (machine: TestMachine, act: string) =>
  (await entriesOf(machine))
    .filter((entry) => entry.act === act && entry.phase === 'outcome')
    .map(({ details }) => details)

async function logProblems(machine: TestMachine): Promise<readonly string[]> {
  const { problems } = await verifyAuditLog({
    store: machine.store,
    prefix: `audit/${machine.logKey.keyId}`,
    keys: [machine.logKey],
  })
  return problems.map(({ code }) => code)
}

const tailKey = async (machine: TestMachine): Promise<string> => {
  for await (const { key } of machine.store.list('audit/')) if (key.includes('/tail/')) return key
  throw new Error('no open batch')
}

/** Kills a delete of a1 just after or before the first step that `at` picks. */
async function killDelete(
  machine: TestMachine,
  at: (step: StoreStep) => boolean,
  tornShare = 0,
): Promise<void> {
  const counting = (n: number): StepHook => crashAtStep(n, tornShare).hook
  let hook: StepHook | undefined
  const process = machine.start({
    hook: async (step) => {
      if (hook === undefined && at(step)) hook = counting(1)
      await hook?.(step)
    },
  })
  await expect(deleteRecords(process.core('docs'), { ids: ['a1'] })).rejects.toThrow()
  expect(process.crashed).toBe(true)
}

const beforeAppend = (n: number) => {
  let seen = 0
  return ({ phase, operation }: StoreStep): boolean =>
    phase === 'before' && operation === 'append' && ++seen === n
}
const justAfter =
  (operation: string, part: string) =>
  (step: StoreStep): boolean =>
    step.phase === 'after' && step.operation === operation && step.key.includes(part)

const headVersion = async (machine: TestMachine): Promise<number> =>
  (await machine.start().core('docs').head()).commit.version

describe('a killed command', () => {
  it('leaves no trace where it died before its intent', async () => {
    const machine = await base()
    const entries = (await entriesOf(machine)).length
    await killDelete(machine, beforeAppend(1))
    const { environment } = machine.start()
    expect(await environment.locks.list('act-')).toHaveLength(1)
    expect(await recoverActs(environment)).toBe(0)
    expect(await entriesOf(machine)).toHaveLength(entries)
    expect(await environment.locks.list('act-')).toEqual([])
  })

  it.each([
    ['its intent', justAfter('append', '/tail/')],
    ['its pin', justAfter('put', 'pins/')],
    ['its blobs', justAfter('commit', 'blobs/')],
  ])('is aborted where it died after %s', async (_, at) => {
    const machine = await base()
    await killDelete(machine, at)
    expect(await recoverActs(machine.start().environment)).toBe(1)
    expect(await outcomesOf(machine, 'delete')).toEqual([
      { result: 'aborted', code: 'INTERRUPTED' },
    ])
    expect(await headVersion(machine)).toBe(2)
    expect(await logProblems(machine)).toEqual([])
  })

  it('is recovered where its manifest is there', async () => {
    const machine = await base()
    await killDelete(machine, justAfter('put', '/manifests/'))
    expect(await recoverActs(machine.start().environment)).toBe(1)
    const head = await machine.start().core('docs').head()
    const { version, stateRoot } = head.commit
    expect(await outcomesOf(machine, 'delete')).toEqual([
      { result: 'recovered', version, manifest: head.digest, stateRoot },
    ])
    expect(await idsOf(machine.start().core('docs'))).toEqual(['a0', 'a2', 'a3'])
  })

  it('needs nothing where its outcome is there, but its lock goes', async () => {
    const machine = await base()
    let appends = 0
    const second = (step: StoreStep): boolean =>
      step.phase === 'after' && step.operation === 'append' && ++appends === 2
    await killDelete(machine, second)
    const { environment } = machine.start()
    expect(await recoverActs(environment)).toBe(0)
    expect(await outcomesOf(machine, 'delete')).toMatchObject([{ result: 'done', version: 3 }])
    expect(await environment.locks.list('act-')).toEqual([])
  })

  it.each([0.01, 0.3, 0.6, 0.99])(
    'with %d of its intent in the log is cut off and reported',
    async (tornShare) => {
      const machine = await base()
      await killDelete(machine, beforeAppend(1), tornShare)
      expect(await logProblems(machine)).toEqual(['TORN'])
      const { environment } = machine.start()
      expect(await recoverActs(environment)).toBe(0)
      expect((await environment.audit()).warnings).toMatchObject([{ code: 'TORN' }])
      expect(await logProblems(machine)).toEqual([])
      expect(await outcomesOf(machine, 'delete')).toEqual([])
    },
  )

  it.each([0.01, 0.3, 0.6, 0.99])(
    'with %d of its outcome in the log is recovered',
    async (tornShare) => {
      const machine = await base()
      await killDelete(machine, beforeAppend(2), tornShare)
      const { environment } = machine.start()
      expect(await recoverActs(environment)).toBe(1)
      expect((await environment.audit()).warnings).toMatchObject([{ code: 'TORN' }])
      expect(await outcomesOf(machine, 'delete')).toMatchObject([{ result: 'recovered' }])
      expect(await logProblems(machine)).toEqual([])
    },
  )
})

describe('recovery', () => {
  it('leaves a command alone that still runs', async () => {
    const machine = await base()
    const running = await beginAct(machine.start().environment, { act: 'delete' })
    const { environment } = machine.start()
    expect(await recoverActs(environment)).toBe(0)
    expect(await environment.locks.isHeld(actLockName(running.id))).toBe(true)
    await running.finish({ result: 'done' })
    expect(await outcomesOf(machine, 'delete')).toEqual([{ result: 'done' }])
  })

  it('writes one outcome, however often it is killed itself', async () => {
    const start = await base()
    await killDelete(start, justAfter('put', '/manifests/'))
    const [lock = ''] = await start.start().environment.locks.list('act-')
    let step = 1
    for (let ended = false; !ended; step++) {
      const machine = await cloneMachine(start)
      await leaveLock(machine, lock)
      const crash = crashAtStep(step, 0.5)
      await recoverActs(machine.start({ hook: crash.hook }).environment).catch(() => undefined)
      ended = crash.struck() === undefined
      await recoverActs(machine.start().environment)
      expect(await outcomesOf(machine, 'delete')).toMatchObject([{ result: 'recovered' }])
      expect(await logProblems(machine)).toEqual([])
    }
    expect(step).toBeGreaterThan(2)
  })

  it('writes one outcome where two open the store at once', async () => {
    const machine = await base()
    await killDelete(machine, justAfter('append', '/tail/'))
    const both = [machine.start().environment, machine.start().environment]
    const written = await Promise.all(both.map(recoverActs))
    expect(written.reduce((a, b) => a + b)).toBe(1)
    expect(await outcomesOf(machine, 'delete')).toHaveLength(1)
  })

  it('finds a manifest behind one of an act that began earlier', async () => {
    const machine = await base()
    const slow = machine.start()
    const older = await beginAct(slow.environment, { act: 'upsert', collection: 'docs' })
    await killDelete(machine, justAfter('put', '/manifests/'))
    await commitNothing(slow.core('docs'), older)
    await older.finish({ result: 'done' })
    expect(await recoverActs(machine.start().environment)).toBe(1)
    expect(await outcomesOf(machine, 'delete')).toMatchObject([{ result: 'recovered', version: 3 }])
  })

  it('finds all that an import committed, which names no collection', async () => {
    const machine = await base()
    await ingestRows(machine.start().core('notes'), testRows('n', 2))
    const process = machine.start()
    const act = await beginAct(process.environment, { act: 'import' })
    await commitNothing(process.core('docs'), act)
    await commitNothing(process.core('notes'), act)
    process.kill()
    expect(await recoverActs(machine.start().environment)).toBe(1)
    expect(await outcomesOf(machine, 'import')).toMatchObject([
      { result: 'recovered', manifests: [{ collection: 'docs' }, { collection: 'notes' }] },
    ])
  })

  it('calls an act aborted whose work threw, with its code', async () => {
    const machine = await base()
    const { environment, core } = machine.start()
    await expect(deleteRecords(core('docs'), { source: 'f'.repeat(64) })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(await outcomesOf(machine, 'delete')).toEqual([{ result: 'aborted', code: 'NOT_FOUND' }])
    expect(await environment.locks.list('act-')).toEqual([])
  })
})

describe('an act of a store that machines share', () => {
  const HOUR_MS = 3_600_000
  const justBeforeManifest = ({ phase, operation, key }: StoreStep): boolean =>
    phase === 'before' && operation === 'put' && key.includes('/manifests/')
  const outcomes = async (machine: TestMachine) => {
    await recoverActs(machine.start().environment)
    const found: unknown[] = []
    for await (const { act, phase, details } of (
      await machine.start().environment.audit()
    ).newestFirst()) {
      if (act === 'delete' && phase === 'outcome') found.push(details?.result)
    }
    return found
  }

  it('is unknown as long as its manifest may come, then aborted', async () => {
    for (const [afterMs, result] of [
      [limits.commitLifeMs - 60_000, 'unknown'],
      [limits.commitLifeMs + 60_000, 'aborted'],
    ] as const) {
      const machine = await base({ isShared: true })
      await killDelete(machine, justBeforeManifest)
      machine.clock.advance(afterMs)
      expect(await outcomes(machine)).toEqual([result])
    }
  })

  it('is unknown where another machine removed the history in which it may have been', async () => {
    for (const [at, result] of [
      [justAfter('put', '/manifests/'), 'unknown'],
      // Versions before its intent say so, too, where none is missing.
      [justBeforeManifest, 'aborted'],
    ] as const) {
      const machine = await base({ isShared: true })
      await killDelete(machine, at)
      const { isShared, clock, store } = machine
      const other = createTestMachine({ seed: 2, isShared: isShared === true, clock, store })
      const { core } = other.start()
      for (const name of ['b', 'c']) await ingestRows(core('docs'), testRows(name, 1))
      machine.clock.advance(2 * HOUR_MS)
      await ingestRows(core('docs'), testRows('d', 1))
      // Versions: 2 a0–a3, 3 the deletion where it came, then b, c and d.
      if (result === 'unknown') await machine.store.delete(manifestKey('docs', 3))
      expect(await outcomes(machine)).toEqual([result])
    }
  })
})

/** As a killed process leaves it: there, and free. */
async function leaveLock(machine: TestMachine, name: string): Promise<void> {
  const lock = await machine.start().environment.locks.acquire(name, 0)
  await lock.release()
}

async function commitNothing(
  core: CollectionCore,
  act: Awaited<ReturnType<typeof beginAct>>,
): Promise<void> {
  const head = await core.manifests.newest()
  if (head === undefined) throw new Error('no head')
  await commitManifest(core.environment, {
    manifests: core.manifests,
    name: core.name,
    lock: commitLockName(head.commit.collection),
    kind: 'upsert',
    act,
    next: async () => ({ state: head.state, changed: { inserted: 0, updated: 0, deleted: 0 } }),
  })
}

describe('what no crash can leave', () => {
  it('is an outcome without its manifest', async () => {
    const machine = await base()
    const { core } = machine.start()
    await deleteRecords(core('docs'), { ids: ['a1'] })
    await checkOutcomes(machine.start().environment)
    await machine.store.delete(manifestKey('docs', 3))
    await expect(checkOutcomes(machine.start().environment)).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
    })
  })

  it('is a log that is shorter than a manifest says', async () => {
    const machine = await base()
    await deleteRecords(machine.start().core('docs'), { ids: ['a1'] })
    const key = await tailKey(machine)
    const bytes = await machine.store.get(key)
    const named = (await machine.start().core('docs').head()).commit.audit.size
    expect((await entriesOf(machine)).length).toBe(named + 1)
    // The outcome is beyond what the manifest names: a crash may take it, but no byte more.
    for (let cut = 1; cut < bytes.byteLength; cut += 97) {
      await machine.store.put(key, bytes.subarray(0, bytes.byteLength - cut), { mode: 'replace' })
      const whole = (await entriesOf(machine).catch(() => [])).length
      const opening = machine.start().environment.audit()
      if (whole >= named) await opening
      else await expect(opening, `${cut} bytes`).rejects.toMatchObject({ code: 'AUDIT_BROKEN' })
      await machine.store.put(key, bytes, { mode: 'replace' })
    }
  })

  it('is a log that is shorter than its checkpoint', async () => {
    const machine = createTestMachine()
    const { environment } = machine.start()
    await runAct(environment, { act: 'test' }, async () => ({ result: undefined, outcome: {} }))
    await (await environment.audit()).checkpoint()
    const key = await tailKey(machine)
    const bytes = await machine.store.get(key)
    await machine.store.put(key, bytes.subarray(0, -1), { mode: 'replace' })
    await expect(machine.start().environment.audit()).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
    })
  })
})
