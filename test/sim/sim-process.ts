import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { createCollection } from '../../src/db/collection/lifecycle.ts'
import { logSource } from '../../src/db/log-view.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { RESERVE_FILE } from '../../src/db/states/reserve.ts'
import type { LogOwner } from '../../src/db/wal/log-owner.ts'
import type { LockManager } from '../../src/storage/locks.ts'
import { createMemoryLocks } from '../../src/storage/memory-locks.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { SimulatedCrash, type StepHook } from '../support/fault-store.ts'
import {
  contentsOf,
  createTestMachine,
  seededRandom,
  startProcess,
  type TestClock,
  type TestMachine,
} from '../support/memory-environment.ts'
import type { Scheduler } from './scheduler.ts'

export const COLLECTION = 'docs'

/** A disk with one empty collection, made once: making keys is slow. */
export interface Template {
  readonly machine: TestMachine
  readonly store: ReadonlyMap<string, Uint8Array>
  readonly state: ReadonlyMap<string, Uint8Array>
}

export async function createTemplate(
  dimension: number | undefined,
  isShared = false,
): Promise<Template> {
  const machine = createTestMachine({ seed: 0xfeed_0000, isShared })
  // The real one is 16 MiB, and gc makes it where it is missing.
  await machine.state.put(RESERVE_FILE, new Uint8Array(1))
  const { core } = machine.start()
  await createCollection(core(COLLECTION), dimension === undefined ? {} : { dimension })
  return {
    machine,
    store: await contentsOf(machine.store),
    state: await contentsOf(machine.state),
  }
}

/** A machine of its own with a template's disk. */
export async function machineOf(
  template: Template,
  seed: number,
  clock: TestClock,
): Promise<TestMachine> {
  const store = createMemoryStore({ clock })
  const state = createMemoryStore({ clock })
  for (const [key, body] of template.store) await store.put(key, body)
  for (const [key, body] of template.state) await state.put(key, body)
  const locks = createMemoryLocks({ clock })
  return { ...template.machine, store, state, locks, clock, random: seededRandom(seed) }
}

/** Machines that each come to a bucket with a state folder, keys and locks of their own. */
const others = [0xfeed_0001, 0xfeed_0002].map((seed) => createTestMachine({ seed, isShared: true }))

/** More machines that change the same store. */
export async function machinesBeside(machine: TestMachine): Promise<TestMachine[]> {
  const { store, clock, random } = machine
  return await Promise.all(
    others.map(async (other) => {
      const state = createMemoryStore({ clock })
      await state.put(RESERVE_FILE, new Uint8Array(1))
      return { ...other, store, state, locks: createMemoryLocks({ clock }), clock, random }
    }),
  )
}

/** One process of a schedule: every look at the store, its state folder or a lock is a step. */
export interface SimProcess {
  readonly name: string
  readonly machine: TestMachine
  readonly environment: Environment
  readonly core: CollectionCore
  /** The log owner in this process. */
  owner: LogOwner | undefined
  kill(): void
}

export interface StartOptions {
  readonly name: string
  /** Sees each step when the process is let go on, before anything else runs. */
  readonly observe: StepHook
  /** Breaks a promise on purpose. */
  readonly mutate?: (store: ObjectStore) => ObjectStore
  /** The same in the state folder. */
  readonly mutateState?: (store: ObjectStore) => ObjectStore
  /** Where this process acknowledges single writes. */
  readonly durability?: 'bucket' | 'local'
  /** Locks of these names keep nobody else out, as between two machines. */
  readonly unshared?: RegExp | undefined
}

export function startSimProcess(
  machine: TestMachine,
  scheduler: Scheduler,
  options: StartOptions,
): SimProcess {
  const { name, observe } = options
  const hook: StepHook = async (step) => {
    if (step.phase === 'after') await observe(step)
    if (step.phase === 'before' || step.changing) await scheduler.step(name, step)
    if (step.phase === 'before') await observe(step)
  }
  const { environment: plain, kill } = startProcess(machine, { name, hook }, name)
  const environment: Environment = {
    ...plain,
    store: options.mutate?.(plain.store) ?? plain.store,
    state: options.mutateState?.(plain.state) ?? plain.state,
    durability: options.durability ?? 'bucket',
    locks: steppingLocks(
      plain.locks,
      (what) => scheduler.turn(name, what),
      (lock) => (options.unshared?.test(lock) === true ? `${lock}-${name}` : lock),
    ),
    clock: scheduler.clockOf(name),
  }
  const core: CollectionCore = new CollectionCore({
    environment,
    name: COLLECTION,
    log: logSource(
      () => core,
      () => process.owner,
    ),
  })
  const process: SimProcess = { name, machine, environment, core, owner: undefined, kill }
  return process
}

/** A process that no scheduler holds up and nobody kills: what the checks look through. */
export function startObserver(
  machine: TestMachine,
  name: string,
  mutateState: StartOptions['mutateState'] = (state) => state,
): SimProcess {
  const { environment: plain, kill } = startProcess(machine, { name }, name)
  const environment: Environment = { ...plain, state: mutateState(plain.state) }
  // It reads without pins, which would change what garbage is.
  const core: CollectionCore = new CollectionCore({
    environment: { ...environment, mode: 'read' },
    name: COLLECTION,
    log: logSource(
      () => core,
      () => undefined,
    ),
  })
  return { name, machine, environment, core, owner: undefined, kill }
}

function steppingLocks(
  locks: LockManager,
  turn: (what: string) => Promise<void>,
  own: (name: string) => string,
): LockManager {
  return {
    acquire: async (name, waitMs) => {
      await turn(`acquire ${name}`)
      return await locks.acquire(own(name), waitMs)
    },
    isHeld: async (name) => {
      await turn(`is held ${name}`)
      return await locks.isHeld(own(name))
    },
    holder: (name) => locks.holder(own(name)),
    list: async (prefix) => {
      await turn(`list locks ${prefix}`)
      return await locks.list(prefix)
    },
    remove: async (name) => {
      await turn(`remove lock ${name}`)
      await locks.remove(own(name))
    },
    close: () => locks.close(),
  }
}

/** Whether an error only says that the process is gone. */
export const isDeath = (error: unknown): boolean =>
  error instanceof SimulatedCrash ||
  (error instanceof Error && /^the process "[^"]*" is dead$/.test(error.message))
