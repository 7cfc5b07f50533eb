import { expect, it } from 'vitest'
import { createCollection, dropCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { SimulatedCrash } from '../support/fault-store.ts'
import { keptAt, NAME, type Owner, own, row, turns, twoMachines } from '../support/local-owner.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { idsOf, ingestRows } from '../support/records.ts'
import { createDice } from './dice.ts'

// Two machines acknowledge rows in their state folders, while the collection is dropped and made
// anew, owners are killed and links are cut. Every row has an id of its own: at the end each that
// was acknowledged is there, or was when the collection was dropped, or was told of.

/** Schedules of a normal run; SIM_SCHEDULES asks for more, SIM_SEED replays one. */
const SCHEDULES = Math.min(Number(process.env.SIM_SCHEDULES ?? 60), 2_000)
const given = process.env.SIM_SEED
const firstSeed = given === undefined ? Date.now() % 2 ** 31 : Number(given)
const seeds = given === undefined ? SCHEDULES : 1

/** Does work that may fail as it may where others are at work and links are cut. */
async function quietly(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (error instanceof SimulatedCrash || /is dead$/.test(String(error))) return
    if (hasCode(error, 'CONFLICT', 'UNREACHABLE', 'NOT_FOUND', 'LOCKED', 'EXISTS')) return
    throw error
  }
}

class Schedule {
  readonly acknowledged: string[] = []
  /** Rows that were there when their collection was dropped. */
  readonly dropped: string[] = []
  readonly trace: string[] = []
  readonly #machines: readonly TestMachine[]
  readonly #dice
  readonly #owners: (Owner | undefined)[] = []
  /** Of owners that are there, or still on their way out. */
  readonly #links = new Set<Owner['link']>()
  readonly #pending: Promise<void>[] = []
  #count = 0

  constructor(machines: readonly TestMachine[], seed: number) {
    this.#machines = machines
    this.#dice = createDice(seed)
  }

  async step(): Promise<void> {
    const i = this.#dice.below(2)
    const machine = this.#machines[i] as TestMachine
    const owner = this.#owners[i]
    const roll = this.#dice.below(20)
    if (roll === 12) await this.#replace()
    else if (roll === 13) machine.clock.advance(this.#dice.pick([200, 2_000, 7_200_000]))
    else if (roll === 14) {
      await quietly(() => collectGarbage(machine.start().environment, { keepMs: 0 }))
    } else if (roll === 15) await quietly(() => this.#ingest(machine))
    else if (owner !== undefined) this.#ownerStep(i, owner, roll)
    else if (roll > 15) {
      this.trace.push(`own ${i}`)
      await quietly(async () => {
        const owner = await own(machine)
        this.#owners[i] = owner
        this.#links.add(owner.link)
      })
    }
    await turns(this.#dice.below(12))
  }

  #ownerStep(i: number, owner: Owner, roll: number): void {
    const start = (work: () => Promise<unknown>) => this.#pending.push(quietly(work))
    if (roll < 8) start(() => this.#write(owner))
    else if (roll === 8) owner.link.cut(true)
    else if (roll === 9 || roll === 10) owner.link.cut(false)
    else if (roll === 16) start(() => owner.log.fold())
    else if (roll === 17) start(() => owner.owner.flush(owner.core))
    else if (roll === 11 || roll === 18) {
      this.#owners[i] = undefined
      this.trace.push(`${roll === 11 ? 'kill' : 'close'} ${i}`)
      if (roll === 11) owner.process.kill()
      else start(() => owner.owner.close().finally(() => owner.process.kill()))
    }
  }

  async #write({ owner, core }: Owner): Promise<void> {
    const ids = Array.from({ length: 1 + this.#dice.below(3) }, () => `r${this.#count++}`)
    const head = owner.knownHead(NAME) ?? (await core.head())
    const log = await owner.log(core, head)
    await log.write(ids.map((id) => row(id)))
    this.acknowledged.push(...ids)
    this.trace.push(`acknowledged ${ids}`)
  }

  async #ingest(machine: TestMachine): Promise<void> {
    const core = machine.start().core(NAME)
    await core.head()
    const id = `i${this.#count++}`
    await ingestRows(core, [{ id }])
    this.acknowledged.push(id)
  }

  async #replace(): Promise<void> {
    // Nothing reaches the bucket between the look and the drop.
    for (const link of this.#links) link.cut(true)
    for (const link of this.#links) await link.quiet()
    await turns(4)
    const core = (this.#dice.pick(this.#machines) as TestMachine).start().core(NAME)
    const ids = await idsOf(core).catch((error: unknown) => {
      this.trace.push(`look: ${String(error)}`)
      return []
    })
    await quietly(() => dropCollection(core))
    this.dropped.push(...ids)
    this.trace.push(`dropped ${ids}`)
    if (this.#dice.chance(0.7)) await quietly(() => createCollection(core, {}))
    if (this.#dice.chance(0.7)) for (const link of this.#links) link.cut(false)
  }

  /** Everybody is gone; the next owners bring what is left. @returns where rows are then */
  async end(): Promise<ReadonlySet<string>> {
    for (const link of this.#links) link.cut(false)
    await turns(20)
    for (const owner of this.#owners) owner?.process.kill()
    await Promise.all(this.#pending)
    const [first] = this.#machines as [TestMachine]
    await quietly(() => createCollection(first.start().core(NAME), {}))
    const found = [...this.dropped]
    for (const machine of this.#machines) {
      const last = await own(machine)
      await last.owner.close()
      last.process.kill()
      for (const line of await keptAt(machine)) found.push(JSON.parse(line).id)
      expect(await Array.fromAsync(machine.state.list('outbox/'))).toEqual([])
    }
    return new Set([...found, ...(await idsOf(first.start().core(NAME)))])
  }
}

async function runSchedule(seed: number): Promise<number> {
  const [a, b] = await twoMachines()
  const { clock, store } = a
  const third = createTestMachine({ seed: 3, isShared: true, clock, store })
  const schedule = new Schedule([a, b, third], seed)
  try {
    for (let steps = 20 + (seed % 30); steps > 0; steps--) await schedule.step()
    const found = await schedule.end()
    expect(schedule.acknowledged.filter((id) => !found.has(id))).toEqual([])
    return schedule.acknowledged.length
  } catch (error) {
    const message = `SIM_SEED=${seed} replays this schedule:\n${schedule.trace.join('\n')}`
    throw new Error(`${message}\n${String(error)}`, { cause: error })
  }
}

it(`no row is lost without a word in ${seeds} schedules from seed ${firstSeed}`, async () => {
  let rows = 0
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) rows += await runSchedule(seed)
  expect(rows).toBeGreaterThan(0)
}, 1_200_000)
