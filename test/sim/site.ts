import { limits } from '../../src/core/limits.ts'
import { checkOutcomes, recoverActs } from '../../src/db/collection/recover.ts'
import { hasCode } from '../../src/errors/errors.ts'
import type { ErrorCode } from '../../src/errors/exit-codes.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import type { TestMachine } from '../support/memory-environment.ts'
import type { Dice } from './dice.ts'
import type { History, Op, OpKind, Writes } from './history.ts'
import type { Observer } from './observer.ts'
import type { Scheduler } from './scheduler.ts'
import { isDeath, type SimProcess, startSimProcess } from './sim-process.ts'

/** Together longer than the longest pauses of everybody. */
const OPEN_TRIES_MAX = 100
const OPEN_AGAIN_MS = 12 * 3_600_000

export const IDS: readonly string[] = ['a', 'b', 'c', 'd', 'e', 'f']

/** A promise that the engine makes, broken on purpose, to see that the checks notice. */
export interface Mutation {
  readonly store?: (store: ObjectStore) => ObjectStore
  readonly state?: (state: ObjectStore) => ObjectStore
  /** Single writes are acknowledged in the state folder, instead of as the seed chooses. */
  readonly isLocal?: boolean
  /** Clients of the log owner are told before anything is durable. */
  readonly ackEarly?: boolean
  readonly withoutRecovery?: boolean
  /** In a bucket, or not, instead of as the seed chooses. */
  readonly isShared?: boolean
  /** Locks that keep nobody out, instead of those that the seed chooses. */
  readonly unshared?: RegExp
}

/** One schedule's machine with everybody who works on it. */
export interface Site {
  readonly machine: TestMachine
  /** All that change the store: several where it lies in a bucket, and `machine` is the first. */
  readonly machines: readonly TestMachine[]
  readonly scheduler: Scheduler
  readonly dice: Dice
  readonly history: History
  readonly observer: Observer
  readonly mutation: Mutation
  readonly dimension: number | undefined
  /** Whether changing the disk may fail. */
  readonly sickDisk: boolean
  /** Whether a request to the bucket may fail. */
  readonly sickNet: boolean
  /** Names of locks that keep nobody out in this schedule. */
  readonly unshared: RegExp | undefined
  /** Whether single writes are acknowledged in the state folder. */
  readonly isLocal: boolean
  /** How to end each process. */
  readonly kills: Map<string, () => void>
  /** Collections of garbage that have begun. */
  gcRuns: number
  /** The process that holds the write-ahead log. */
  ownerProcess: SimProcess | undefined
  nextValue: number
}

/** What a process works through; it may be interrupted anywhere, and goes on in its successor. */
export interface Role {
  readonly name: string
  readonly work: (process: SimProcess) => Promise<void>
  /** How often it is started again after a crash. */
  readonly restarts: number
}

/** Runs a role in a process of its own, and in another one each time that it dies. */
export function runRole(site: Site, role: Role): void {
  const machine = site.dice.pick(site.machines)
  site.scheduler.spawn(async () => {
    for (let life = 0; life <= role.restarts; life++) {
      const process = startProcess(site, machine, `${role.name}${life}`)
      try {
        await open(site, process)
        await role.work(process)
        await process.core.close()
        await site.scheduler.exit(process.name)
        return
      } catch (error) {
        if (!isDeath(error) || !site.scheduler.isDead(process.name)) throw error
        if (site.scheduler.powerCut) return
      } finally {
        if (site.ownerProcess === process) site.ownerProcess = undefined
      }
    }
  })
}

function startProcess(site: Site, machine: TestMachine, name: string): SimProcess {
  const { scheduler, observer, mutation, kills } = site
  const mutate = mutation.store === undefined ? {} : { mutate: mutation.store }
  const options = {
    ...{ name, observe: observer.hookOf(name), unshared: site.unshared },
    ...(site.isLocal ? { durability: 'local' as const } : {}),
    ...(mutation.state === undefined ? {} : { mutateState: mutation.state }),
    ...mutate,
  }
  const process = startSimProcess(machine, scheduler, options)
  kills.set(name, process.kill)
  return process
}

/** As opening a store for writing does. */
async function open(site: Site, { environment }: SimProcess): Promise<void> {
  if (site.mutation.withoutRecovery === true) return
  // An operator runs a command again that found a lock held.
  for (let tries = 1; ; tries++) {
    try {
      await recoverActs(environment)
      await checkOutcomes(environment)
      return
    } catch (error) {
      if (!isAllowed(site, error, 'LOCKED') || tries === OPEN_TRIES_MAX) throw error
    }
    await environment.clock.sleep(OPEN_AGAIN_MS)
  }
}

/** Runs one changing operation of a client and keeps book of it. */
export async function act(
  site: Site,
  process: SimProcess,
  input: { kind: OpKind; writes: Writes; below?: number; mayFailWith: readonly ErrorCode[] },
  work: (op: Op) => Promise<void>,
): Promise<'done' | 'failed'> {
  const { history, scheduler, observer } = site
  const { mayFailWith, ...what } = input
  const isLocal = site.isLocal && input.kind === 'log'
  const op = history.begin({ ...what, process: process.name, isLocal })
  const below = input.below === undefined ? '' : ` below ${input.below}`
  const show = `${JSON.stringify([...input.writes])}${below}`
  scheduler.note(`${process.name} begins ${input.kind} ${show}`)
  if (input.kind !== 'log') observer.current.set(process.name, op)
  try {
    await work(op)
    history.ack(op)
    scheduler.note(`${process.name} was told that ${input.kind} ${show} is done`)
    return 'done'
  } catch (error) {
    history.fail(op)
    if (!isAllowed(site, error, ...mayFailWith)) throw error
    scheduler.note(`${process.name} was told that ${input.kind} ${show} failed: ${String(error)}`)
    return 'failed'
  }
}

/** Whether a command may fail so in this schedule. */
export const isAllowed = (site: Site, error: unknown, ...codes: ErrorCode[]): boolean =>
  hasCode(error, ...codes) ||
  (site.sickDisk && hasCode(error, 'NO_SPACE')) ||
  (site.sickNet && hasCode(error, 'UNREACHABLE'))

/**
 * Lets so much time go by, now and then, that what is there is no longer young where machines
 * share a store (limits.gcSharedKeepMs).
 */
export async function growOld(site: Site, { environment }: SimProcess): Promise<void> {
  if (site.machines.length === 1 || !site.dice.chance(0.3)) return
  await environment.clock.sleep(limits.gcSharedKeepMs + site.dice.below(2) * 60_000)
}

export const newValue = (site: Site): number => site.nextValue++

export const vectorOf = (site: Site, value: number): Float32Array | undefined =>
  site.dimension === undefined
    ? undefined
    : Float32Array.from({ length: site.dimension }, (_, i) => value + i + 1)
