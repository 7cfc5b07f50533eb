import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { collectionNames, createCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { hasCode } from '../../src/errors/errors.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { withoutClaims, withoutDeadlines } from './altered-store.ts'
import { createDice } from './dice.ts'
import { Scheduler } from './scheduler.ts'
import {
  createTemplate,
  isDeath,
  machineOf,
  machinesBeside,
  startObserver,
  startSimProcess,
} from './sim-process.ts'

// Machines that make collections whose names differ only in case, all at the same time.

const START_MS = Date.UTC(2026, 1, 1)
const NAMES = ['ROWS', 'Rows', 'rows']
const SCHEDULES = 150
const LIVES = 3
/** What whoever makes a collection may be told. */
const CODES = ['EXISTS', 'LOCKED', 'CONFLICT', 'UNREACHABLE'] as const

const template = createTemplate(undefined, true)

const create = (environment: Environment, name: string) =>
  createCollection(new CollectionCore({ environment, name }), {})

const rowsIn = async (store: ObjectStore): Promise<string[]> =>
  (await collectionNames({ store })).filter((name) => NAMES.includes(name))

/** @returns the collections that are there at the end, and the machine of the store */
async function schedule(
  seed: number,
  mutate?: (store: ObjectStore) => ObjectStore,
): Promise<{ found: string[]; machine: TestMachine }> {
  const dice = createDice(seed)
  const kills = new Map<string, () => void>()
  const odds = {
    stay: dice.pick([0, 0.5, 0.9]),
    pause: dice.pick([0, 0.01, 0.05]),
    crash: dice.pick([0, 0.01, 0.03]),
    crashesMax: 6,
    diskError: 0,
    powerCut: 0,
    netError: dice.pick([0, 0, 0.02]),
  }
  const kill = (process: string) => kills.get(process)?.()
  const scheduler = new Scheduler({ dice, odds, startMs: START_MS, kill })
  const machine = await machineOf(await template, seed, scheduler.machineClock())
  const machines = [machine, ...(await machinesBeside(machine))]
  for (const [number, own] of machines.entries()) {
    scheduler.spawn(async () => {
      for (let life = 0; life < LIVES; life++) {
        const name = `m${number}-${life}`
        const options = { name, observe: () => undefined, ...(mutate && { mutate }) }
        const process = startSimProcess(own, scheduler, options)
        kills.set(name, process.kill)
        try {
          await create(process.environment, dice.pick(NAMES))
        } catch (error) {
          if (!isDeath(error) && !hasCode(error, ...CODES)) throw error
        }
        await scheduler.exit(name).catch(() => undefined)
      }
    })
  }
  await scheduler.run()
  return { found: await rowsIn(machine.store), machine }
}

it('makes one of several names that differ only in case, and blocks none for ever', async () => {
  const made = { none: 0, one: 0 }
  const firstSeed = Date.now() % 2 ** 31
  for (let seed = firstSeed; seed < firstSeed + SCHEDULES; seed++) {
    const { found, machine } = await schedule(seed)
    expect(found.length, `seed ${seed}: ${found}`).toBeLessThanOrEqual(1)
    made[found.length === 0 ? 'none' : 'one']++
    machine.clock.advance(limits.nameClaimLifeMs + 60_000)
    const { environment } = startObserver(machine, 'last')
    const [taken = 'rows'] = found
    const again = create({ ...environment, mode: 'write' }, taken)
    if (found.length === 0) await again
    else await expect(again).rejects.toMatchObject({ code: 'EXISTS' })
    await collectGarbage({ ...environment, mode: 'write' })
    expect(await Array.fromAsync(machine.store.list('names/'))).toEqual([])
  }
  expect(made.one).toBeGreaterThan(made.none)
}, 120_000)

for (const [name, mutate] of [
  ['claims', withoutClaims],
  ['deadlines', withoutDeadlines],
] as const) {
  it(`would make two of them without ${name}`, async () => {
    for (let seed = 1; ; seed++) {
      if (seed > 4_000) expect.fail('no schedule made two')
      if ((await schedule(seed, mutate)).found.length > 1) break
    }
  }, 240_000)
}

it('makes one of two in a folder, where the other came after the first look', async () => {
  const machine = createTestMachine()
  await create(machine.start().environment, 'docs')
  let looks = -100
  const { environment } = machine.start({
    hook: async ({ phase, operation, key }) => {
      const isLook = phase === 'before' && operation === 'list' && key === 'collections/'
      // It has passed the place where that one's name would be.
      if (isLook && ++looks === 2) await create(machine.start().environment, 'ROWS')
    },
  })
  await environment.audit()
  looks = 0
  await expect(create(environment, 'Rows')).rejects.toMatchObject({ code: 'EXISTS' })
  expect(await rowsIn(machine.store)).toEqual(['ROWS'])
})
