import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { GC_LOCK } from '../../src/db/states/pins.ts'
import type { TestMachine } from '../support/memory-environment.ts'
import { createTestMachine } from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'
import { inputFile, lines, opened, tempFolder, tempStore } from '../support/temp-store.ts'

const pinsOf = async ({ store }: TestMachine): Promise<number> => {
  let count = 0
  for await (const _ of store.list('pins/')) count++
  return count
}

/** Rows a0–a2, then b0–b2 in a state of their own: versions 2 and 3. */
async function twoStates(machine: TestMachine): Promise<void> {
  const docs = machine.start().core('docs')
  await ingestRows(docs, testRows('a', 3))
  await deleteRecords(docs, { ids: ['a0', 'a1', 'a2'] })
  await ingestRows(docs, testRows('b', 3))
}

describe('a reader of an older state', () => {
  it('goes on while everything old is collected', async () => {
    const store = await tempStore()
    const folder = await tempFolder()
    const docs = store.prospect('docs')
    for (const name of ['a', 'b']) {
      await docs.ingest({ inputs: [await inputFile(folder, `${name}.jsonl`, lines(name, 20))] })
    }
    const { manifestVersion } = await (await store.collection('docs')).info()
    await (await store.collection('docs')).delete({ filter: { tag: 'odd' } })
    const other = await (await opened(store.url, 'read')).collection('docs')
    const ids: string[] = []
    for await (const { id } of other.scan({ asOf: String(manifestVersion) })) {
      if (ids.push(id) > 1) continue
      await (await store.collection('docs')).compact()
      await store.gc({ keepMs: 0 })
    }
    expect(new Set(ids).size).toBe(40)
    await store.gc({ keepMs: 0 })
    await expect(other.info({ asOf: String(manifestVersion) })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('holds it as long as it reads and no longer', async () => {
    const machine = createTestMachine()
    await twoStates(machine)
    const reader = machine.start()
    const docs = reader.core('docs')
    const one = await docs.hold('2')
    const two = await docs.hold('2')
    expect(await pinsOf(machine)).toBe(1)
    await one.hold.release()
    await one.hold.release()
    expect(await pinsOf(machine)).toBe(1)
    await collectGarbage(machine.start().environment, { keepMs: 0 })
    expect(await idsOf(docs, '2')).toEqual(['a0', 'a1', 'a2'])
    await two.hold.release()
    expect(await pinsOf(machine)).toBe(0)
    await collectGarbage(machine.start().environment, { keepMs: 0 })
    await expect(docs.hold('2')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('readers of several states in one process', () => {
  it('hold each of them', async () => {
    const machine = createTestMachine()
    const writer = machine.start()
    const docs = machine.start().core('docs')
    const holds = []
    for (const name of ['a', 'b', 'c']) {
      await ingestRows(writer.core('docs'), testRows(name, 2))
      holds.push(await docs.hold())
      await deleteRecords(writer.core('docs'), { ids: [`${name}0`, `${name}1`] })
    }
    await collectGarbage(writer.environment, { keepMs: 0 })
    for (const { view } of holds) {
      const [last] = view.segments.slice(-1)
      expect(await last?.reader.payload(0)).toContain('"')
      expect((await last?.reader.ids())?.count).toBe(2)
    }
    for (const { hold } of holds) await hold.release()
    // That of the last head stays for the next search.
    expect(await pinsOf(machine)).toBe(1)
    await docs.close()
    expect(await pinsOf(machine)).toBe(0)
  })
})

describe('a pin that is old', () => {
  it('is renewed while the state is there, and says so where it is gone', async () => {
    const machine = createTestMachine()
    await twoStates(machine)
    const { hold } = await machine.start().core('docs').hold('2')
    expect(hold.isOld()).toBe(false)
    machine.clock.advance(limits.pinLifeMs / 2)
    expect(hold.isOld()).toBe(true)
    await hold.renew()
    expect(hold.isOld()).toBe(false)
    machine.clock.advance((limits.pinLifeMs * 3) / 4)
    await collectGarbage(machine.start().environment, { keepMs: 0 })
    await hold.renew()
    machine.clock.advance(limits.pinLifeMs + 1)
    await collectGarbage(machine.start().environment, { keepMs: 0 })
    await expect(hold.renew()).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})

it('a reader of the head waits for no collection of garbage', async () => {
  const machine = createTestMachine()
  await twoStates(machine)
  const docs = machine.start().core('docs')
  const blobs = (await docs.head()).state.segments.flatMap((entry) => entry.blobs)
  const record = { condemned: blobs.map((blob) => blob.digest) }
  const key = `gc/${'0'.repeat(20)}.json`
  await machine.store.put(key, Buffer.from(JSON.stringify(record)))
  const lock = await machine.start().environment.locks.acquire(GC_LOCK, 0)
  expect(await idsOf(docs)).toEqual(['b0', 'b1', 'b2'])
  await lock.release()
})
