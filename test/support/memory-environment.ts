import { buildIndexSync } from '../../src/ann/build-index.ts'
import { type AuditLog, openAuditLog } from '../../src/audit/log.ts'
import { createSharedLogs } from '../../src/audit/shared-logs.ts'
import type { Clock, RandomBytes } from '../../src/core/clock.ts'
import type { Warning } from '../../src/db/api/api.ts'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { logSource } from '../../src/db/log-view.ts'
import { AUDIT_LOCK, namedPositions } from '../../src/db/open/open-environment.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { STORE_FILE } from '../../src/db/states/store-file.ts'
import type { LogOwner } from '../../src/db/wal/log-owner.ts'
import type { LockManager } from '../../src/storage/locks.ts'
import { createMemoryLocks, type MemoryLocks } from '../../src/storage/memory-locks.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { createSigner, keyPairOfSeed } from '../../src/trust/key-pair.ts'
import type { PublicKey, Signer } from '../../src/trust/signer.ts'
import { createFaultStore, SimulatedCrash, type StepHook } from './fault-store.ts'

/** A clock that a test owns: it moves by `advance`, by sleeping, and 1 ms at every look. */
export interface TestClock extends Clock {
  advance(ms: number): void
}

export function createTestClock(startMs = Date.UTC(2026, 0, 1)): TestClock {
  let now = startMs
  return {
    nowMs: () => {
      now += 1
      return now
    },
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      now += ms
      // Lets whoever is waited for get on.
      await new Promise((resolve) => setImmediate(resolve))
    },
    advance: (ms) => {
      now += ms
    },
  }
}

/** Bytes that depend on the seed alone (mulberry32). */
export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  return (bytes) => Uint8Array.from({ length: bytes }, () => next() & 0xff)
}

export interface ProcessOptions {
  /** Default: a name of its own. */
  readonly name?: string
  readonly mode?: 'read' | 'write'
  /** Called at every step of its store and its state folder; a SimulatedCrash kills the process. */
  readonly hook?: StepHook
  readonly owner?: () => LogOwner | undefined
}

/** One simulated process on a machine. */
export interface TestProcess {
  readonly environment: Environment
  readonly warnings: readonly Warning[]
  readonly crashed: boolean
  core(name: string): CollectionCore
  /** As kill −9 does: nothing of it changes anything any more, and its locks are free. */
  kill(): void
}

/** A store and its state folder in memory, with everything that outlives a process. */
export interface TestMachine {
  /** What is on the disk. */
  readonly store: ObjectStore
  readonly state: ObjectStore
  readonly locks: MemoryLocks
  readonly clock: TestClock
  readonly random: RandomBytes
  readonly signer: Signer
  readonly logKey: PublicKey
  /** The store is one that other machines change, too. */
  readonly isShared?: boolean
  start(options?: ProcessOptions): TestProcess
}

export interface MachineOptions {
  readonly seed?: number
  readonly clock?: TestClock
  readonly isShared?: boolean
  /** Instead of empty memory. */
  readonly store?: ObjectStore
  readonly state?: ObjectStore
}

/** A machine whose whole behaviour follows from its seed. */
export function createTestMachine(options: MachineOptions = {}): TestMachine {
  const clock = options.clock ?? createTestClock()
  const random = seededRandom(options.seed ?? 1)
  const signer = createSigner(keyPairOfSeed(random(32), 'log'), { implementation: 'node' })
  const locks = createMemoryLocks({ clock })
  let count = 0
  const machine: TestMachine = {
    store: options.store ?? newStore(clock),
    state: options.state ?? createMemoryStore({ clock }),
    locks,
    clock,
    random,
    signer,
    logKey: signer.key,
    isShared: options.isShared === true,
    start: (process = {}) => startProcess(machine, process, `p${count++}`),
  }
  return machine
}

/** An empty store. In memory a put is done when it is called. */
function newStore(clock: TestClock): ObjectStore {
  const store = createMemoryStore({ clock })
  const createdAt = '2026-01-01T00:00:00.000Z'
  const file = { format: 'akidb-store/1', id: '0'.repeat(32), kind: 'working', createdAt }
  void store.put(STORE_FILE, Buffer.from(`${JSON.stringify(file)}\n`))
  return store
}

/** Starts a process on any machine, also on one made by spreading another. */
export function startProcess(
  machine: TestMachine,
  options: ProcessOptions,
  number: string,
): TestProcess {
  const name = options.name ?? number
  const warnings: Warning[] = []
  let dead = false
  const kill = (): void => {
    dead = true
    machine.locks.releaseAll(name)
  }
  const hook: StepHook = async (step) => {
    if (dead) throw new SimulatedCrash('earlier')
    try {
      await options.hook?.(step)
    } catch (error) {
      if (error instanceof SimulatedCrash) kill()
      throw error
    }
  }
  const holder = { host: 'test', pid: 1, command: name, startedAt: '2026-01-01T00:00:00.000Z' }
  const state = createFaultStore(machine.state, hook)
  const bucket = createFaultStore(machine.store, hook, machine.isShared)
  const logId = machine.signer.key.keyId
  const parts = {
    store:
      machine.isShared === true
        ? createSharedLogs({ inner: bucket, state, logId, publishes: true })
        : bucket,
    state,
    locks: machine.locks.forProcess(name, holder),
  }
  const mode = options.mode ?? 'write'
  const environment = environmentOf(machine, { ...parts, mode, name, warnings })
  const cores = new Map<string, CollectionCore>()
  return {
    environment,
    warnings,
    get crashed() {
      return dead
    },
    kill,
    core: (collection) => {
      const known = cores.get(collection)
      if (known !== undefined) return known
      const log = logSource(
        () => core,
        () => options.owner?.(),
      )
      const core: CollectionCore = new CollectionCore({ environment, name: collection, log })
      cores.set(collection, core)
      return core
    },
  }
}

interface Parts {
  readonly store: ObjectStore
  readonly state: ObjectStore
  readonly locks: LockManager
  readonly mode: 'read' | 'write'
  readonly name: string
  readonly warnings: Warning[]
}

function environmentOf(machine: TestMachine, parts: Parts): Environment {
  const { store, state, locks, mode, name, warnings } = parts
  const { signer, clock, random } = machine
  let audit: Promise<AuditLog> | undefined
  const openLog = async (): Promise<AuditLog> =>
    await openAuditLog({
      store,
      prefix: `audit/${signer.key.keyId}`,
      origin: 'akidb/test',
      signer,
      lock: () => locks.acquire(AUDIT_LOCK, 10_000),
      clock,
      named: await namedPositions({ store }, signer.key.keyId),
    })
  return {
    mode,
    store,
    state,
    locks,
    isShared: machine.isShared === true,
    clock,
    random,
    actor: { user: 'aki', uid: 1000, host: 'test' },
    command: name,
    reason: undefined,
    lockWaitMs: 10_000,
    warn: (warning) => void warnings.push(warning),
    audit: () => {
      audit ??= openLog().catch((error: unknown) => {
        audit = undefined
        throw error
      })
      return audit
    },
    // In the calling thread: the bytes are those that a pool of workers would make.
    builder: () => ({
      build: async (vectors, parameters) => {
        const pieces = await Array.fromAsync(vectors.pieces, (piece) => piece.slice())
        return buildIndexSync({ ...vectors, pieces }, parameters)
      },
      close: async () => undefined,
    }),
  }
}

/** Every object of a store, by key. */
export async function contentsOf(store: ObjectStore): Promise<Map<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>()
  for await (const { key } of store.list('')) contents.set(key, await store.get(key))
  return contents
}

/**
 * A machine with the same disk content, clock and key: to run the same thing again from there. Its
 * seed is another than the first one's, or it would give out the same ids again.
 */
export async function cloneMachine(machine: TestMachine, seed = 1_000): Promise<TestMachine> {
  const clock = createTestClock(machine.clock.nowMs())
  const copy = { ...createTestMachine({ seed, clock }), signer: machine.signer }
  for (const [from, to] of [
    [machine.store, copy.store],
    [machine.state, copy.state],
  ] as const) {
    for (const [key, body] of await contentsOf(from)) await to.put(key, body)
  }
  let count = 0
  const clone: TestMachine = {
    ...copy,
    logKey: machine.logKey,
    start: (process = {}) => startProcess(clone, process, `c${count++}`),
  }
  return clone
}
