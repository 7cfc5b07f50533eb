import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { createCollection } from '../../src/db/collection/lifecycle.ts'
import { logSource } from '../../src/db/log-view.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import { unsentFiles } from '../../src/db/wal/outbox-settle.ts'
import type { OwnedLog } from '../../src/db/wal/owned-log.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import type { StepHook } from './fault-store.ts'
import {
  createTestClock,
  createTestMachine,
  type TestMachine,
  type TestProcess,
} from './memory-environment.ts'

// Owners of single writes that are acknowledged in the state folder.

export const NAME = 'docs'
export const row = (id: string, n = 0) => ({
  kind: 'upsert' as const,
  row: { id, vector: undefined, payload: new Map([['n', n]]) },
})

/** A bucket that can be cut off. */
function link(store: ObjectStore) {
  let isCut = false
  let running = 0
  const calls: string[] = []
  const reached = new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (typeof args[0] === 'string') calls.push(`${String(name)} ${args[0]}`)
        if (!isCut) {
          const result: unknown = value.apply(target, args)
          if (!(result instanceof Promise)) return result
          running++
          return result.finally(() => {
            running--
          })
        }
        const failure = new AkidbError('UNREACHABLE', `the bucket is gone: ${String(name)}`)
        const next = () => Promise.reject(failure)
        if (name === 'list') return { [Symbol.asyncIterator]: () => ({ next }) }
        return Promise.reject(failure)
      }
    },
  })
  return {
    store: reached,
    calls,
    cut: (on: boolean) => {
      isCut = on
    },
    /** Resolves when nothing that came before a cut is under way any more. */
    quiet: async () => {
      while (running > 0) await turns(1)
    },
  }
}

export interface Owner {
  readonly process: TestProcess
  readonly core: CollectionCore
  readonly owner: LogOwner
  readonly log: OwnedLog
  readonly link: ReturnType<typeof link>
}

/** Becomes the owner of `docs` in a new process, acknowledging in the state folder. */
export async function own(machine: TestMachine, hook?: StepHook): Promise<Owner> {
  const process = machine.start(hook === undefined ? {} : { hook })
  const bucket = link(process.environment.store)
  const environment: Environment = {
    ...process.environment,
    store: bucket.store,
    durability: 'local',
  }
  const core: CollectionCore = new CollectionCore({
    environment,
    name: NAME,
    log: logSource(
      () => core,
      () => owner,
    ),
  })
  const owner = await LogOwner.start(environment, { timer: false })
  const log = await core
    .head()
    .then(async (head) => await owner.log(core, head))
    .catch((error: unknown) => {
      process.kill()
      throw error
    })
  return { process, core, owner, log, link: bucket }
}

export async function twoMachines(): Promise<readonly [TestMachine, TestMachine]> {
  const clock = createTestClock()
  const a = createTestMachine({ isShared: true, clock })
  const b = createTestMachine({ seed: 2, isShared: true, clock, store: a.store })
  await createCollection(a.start().core(NAME), {})
  return [a, b]
}

export const turns = async (count = 40): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** What is kept of rows that did not get there. */
export async function keptAt(machine: TestMachine): Promise<string[]> {
  const texts: string[] = []
  for (const key of await unsentFiles(machine)) {
    texts.push(
      ...Buffer.from(await machine.state.get(key))
        .toString('utf8')
        .trim()
        .split('\n'),
    )
  }
  return texts
}

/** Stops at an operation, once each time that it is armed, until it is let go. */
export function gate(operation: string, phase: 'before' | 'after', key: RegExp) {
  let opened = Promise.withResolvers<void>()
  let reached = Promise.withResolvers<void>()
  let isArmed = false
  const hook: StepHook = async (step) => {
    if (!isArmed || step.operation !== operation || step.phase !== phase) return
    if (!key.test(step.key)) return
    isArmed = false
    reached.resolve()
    await opened.promise
  }
  return {
    hook,
    open: () => opened.resolve(),
    isReached: () => reached.promise,
    arm: () => {
      opened = Promise.withResolvers<void>()
      reached = Promise.withResolvers<void>()
      isArmed = true
    },
  }
}
