import { describe, expect, it } from 'vitest'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { dropCollection } from '../../src/db/collection/lifecycle.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import { takeLogOver } from '../../src/db/wal/takeover.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { StoreStep } from '../support/fault-store.ts'
import { makeDocs, seenBy, startOwner } from '../support/log-process.ts'
import { cloneMachine, createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { ingestRows } from '../support/records.ts'

const row = (id: string, n: number) => ({ id, vector: [n, 1], n })

async function newMachine(): Promise<TestMachine> {
  const machine = createTestMachine()
  await makeDocs(machine)
  return machine
}

/** Keys of the write-ahead log on the disk. */
async function logKeys(machine: TestMachine): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of machine.state.list('wal/')) keys.push(key)
  return keys
}

describe('a log owner', () => {
  it('makes many concurrent upserts durable with few appends', async () => {
    const machine = await newMachine()
    let appends = 0
    const owner = await startOwner(machine, async ({ operation, key, phase }: StoreStep) => {
      if (operation !== 'append' || !key.startsWith('wal/') || phase === 'after') return
      appends++
      await new Promise((resolve) => setImmediate(resolve))
    })
    const ids = Array.from({ length: 100 }, (_, i) => `r${i}`)
    await Promise.all(ids.map((id, i) => owner.put([id], i)))
    expect(appends).toBeLessThan(10)
    expect(await seenBy(owner)).toHaveLength(100)
    expect(await owner.owner.rowsAtRisk()).toBe(100)
    await owner.owner.fold()
    expect(await owner.owner.rowsAtRisk()).toBe(0)
    expect(await seenBy(owner)).toHaveLength(100)
    expect(await logKeys(machine)).toEqual([])
  })

  it('is the only one: the second is told who holds the lock', async () => {
    const machine = await newMachine()
    await startOwner(machine)
    const second = machine.start({ name: 'second' })
    const refused = LogOwner.start(second.environment, { timer: false })
    await expect(refused).rejects.toMatchObject({ code: 'LOCKED' })
    await expect(refused).rejects.toThrow(/p1/)
  })

  it('lets other processes read its log rows', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const reader = machine.start({ mode: 'read' })
    await owner.put(['a', 'b'], 1)
    expect(await seenBy(reader)).toEqual(['a=1', 'b=1'])
    await owner.put(['b'], 2)
    expect(await seenBy(reader)).toEqual(['a=1', 'b=2'])
    await owner.owner.fold()
    expect(await seenBy(reader)).toEqual(['a=1', 'b=2'])
  })

  it('commits nothing where nothing was written', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    await owner.put(['a'], 1)
    await owner.owner.fold()
    const { digest } = await owner.core.head()
    await owner.owner.fold()
    expect((await owner.core.head()).digest).toBe(digest)
  })

  it('takes over what its predecessor acknowledged, and removes the old log', async () => {
    const machine = await newMachine()
    const first = await startOwner(machine)
    await first.put(['a', 'b'], 1)
    first.process.kill()
    const before = await logKeys(machine)
    const second = await startOwner(machine)
    expect(await seenBy(second)).toEqual(['a=1', 'b=1'])
    await second.put(['b', 'c'], 2)
    expect(await seenBy(second)).toEqual(['a=1', 'b=2', 'c=2'])
    expect(await logKeys(machine)).not.toEqual(expect.arrayContaining(before))
    expect((await second.core.head()).commit.epoch).toBe(2)
    expect(await seenBy(machine.start())).toEqual(['a=1', 'b=2', 'c=2'])
  })

  it('halts when it sees a higher epoch, and its rows are with the other', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    await owner.put(['a'], 1)
    // Another machine that does not share the locks.
    const core = machine.start().core('docs')
    await takeLogOver(core, (await core.head()).commit.collection)
    await expect(owner.put(['b'], 1)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(owner.put(['c'], 1)).rejects.toThrow(/took over/)
    expect(await seenBy(owner)).toEqual(['a=1'])
    expect(await seenBy(machine.start())).toEqual(['a=1'])
    await owner.owner.fold()
    expect((await owner.core.head()).commit.epoch).toBe(2)
  })

  it('merges the small segments that its commits leave behind', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    for (let i = 0; i < 20; i++) {
      await owner.put([`r${i}`, 'same'], i)
      await owner.owner.fold()
    }
    const before = await seenBy(owner)
    expect((await owner.core.head()).state.segments).toHaveLength(20)
    await owner.put(['r3'], 33)
    await owner.owner.maintain()
    expect((await owner.core.head()).state.segments.length).toBeLessThan(8)
    const after = before.map((one) => (one.startsWith('r3=') ? 'r3=33' : one))
    expect(await seenBy(owner)).toEqual(after)
    expect(await seenBy(machine.start())).toEqual(after)
  })

  it('goes on where a collection was dropped with rows in its log', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    await owner.put(['a'], 1)
    await dropCollection(owner.core)
    await owner.owner.fold()
    expect(await logKeys(machine)).toEqual([])
    expect(await owner.owner.rowsAtRisk()).toBe(0)
    await makeDocs(machine)
    expect(await seenBy(owner)).toEqual([])
    await owner.put(['b'], 2)
    expect(await seenBy(owner)).toEqual(['b=2'])
    expect(await seenBy(machine.start())).toEqual(['b=2'])
  })

  it('tells a writer of a full disk, and takes the next write when there is room', async () => {
    const machine = await newMachine()
    let full = false
    const owner = await startOwner(machine, ({ operation, phase }: StoreStep) => {
      if (!full || operation !== 'append' || phase === 'after') return
      throw new AkidbError('NO_SPACE', 'the disk is full')
    })
    await owner.put(['a'], 1)
    full = true
    await expect(owner.put(['b'], 1)).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(await seenBy(owner)).toEqual(['a=1'])
    full = false
    await owner.put(['c'], 1)
    for (const process of [owner, machine.start()]) {
      expect(await seenBy(process)).toEqual(['a=1', 'c=1'])
    }
    owner.process.kill()
    const next = await startOwner(machine)
    await next.put(['d'], 1)
    expect(await seenBy(next)).toEqual(['a=1', 'c=1', 'd=1'])
  })

  it('uses no position twice after a write that failed halfway', async () => {
    const machine = await newMachine()
    let torn = false
    const owner = await startOwner(machine, async ({ operation, phase, key }: StoreStep) => {
      if (!torn || operation !== 'append' || phase === 'before' || !key.startsWith('wal/')) return
      torn = false
      // The bytes are there, but nobody may count on them.
      throw new AkidbError('NO_SPACE', 'the disk is full')
    })
    await owner.put(['a'], 1)
    torn = true
    await expect(owner.put(['b', 'x'], 1)).rejects.toMatchObject({ code: 'NO_SPACE' })
    // This append names the failed entries as seen.
    await ingestRows(machine.start().core('docs'), [row('b', 2)])
    await owner.put(['b'], 3)
    expect(await seenBy(owner)).toEqual(['a=1', 'b=3'])
    expect(await seenBy(machine.start())).toEqual(['a=1', 'b=3'])
  })
})

describe('appends beside a log owner', () => {
  it('win over log rows that existed at their commit, and lose to later ones', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const other = machine.start()
    await owner.put(['a', 'b', 'c'], 1)
    await ingestRows(other.core('docs'), [row('a', 2), row('d', 2)])
    await owner.put(['b', 'd'], 3)
    const expected = ['a=2', 'b=3', 'c=1', 'd=3']
    for (const process of [owner, other, machine.start({ mode: 'read' })]) {
      expect(await seenBy(process)).toEqual(expected)
    }
    await owner.owner.fold()
    for (const process of [owner, other]) expect(await seenBy(process)).toEqual(expected)
  })

  it('count in the same way after the owner was killed', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const other = machine.start()
    await owner.put(['a', 'b'], 1)
    await ingestRows(other.core('docs'), [row('a', 2)])
    await owner.put(['b'], 3)
    owner.process.kill()
    await ingestRows(other.core('docs'), [row('b', 4)])
    expect(await seenBy(other)).toEqual(['a=2', 'b=4'])
    const next = await startOwner(machine)
    await next.put(['c'], 5)
    expect(await seenBy(next)).toEqual(['a=2', 'b=4', 'c=5'])
  })

  it('may be deletions: a log row that existed goes, a later one stays', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const other = machine.start()
    await ingestRows(other.core('docs'), [row('a', 1), row('b', 1)])
    await owner.put(['a', 'b'], 2)
    expect(await deleteRecords(other.core('docs'), { ids: ['a', 'b'] })).toBe(2)
    await owner.put(['b'], 3)
    expect(await seenBy(owner)).toEqual(['b=3'])
    expect(await seenBy(other)).toEqual(['b=3'])
    await owner.owner.fold()
    expect(await seenBy(owner)).toEqual(['b=3'])
  })

  it('between a fold and the next bring back nothing', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const other = machine.start()
    await owner.put(['a'], 1)
    await owner.owner.fold()
    await ingestRows(other.core('docs'), [row('a', 2)])
    await owner.put(['b'], 3)
    await owner.owner.fold()
    expect(await seenBy(owner)).toEqual(['a=2', 'b=3'])
    expect(await seenBy(other)).toEqual(['a=2', 'b=3'])
  })
})

describe('searches while the log is written', () => {
  it('see the same rows grow, after a fold too: none of them is replayed again', async () => {
    const machine = await newMachine()
    const seen: unknown[] = []
    let isWatched = false
    const owner = await startOwner(machine, async ({ operation, key, phase }: StoreStep) => {
      if (!isWatched || operation !== 'append' || !key.startsWith('wal/') || phase === 'after')
        return
      seen.push(await owner.core.log?.rows(await owner.core.head()))
    })
    await owner.put(['a'], 1)
    await owner.owner.fold()
    isWatched = true
    for (const [n, id] of ['b', 'c', 'd'].entries()) await owner.put([id], n)
    expect(seen).toHaveLength(3)
    expect(new Set(seen).size).toBe(1)
    expect(await seenBy(owner)).toEqual(['a=1', 'b=0', 'c=1', 'd=2'])
  })
})

describe('a head that is older than the last fold', () => {
  it('is read again, so that no row is missing in between', async () => {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const reader = machine.start({ mode: 'read' })
    await owner.put(['a'], 1)
    const stale = await owner.core.head()
    await owner.owner.fold()
    expect(await owner.core.log?.rows(stale)).toBe('stale')
    expect(await reader.core('docs').log?.rows(stale)).toBe('stale')
    const fresh = await owner.core.head()
    expect(await reader.core('docs').log?.rows(fresh)).toBeUndefined()
  })

  it('is one from before the takeover, too', async () => {
    const machine = await newMachine()
    const first = await startOwner(machine)
    await first.put(['a'], 1)
    const stale = await first.core.head()
    first.process.kill()
    const second = await startOwner(machine)
    await second.put(['b'], 1)
    expect(await second.core.log?.rows(stale)).toBe('stale')
    expect(await machine.start().core('docs').log?.rows(stale)).toBe('stale')
  })
})

describe('a log after a crash', () => {
  /** A log of three groups whose owner died; where each group ends. */
  async function crashed(): Promise<{ machine: TestMachine; key: string; ends: number[] }> {
    const machine = await newMachine()
    const owner = await startOwner(machine)
    const ends: number[] = []
    for (const [n, ids] of [['a'], ['b', 'c'], ['d', 'a', 'e']].entries()) {
      await owner.put(ids, n)
      const [key = ''] = await logKeys(machine)
      ends.push((await machine.state.head(key))?.bytes ?? 0)
    }
    owner.process.kill()
    const [key = ''] = await logKeys(machine)
    return { machine, key, ends }
  }

  const COMPLETE = ['a=0', 'b=1', 'c=1']

  it('holds all that was acknowledged, wherever its last group breaks off', async () => {
    const { machine, key, ends } = await crashed()
    const [, second = 0, third = 0] = ends
    const found = new Set<string>()
    for (let bytes = second; bytes <= third; bytes++) {
      const copy = await cloneMachine(machine)
      await copy.state.truncate(key, bytes)
      const seen = await seenBy(copy.start({ mode: 'read' }))
      expect(seen.filter((one) => !/^[de]|^a=2/.test(one))).toEqual(
        COMPLETE.slice(seen.includes('a=2') ? 1 : 0),
      )
      found.add(seen.join(' '))
      const next = await startOwner(copy)
      await next.put(['z'], 9)
      expect(await seenBy(next)).toEqual([...seen, 'z=9'])
    }
    expect([...found]).toEqual([
      'a=0 b=1 c=1',
      'a=0 b=1 c=1 d=2',
      'a=2 b=1 c=1 d=2',
      'a=2 b=1 c=1 d=2 e=2',
    ])
  })

  it('is refused where a byte of an acknowledged group is flipped', async () => {
    const { machine, key, ends } = await crashed()
    const body = await machine.state.get(key)
    const [, second = 0] = ends
    for (let at = 0; at < second; at++) {
      const copy = await cloneMachine(machine)
      const flipped = Uint8Array.from(body, (byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte))
      await copy.state.put(key, flipped, { mode: 'replace' })
      const where = `byte ${at}`
      await expect(seenBy(copy.start({ mode: 'read' })), where).rejects.toMatchObject({
        code: 'INTEGRITY',
      })
      const next = await startOwner(copy)
      await expect(next.put(['z'], 9), where).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })

  it('is refused where a piece of it is missing', async () => {
    const machine = await newMachine()
    let commits = 0
    const owner = await startOwner(machine, async ({ operation, phase, key }: StoreStep) => {
      const isCommit = operation === 'put' && phase === 'before' && key.includes('/manifests/')
      // Beside the fold, which is the owner's second commit after the takeover.
      if (isCommit && ++commits === 2) await owner.put(['b'], 2)
    })
    await owner.put(['a'], 1)
    await owner.owner.fold()
    await owner.put(['c'], 3)
    owner.process.kill()
    const keys = await logKeys(machine)
    expect(keys).toHaveLength(2)
    expect(await seenBy(machine.start())).toEqual(['a=1', 'b=2', 'c=3'])
    await machine.state.delete(keys[0] ?? '')
    await expect(seenBy(machine.start())).rejects.toMatchObject({ code: 'INTEGRITY' })
    const next = await startOwner(machine)
    await expect(next.put(['z'], 9)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})
