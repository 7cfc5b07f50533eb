import { describe, expect, it } from 'vitest'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { revertTo } from '../../src/db/collection/history.ts'
import { versionDigits } from '../../src/db/states/manifest-store.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { makeDocs, seenBy, startOwner } from '../support/log-process.ts'
import { cloneMachine, createTestMachine } from '../support/memory-environment.ts'
import { ingestRows } from '../support/records.ts'

describe('a delete by filter beside a log owner', () => {
  it('leaves a row that came to the log after the flush', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const owner = await startOwner(machine)
    const other = machine.start().core('docs')
    await ingestRows(other, [
      { id: 'a', vector: [1, 1], n: 1 },
      { id: 'b', vector: [1, 1], n: 1 },
    ])
    await owner.put(['a'], 2)
    expect(await deleteRecords(other, { filter: { n: 1 } })).toBe(2)
    expect(await seenBy(owner)).toEqual(['a=2'])
    expect(await seenBy(machine.start())).toEqual(['a=2'])
    await owner.owner.fold()
    expect(await seenBy(machine.start())).toEqual(['a=2'])
  })

  it('leaves it also where another append had seen it', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const owner = await startOwner(machine)
    const other = machine.start().core('docs')
    await ingestRows(other, [{ id: 'a', vector: [1, 1], n: 1 }])
    await owner.put(['a'], 2)
    // Names the log as seen up to and with the row above.
    await ingestRows(machine.start().core('docs'), [{ id: 'b', vector: [1, 1], n: 3 }])
    expect(await deleteRecords(other, { filter: { n: 1 } })).toBe(1)
    expect(await seenBy(owner)).toEqual(['a=2', 'b=3'])
    await ingestRows(other, [{ id: 'c', vector: [1, 1], n: 4 }])
    expect(await seenBy(machine.start())).toEqual(['a=2', 'b=3', 'c=4'])
    await owner.owner.fold()
    expect(await seenBy(machine.start())).toEqual(['a=2', 'b=3', 'c=4'])
  })

  it('has a later append of the same id win', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const owner = await startOwner(machine)
    const other = machine.start().core('docs')
    await ingestRows(other, [{ id: 'b', vector: [1, 1], n: 1 }])
    await owner.put(['a'], 2)
    await ingestRows(other, [{ id: 'a', vector: [1, 1], n: 3 }])
    expect(await deleteRecords(other, { filter: { n: 1 } })).toBe(1)
    expect(await seenBy(owner)).toEqual(['a=3'])
    expect(await seenBy(machine.start())).toEqual(['a=3'])
  })
})

describe('a revert to the state of the head', () => {
  it('takes back the open rows of the log, and none that come later', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const owner = await startOwner(machine)
    const other = machine.start().core('docs')
    await ingestRows(other, [{ id: 'a', vector: [1, 1], n: 1 }])
    await owner.put(['a', 'b'], 2)
    const { version } = (await other.head()).commit
    await revertTo(other, String(version), false)
    expect((await other.head()).commit.version).toBe(version + 1)
    expect(await seenBy(owner)).toEqual(['a=1'])
    await owner.put(['b'], 3)
    await ingestRows(other, [{ id: 'c', vector: [1, 1], n: 4 }])
    expect(await seenBy(machine.start())).toEqual(['a=1', 'b=3', 'c=4'])
    await owner.owner.fold()
    expect(await seenBy(machine.start())).toEqual(['a=1', 'b=3', 'c=4'])
  })
})

describe('an owner that another one replaces', () => {
  it('does not say that its rows are committed before they are', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const owner = await startOwner(machine)
    await owner.put(['a'], 1)
    const { epoch } = (await owner.core.head()).commit
    // The other one has claimed the next epoch and goes no further.
    const claim = `collections/docs/owner/${versionDigits(epoch + 1)}.json`
    await machine.store.put(claim, Buffer.from('{}'))
    await expect(owner.put(['b'], 2)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(owner.owner.flush(owner.core)).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})

describe('a write that failed after it reached the disk', () => {
  it('does not come back when what is before it is committed', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    let full = false
    const owner = await startOwner(machine, ({ phase, operation, key }) => {
      if (!full || phase !== 'after' || operation !== 'append' || !key.startsWith('wal/')) return
      full = false
      throw new AkidbError('NO_SPACE', 'the disk is full')
    })
    await owner.put(['a'], 1)
    full = true
    await expect(owner.put(['b'], 2)).rejects.toMatchObject({ code: 'NO_SPACE' })
    await ingestRows(machine.start().core('docs'), [{ id: 'b', vector: [1, 1], n: 3 }])
    await owner.owner.fold()
    owner.process.kill()
    expect(await seenBy(machine.start())).toEqual(['a=1', 'b=3'])
  })
})

describe('a fold that was published, and whose outcome could not be written', () => {
  it('has later commits of others win over the rows that came after it', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    let published = false
    let isFailing = false
    const owner = await startOwner(machine, ({ operation, key, phase }) => {
      if (operation === 'put' && phase === 'after' && key.includes('/manifests/')) published = true
      if (!isFailing || !published || operation !== 'append' || !key.startsWith('audit/')) return
      throw new AkidbError('NO_SPACE', 'no room for the outcome')
    })
    await owner.put(['a'], 1)
    // The takeover is done.
    published = false
    isFailing = true
    await expect(owner.owner.fold()).rejects.toMatchObject({ code: 'NO_SPACE' })
    isFailing = false
    expect(await seenBy(owner)).toEqual(['a=1'])
    await owner.put(['f'], 4)
    expect(await seenBy(owner)).toEqual(['a=1', 'f=4'])
    await ingestRows(machine.start().core('docs'), [{ id: 'f', vector: [1, 1], n: 9 }])
    expect(await seenBy(owner)).toEqual(['a=1', 'f=9'])
    await owner.owner.fold()
    expect(await seenBy(owner)).toEqual(['a=1', 'f=9'])
    expect(await seenBy(machine.start())).toEqual(['a=1', 'f=9'])
  })
})

describe('a process that wants the log', () => {
  it('waits for a short command that owns it', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const first = await LogOwner.start(machine.start().environment, { timer: false })
    const second = LogOwner.start(machine.start().environment, { timer: false, waitMs: 2_000 })
    await first.close()
    await (await second).close()
  })
})

describe('the last group of a log', () => {
  it('is refused where any byte is flipped, and cut where it broke off', async () => {
    const machine = createTestMachine()
    await makeDocs(machine)
    const owner = await startOwner(machine)
    await owner.put(['a', 'b'], 1)
    owner.process.kill()
    const keys: string[] = []
    for await (const { key } of machine.state.list('wal/')) keys.push(key)
    const [key = ''] = keys
    const body = await machine.state.get(key)
    for (let at = 0; at < body.byteLength; at++) {
      const copy = await cloneMachine(machine)
      const flipped = Uint8Array.from(body, (byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte))
      await copy.state.put(key, flipped, { mode: 'replace' })
      const seen = seenBy(copy.start({ mode: 'read' }))
      await expect(seen, `byte ${at}`).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    for (let bytes = 0; bytes <= body.byteLength; bytes++) {
      const copy = await cloneMachine(machine)
      await copy.state.truncate(key, bytes)
      const seen = await seenBy(copy.start({ mode: 'read' }))
      expect(['a=1', 'b=1'].slice(0, seen.length), `${bytes} bytes`).toEqual(seen)
      expect(seen.length === 2).toBe(bytes === body.byteLength)
    }
  })
})
