import { describe, expect, it } from 'vitest'
import { deleteRecords } from '../../src/db/delete.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
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
