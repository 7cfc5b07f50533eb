import { describe, expect, it } from 'vitest'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { makeDocs, seenBy, startOwner } from '../support/log-process.ts'
import { createTestMachine, seededRandom } from '../support/memory-environment.ts'
import { ingestRows } from '../support/records.ts'

const SEEDS = 24
const ROUNDS = 12

/** Random numbers below `n`. */
function dice(seed: number): (n: number) => number {
  const random = seededRandom(seed)
  return (n) => {
    const [a = 0, b = 0] = random(2)
    return (a * 256 + b) % n
  }
}

describe('a log owner, appenders, readers and folds at once', () => {
  const first = Number(process.env['AKIDB_SEED'] ?? 1)
  const seeds = Array.from({ length: SEEDS }, (_, i) => first + i)

  it.each(seeds)('lose nothing that was acknowledged (seed %i)', async (seed) => {
    const roll = dice(seed)
    const machine = createTestMachine({ seed })
    await makeDocs(machine)
    const pause = async (): Promise<void> => {
      for (let i = roll(4); i > 0; i--) await new Promise((resolve) => setImmediate(resolve))
    }
    const owner = await startOwner(machine, pause)
    const other = machine.start({ hook: pause })
    const reader = machine.start({ mode: 'read', hook: pause })
    /** What each id must at least be: ids of one writer only grow. */
    const acknowledged = new Map<string, number>()

    const check = async (process: Parameters<typeof seenBy>[0]): Promise<void> => {
      const due = new Map(acknowledged)
      const seen = (await seenBy(process)).map((one) => one.split('=') as [string, string])
      expect(new Set(seen.map(([id]) => id)).size, 'no id twice').toBe(seen.length)
      const values = new Map(seen.map(([id, n]) => [id, Number(n)]))
      for (const [id, n] of due) expect(values.get(id) ?? -1, id).toBeGreaterThanOrEqual(n)
    }
    const writer = async (name: string): Promise<void> => {
      for (let n = 0; n < ROUNDS; n++) {
        const id = `${name}${roll(5)}`
        await owner.put([id, `${name}-last`], n)
        acknowledged.set(id, n)
        acknowledged.set(`${name}-last`, n)
        await check(owner)
      }
    }
    const appender = async (): Promise<void> => {
      for (let n = 0; n < ROUNDS / 2; n++) {
        await ingestRows(other.core('docs'), [{ id: 'i', vector: [n, 1], n }])
        acknowledged.set('i', n)
        await owner.put(['gone', 'kept'], n)
        await deleteRecords(other.core('docs'), { ids: ['gone'] })
        await pause()
      }
    }
    const folder = async (): Promise<void> => {
      for (let n = 0; n < ROUNDS; n++) {
        for (let i = 0; i < 8; i++) await pause()
        await owner.owner.fold()
      }
    }
    const watcher = async (): Promise<void> => {
      for (let n = 0; n < ROUNDS; n++) await check(reader)
    }
    await Promise.all([writer('u'), writer('v'), appender(), folder(), watcher()])

    const seen = await seenBy(owner)
    expect(await seenBy(reader)).toEqual(seen)
    owner.process.kill()
    expect(await seenBy(machine.start({ mode: 'read' }))).toEqual(seen)
    const next = await startOwner(machine)
    await next.put(['z'], 1)
    expect(await seenBy(next)).toEqual([...seen, 'z=1'])
  })
})
