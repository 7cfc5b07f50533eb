import { createHash } from 'node:crypto'
import type { Clock } from '../../src/core/clock.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { SimulatedCrash, type StoreStep } from '../support/fault-store.ts'
import type { TestClock } from '../support/memory-environment.ts'
import type { Dice } from './dice.ts'

/** Steps of one schedule; more mean that somebody waits for ever. */
const STEPS_MAX = 60_000
/** Trace lines kept for the message of a failure. */
const TRACE_LINES = Number(process.env.SIM_TRACE_LINES ?? 160)
const STEP_MS = 1
/** Longer than a look at the clock, a wait for a lock, a pin's life, the history that gc keeps. */
const PAUSES_MS = [
  ...[40, 40, 40, 12_000, 12_000, 61 * 60_000],
  ...[25 * 3_600_000, 8 * 24 * 3_600_000],
]

/** One process that stands at one step and waits to be let go on. */
interface Waiter {
  readonly process: string
  readonly what: string
  readonly bytes: number
  readonly changing: boolean
  /** Of a bucket: an answer may be lost on its way, and a request, too. */
  readonly remote: boolean
  readonly go: () => void
  readonly die: (error: Error) => void
}

interface Sleeper extends Pick<Waiter, 'process' | 'go' | 'die'> {
  readonly wakeMs: number
}

export interface Odds {
  /** That the process that ran last runs on. */
  readonly stay: number
  /** Of a pause, at each step. */
  readonly pause: number
  /** Of a crash, at each step. */
  readonly crash: number
  readonly crashesMax: number
  /** That the disk fails a step that changes it: before, nothing has happened; after, it has. */
  readonly diskError: number
  /** That a request to a bucket fails: before, nothing has happened; after, it has. */
  readonly netError: number
  /** Of a crash of all processes at once, at each step. */
  readonly powerCut: number
}

/**
 * Runs simulated processes one step at a time. A step is a store operation, or a look at a lock;
 * between two steps of one process any other one may run. Whose turn it is, who crashes, who is
 * paused and what time it is follow from the dice alone.
 */
export class Scheduler {
  readonly #dice: Dice
  readonly #odds: Odds
  readonly #hash = createHash('sha256')
  readonly #trace: string[] = []
  readonly #kill: (process: string) => void
  #waiting: Waiter[] = []
  #sleeping: Sleeper[] = []
  readonly #pausedUntil = new Map<string, number>()
  readonly #dead = new Set<string>()
  #tasks = 0
  #nowMs: number
  #last = ''
  #crashes = 0
  #failure: unknown
  #failed = false
  /** Steps so far: the time by which operations are ordered. */
  steps = 0
  /** Longest pause of a process so far. */
  readonly pauses = new Map<string, number>()
  powerCut = false

  /** @param kill tells a process's store and locks that it is gone */
  constructor(options: {
    dice: Dice
    odds: Odds
    startMs: number
    kill: (process: string) => void
  }) {
    this.#dice = options.dice
    this.#odds = options.odds
    this.#nowMs = options.startMs
    this.#kill = options.kill
  }

  get traceHash(): string {
    return this.#hash.copy().digest('hex')
  }

  /** The last lines, oldest first. */
  get trace(): readonly string[] {
    return this.#trace
  }

  isDead(process: string): boolean {
    return this.#dead.has(process)
  }

  note(line: string): void {
    const text = `${this.steps} ${line}`
    this.#hash.update(text)
    this.#trace.push(text)
    if (this.#trace.length > TRACE_LINES) this.#trace.shift()
  }

  clockOf(process: string): Clock {
    return {
      nowMs: () => this.#nowMs,
      sleep: (ms, signal) => {
        signal?.throwIfAborted()
        return this.#sleep(process, ms)
      },
    }
  }

  /** For what belongs to no process: the stores' clocks, and waits for locks. */
  machineClock(): TestClock {
    const clock = this.clockOf('-')
    return {
      ...clock,
      advance: (ms) => {
        this.#nowMs += ms
      },
    }
  }

  /** Stops the caller until the scheduler lets it go on. @throws SimulatedCrash */
  turn(
    process: string,
    what: string,
    { bytes = 0, changing = false, remote = false } = {},
  ): Promise<void> {
    if (this.#dead.has(process)) return Promise.reject(new SimulatedCrash('earlier'))
    return new Promise((go, die) => {
      this.#waiting.push({ process, what, bytes, changing, remote, go, die })
    })
  }

  /** A store's hook: a switch before each operation, and after each that changes something. */
  step(process: string, step: StoreStep): Promise<void> {
    const { phase, operation, key, changing, remote } = step
    const bytes = phase === 'before' && operation === 'append' ? step.bytes : 0
    const where = remote ? 'there ' : ''
    return this.turn(process, `${phase} ${operation} ${where}${key}`, { bytes, changing, remote })
  }

  /** Ends a process that is done, between two steps of whatever else it still does. */
  async exit(process: string): Promise<void> {
    await this.turn(process, 'exits')
    this.#crash(process)
  }

  /** Runs work of a process beside all the others. What it throws ends the schedule. */
  spawn(work: () => Promise<void>): void {
    this.#tasks++
    work()
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#tasks--
      })
  }

  fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#failure = error
  }

  /** Runs all that was spawned to its end. @throws what any of it threw */
  async run(): Promise<void> {
    await quiet()
    while (this.#tasks > 0 && !this.#failed) {
      if (++this.steps > STEPS_MAX) throw new Error(`no end after ${STEPS_MAX} steps`)
      this.#nowMs += STEP_MS
      this.#wake()
      const waiter = this.#choose()
      if (waiter !== undefined) this.#move(waiter)
      else this.#jump()
      await quiet()
    }
    if (this.#failed) throw this.#failure
  }

  /** Ends every process where it stands. */
  cutPower(): void {
    this.note('power cut')
    this.powerCut = true
    for (const { process } of [...this.#waiting, ...this.#sleeping]) this.#crash(process)
  }

  #sleep(process: string, ms: number): Promise<void> {
    if (this.#dead.has(process)) return Promise.reject(new SimulatedCrash('earlier'))
    return new Promise((go, die) => {
      this.#sleeping.push({ process, wakeMs: this.#nowMs + ms, go, die })
    })
  }

  #wake(): void {
    const due = this.#sleeping.filter(({ wakeMs }) => wakeMs <= this.#nowMs)
    if (due.length === 0) return
    this.#sleeping = this.#sleeping.filter(({ wakeMs }) => wakeMs > this.#nowMs)
    for (const { process, go, die } of due) {
      const what = 'wakes'
      this.#waiting.push({ process, what, bytes: 0, changing: false, remote: false, go, die })
    }
  }

  #choose(): Waiter | undefined {
    const awake = this.#waiting.filter(({ process }) => !this.#isPaused(process))
    if (awake.length === 0) return undefined
    const same = awake.filter(({ process }) => process === this.#last)
    const stays = same.length > 0 && this.#dice.chance(this.#odds.stay)
    return this.#dice.pick(stays ? same : awake)
  }

  #isPaused(process: string): boolean {
    return (this.#pausedUntil.get(process) ?? 0) > this.#nowMs
  }

  #move(waiter: Waiter): void {
    const { process, what, go } = waiter
    const odds = this.#odds
    if (this.#dice.chance(odds.powerCut)) {
      this.cutPower()
      return
    }
    const real = process !== '-'
    if (real && this.#crashes < odds.crashesMax && this.#dice.chance(odds.crash)) {
      this.#crashes++
      this.note(`${process} crashes, ${what}`)
      this.#crash(process, waiter)
      return
    }
    if (real && this.#dice.chance(odds.pause)) {
      const ms = this.#dice.pick(PAUSES_MS)
      this.note(`${process} is paused for ${ms} ms, ${what}`)
      this.#pausedUntil.set(process, this.#nowMs + ms)
      this.pauses.set(process, Math.max(ms, this.pauses.get(process) ?? 0))
      return
    }
    this.#last = process
    this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
    if (waiter.remote && this.#dice.chance(odds.netError)) {
      this.note(`${process} loses its connection, ${what}`)
      waiter.die(new AkidbError('UNREACHABLE', `simulated, ${what}`))
      return
    }
    if (!waiter.remote && waiter.changing && this.#dice.chance(odds.diskError)) {
      this.note(`${process} meets a full disk, ${what}`)
      waiter.die(new AkidbError('NO_SPACE', `simulated, ${what}`))
      return
    }
    this.note(`${process} ${what}`)
    go()
  }

  #crash(process: string, at?: Waiter): void {
    if (process === '-' || this.#dead.has(process)) return
    this.#dead.add(process)
    this.#kill(process)
    const mine = this.#waiting.filter((waiter) => waiter.process === process)
    const asleep = this.#sleeping.filter((sleeper) => sleeper.process === process)
    this.#waiting = this.#waiting.filter((waiter) => waiter.process !== process)
    this.#sleeping = this.#sleeping.filter((sleeper) => sleeper.process !== process)
    for (const waiter of mine) {
      const torn = waiter === at && waiter.bytes > 0 ? this.#dice.below(waiter.bytes + 1) : 0
      waiter.die(new SimulatedCrash(waiter.what, torn))
    }
    for (const sleeper of asleep) sleeper.die(new SimulatedCrash('asleep'))
  }

  /** Nobody can run: goes on to the moment when somebody can. */
  #jump(): void {
    const ends = this.#waiting.map(({ process }) => this.#pausedUntil.get(process) ?? 0)
    const wakes = this.#sleeping.map(({ wakeMs }) => wakeMs)
    const next = [...ends, ...wakes].filter((ms) => ms > this.#nowMs)
    if (next.length === 0) throw new Error('nobody can run, and nobody ever will')
    this.#nowMs = Math.min(...next)
  }
}

/** Resolves when all code has run that waits for nothing but itself. */
const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
