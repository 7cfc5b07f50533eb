import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { collectGarbage, GC_BATCH_BLOBS } from '../../src/db/gc/gc.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import { crashAtStep, type StepHook } from '../support/fault-store.ts'
import { blobsIn, expectWhole, versionsOf } from '../support/history.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

const HOUR_MS = 3_600_000

/** Eleven states: each but the first and the last replaces the only row of the one before. */
async function manyStates(machine: TestMachine): Promise<void> {
  const docs = machine.start().core('docs')
  for (let i = 0; i < 9; i++) {
    await ingestRows(docs, testRows(`v${i}-`, 1))
    await deleteRecords(docs, { ids: [`v${i - 1}-0`] })
  }
  machine.clock.advance(2 * HOUR_MS)
}

/** Digests of each condemned list that a process writes. */
function lists() {
  const found: number[] = []
  const hook =
    (machine: TestMachine): StepHook =>
    async ({ phase, operation, key }) => {
      if (phase !== 'after' || operation !== 'put' || !key.startsWith('gc/')) return
      const { condemned } = JSON.parse(Buffer.from(await machine.store.get(key)).toString('utf8'))
      found.push(condemned.length)
    }
  return { found, hook }
}

for (const isShared of [false, true]) {
  const where = isShared ? 'a bucket' : 'a folder'

  it(`takes many old states in ${where} by several lists, none longer than it may be`, async () => {
    const machine = createTestMachine({ isShared })
    await manyStates(machine)
    const docs = machine.start().core('docs')
    const before = await versionsOf(docs)
    const { found, hook } = lists()
    const { environment } = machine.start({ hook: hook(machine) })
    const result = await collectGarbage(environment, { keepMs: 0, batchManifests: 4 })
    expect(result.manifests).toBe(before.length - 1)
    const full = Math.floor((before.length - 2) / 4)
    expect(found.slice(0, full)).toEqual(Array(full).fill(4))
    expect(found).toHaveLength(full + 1)
    expect(await versionsOf(docs)).toEqual([before[0]])
    expect(await idsOf(docs)).toEqual(['v8-0'])
    await expectWhole(docs)
    expect(await Array.fromAsync(machine.store.list('gc/'))).toEqual([])
  })
}

it('spares in a later list what is named while an earlier one is worked on', async () => {
  const machine = createTestMachine()
  await manyStates(machine)
  const docs = machine.start().core('docs')
  const [, kept = 0] = await versionsOf(docs)
  let lists = 0
  const { environment } = machine.start({
    hook: async ({ phase, operation, key }) => {
      const isList = phase === 'after' && operation === 'put' && key.startsWith('gc/')
      if (!isList || ++lists !== 2) return
      const file = { label: 'late', version: kept, ...(await stateOf(kept)) }
      const label = 'collections/docs/snapshots/late.json'
      await machine.store.put(label, Buffer.from(JSON.stringify(file)))
    },
  })
  const stateOf = async (version: number) => {
    const { commit } = await docs.manifests.read(version)
    return { stateRoot: commit.stateRoot, committedAt: commit.committedAt }
  }
  await collectGarbage(environment, { keepMs: 0, batchManifests: 1 })
  expect(lists).toBeGreaterThan(5)
  expect(await versionsOf(docs)).toContain(kept)
  await expectWhole(docs)
})

it('leaves every state whole wherever it is killed, and a later run takes the rest', async () => {
  for (let step = 40; ; step += 37) {
    const machine = createTestMachine({ seed: step })
    await manyStates(machine)
    await createSnapshot(machine.start().core('docs'), 'kept')
    const crash = crashAtStep(step)
    const { environment } = machine.start({ hook: crash.hook })
    const options = { keepMs: 0, batchManifests: 2, batchBlobs: 1 }
    const ended = await collectGarbage(environment, options).then(
      () => true,
      () => false,
    )
    const { environment: later, core } = machine.start()
    await expectWhole(core('docs'))
    await collectGarbage(later, options)
    await expectWhole(core('docs'))
    expect(await versionsOf(core('docs'))).toHaveLength(1)
    expect(await blobsIn(machine.store)).toHaveLength(1)
    if (ended) break
  }
})

it('deletes nothing while a commit is under way that began before its list', async () => {
  const machine = createTestMachine()
  await manyStates(machine)
  const docs = machine.start().core('docs')
  const before = await versionsOf(docs)
  const { locks } = machine.start().environment
  const { collection } = (await docs.head()).commit
  const listed = Promise.withResolvers<{ release(): Promise<void> }>()
  let deleted = 0
  const { environment } = machine.start({
    hook: async ({ phase, operation, key }) => {
      if (phase !== 'after') return
      // Its writer has looked before that, and believes that all is there.
      if (operation === 'put' && key.startsWith('gc/')) listed.resolve(locks.acquire(collection, 0))
      if (operation === 'delete' && /^(blobs|collections)\//.test(key)) deleted++
    },
  })
  const collected = collectGarbage(environment, { keepMs: 0 })
  const commit = await listed.promise
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  expect(deleted).toBe(0)
  await commit.release()
  await collected
  expect(deleted).toBeGreaterThan(0)
  expect(await versionsOf(docs)).toEqual(before.slice(0, 1))
})

it('writes no list that its readers refuse', () => {
  const digests = limits.gcListManifestsMax + GC_BATCH_BLOBS
  const list = JSON.stringify({ condemned: Array(digests).fill('0'.repeat(64)) })
  expect(Buffer.byteLength(list)).toBeLessThan(limits.smallFileBytesMax)
})
