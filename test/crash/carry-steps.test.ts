import { expect, it } from 'vitest'
import { listReplays, removeReplay } from '../../src/db/states/replays.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { exportBundle } from '../../src/transfer/export.ts'
import { importBundle } from '../../src/transfer/import.ts'
import { replayBundle } from '../../src/transfer/replay.ts'
import { createSigner, generateKeyPair } from '../../src/trust/key-pair.ts'
import { crashAtStep } from '../support/fault-store.ts'
import {
  cloneMachine,
  createTestMachine,
  seededRandom,
  type TestMachine,
  type TestProcess,
} from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'
import { contents, expectOutcomes, reopen } from '../support/reopened.ts'

const signer = createSigner(generateKeyPair(seededRandom(7), 'default'))

/** As much of an open store as export and import use of one. */
function site(machine: TestMachine, { environment, core }: TestProcess): OpenedStore {
  const keys = {
    publicKey: async () => machine.logKey,
    trusted: async () => [signer.key, machine.logKey],
  }
  const store = { environment: { ...environment, keys }, core, flush: async () => undefined }
  return store as unknown as OpenedStore
}

async function origin(): Promise<TestMachine> {
  const machine = createTestMachine()
  const { core, environment } = machine.start()
  await ingestRows(core('docs'), testRows('a', 4), { textColumns: ['text'] })
  await ingestRows(core('docs'), testRows('b', 2))
  await (await environment.audit()).checkpoint()
  return machine
}

async function packed(machine: TestMachine, process = machine.start()): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  const write = async (bytes: Uint8Array) => void pieces.push(Uint8Array.from(bytes))
  const options = { collections: ['docs'], output: { write }, signer, akidbVersion: '0.0.0' }
  await exportBundle(site(machine, process), options)
  return Buffer.concat(pieces)
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const unpack = (machine: TestMachine, bundle: Buffer, process = machine.start()) =>
  importBundle(site(machine, process), { name: 'docs.akipkg', read: inOnePiece(bundle) })

it('an export that is killed at any step changes nothing, and runs again', async () => {
  const start = await origin()
  const before = await contents(start)
  let step = 1
  for (let ended = false; !ended; step++) {
    const machine = await cloneMachine(start, 1_000 + step)
    const crash = crashAtStep(step, (step % 3) / 2)
    await packed(machine, machine.start({ hook: crash.hook })).catch(() => undefined)
    ended = crash.struck() === undefined
    await reopen(machine)
    await expectOutcomes(machine)
    expect(await contents(machine), `step ${step}`).toBe(before)
    const again = await packed(machine)
    const target = createTestMachine({ seed: 2_000 + step })
    await unpack(target, again)
    expect(await contents(target), `step ${step}`).toBe(before)
  }
  expect(step).toBeGreaterThan(8)
})

it('an import that is killed at any step shows nothing or all, and runs again', async () => {
  const exported = await origin()
  const after = await contents(exported)
  const bundle = await packed(exported)
  const start = createTestMachine({ seed: 3 })
  await (await start.start().environment.audit()).checkpoint()
  const before = await contents(start)
  let step = 1
  for (let ended = false; !ended; step++) {
    const machine = await cloneMachine(start, 3_000 + step)
    const crash = crashAtStep(step, (step % 3) / 2)
    const done = await unpack(machine, bundle, machine.start({ hook: crash.hook })).then(
      () => true,
      () => false,
    )
    ended = crash.struck() === undefined
    await reopen(machine)
    await expectOutcomes(machine)
    const found = await contents(machine)
    if (done) expect(found, `step ${step}`).toBe(after)
    else expect([before, after], `step ${step}`).toContain(found)
    await unpack(machine, bundle)
    expect(await contents(machine), `step ${step}`).toBe(after)
  }
  expect(step).toBeGreaterThan(8)
})

it('a replay that is killed at any step is there or not, and the log says which', async () => {
  const bundle = await packed(await origin())
  const start = createTestMachine({ seed: 5 })
  const open = (machine: TestMachine, process = machine.start()) =>
    replayBundle(site(machine, process), { name: 'docs.akipkg', read: inOnePiece(bundle) })
  // One that was dropped: the log names bytes that are not there any more.
  const { replays } = await open(start)
  const [address = ''] = replays.map(({ name }) => name)
  await removeReplay(start.start().environment, address)
  await (await start.start().environment.audit()).checkpoint()
  let [step, found] = [1, 0]
  for (let ended = false; !ended; step++) {
    const machine = await cloneMachine(start, 5_000 + step)
    const crash = crashAtStep(step, (step % 3) / 2)
    const killed = machine.start({ hook: crash.hook })
    await open(machine, killed).catch(() => undefined)
    ended = crash.struck() === undefined
    await reopen(machine)
    await expectOutcomes(machine)
    found += (await listReplays(machine.start().environment)).length
    expect(await open(machine)).toEqual({ replays })
    await reopen(machine)
  }
  expect(found).toBeGreaterThan(1)
})
