import { AkidbError } from '../../src/errors/errors.ts'
import type * as store from '../../src/storage/object-store.ts'

export type StoreOperation =
  | 'get'
  | 'read'
  | 'put'
  | 'stage'
  | 'write'
  | 'commit'
  | 'abort'
  | 'head'
  | 'list'
  | 'delete'
  | 'append'
  | 'truncate'
  | 'nowMs'
  | 'sweepTemporary'

/** Operations after which the store, or a staged object, differs. */
const CHANGING: ReadonlySet<StoreOperation> = new Set([
  'put',
  'stage',
  'write',
  'commit',
  'delete',
  'append',
  'truncate',
  'sweepTemporary',
])
/** Changing operations that need room on the disk. */
const FILLING: ReadonlySet<StoreOperation> = new Set(['put', 'write', 'commit', 'append'])

/** One moment in the life of a store: just before an operation takes effect, or just after. */
export interface StoreStep {
  readonly phase: 'before' | 'after'
  readonly operation: StoreOperation
  /** Key or prefix; '' where there is none (stage, write, nowMs). */
  readonly key: string
  /** Bytes to write, where bytes are written. */
  readonly bytes: number
  readonly changing: boolean
  /** Of a store that machines share: another machine, and a network before it. */
  readonly remote: boolean
}

/**
 * Called at every step. What it throws, the operation throws: before, nothing has happened; after,
 * it has happened and the caller does not learn it. A promise is awaited, so a scheduler can switch
 * here.
 */
export type StepHook = (step: StoreStep) => void | Promise<void>

/** The process is gone. From now on its store throws this at every call and changes nothing. */
export class SimulatedCrash extends Error {
  /** Before an append or replace only: this many bytes of it reach the disk all the same. */
  readonly tornBytes: number

  constructor(where: string, tornBytes = 0) {
    super(`simulated crash ${where}`)
    this.name = 'SimulatedCrash'
    this.tornBytes = tornBytes
  }
}

export interface FaultStore extends store.ObjectStore {
  /** Whether a SimulatedCrash was thrown. */
  readonly crashed: boolean
  /** Crashes it from outside, as kill −9 does. */
  crash(): void
}

/**
 * Wraps a store and calls `hook` at every step. Reopen what is left by wrapping the inner store
 * anew.
 */
export function createFaultStore(
  inner: store.ObjectStore,
  hook: StepHook,
  remote = false,
): FaultStore {
  return new HookedStore(inner, hook, remote)
}

export interface StepCounter {
  readonly hook: StepHook
  /** Changing steps so far: two an operation. */
  count(): number
  /** The step at which it struck; undefined while it has not. */
  struck(): StoreStep | undefined
}

/**
 * Crashes at the n-th changing step (from 1). Run with n = 1, 2, 3, … until `struck()` is undefined
 * after a whole run: then every step has been tried.
 * @param tornShare of the bytes of an append that reach the disk when the crash comes before it
 */
export function crashAtStep(n: number, tornShare = 0): StepCounter {
  return strikeAt(n, (step) => {
    const torn = step.operation === 'append' ? Math.floor(step.bytes * tornShare) : 0
    throw new SimulatedCrash(`${step.phase} ${step.operation} ${step.key}`, torn)
  })
}

/**
 * Fails with NO_SPACE at the n-th changing step and, while `full()`, at every later one that needs
 * room.
 */
export function fullDiskAtStep(n: number, full: () => boolean = () => true): StepCounter {
  const counter = strikeAt(n, () => undefined)
  return {
    ...counter,
    hook: async (step) => {
      await counter.hook(step)
      const needsRoom = step.phase === 'before' && FILLING.has(step.operation)
      if (counter.struck() !== undefined && needsRoom && full()) {
        throw new AkidbError('NO_SPACE', `cannot ${step.operation} ${step.key}: the disk is full`)
      }
    },
  }
}

/** Calls hooks one after the other. */
export const allHooks =
  (...hooks: readonly StepHook[]): StepHook =>
  async (step) => {
    for (const hook of hooks) await hook(step)
  }

function strikeAt(n: number, strike: (step: StoreStep) => void): StepCounter {
  let count = 0
  let struck: StoreStep | undefined
  return {
    count: () => count,
    struck: () => struck,
    hook: (step) => {
      if (!step.changing || ++count !== n) return
      struck = step
      strike(step)
    },
  }
}

class HookedStore implements FaultStore {
  readonly url: string
  readonly capabilities: store.StoreCapabilities
  readonly #inner: store.ObjectStore
  readonly #hook: StepHook
  readonly #remote: boolean
  #crashed = false

  constructor(inner: store.ObjectStore, hook: StepHook, remote: boolean) {
    this.#remote = remote
    this.url = inner.url
    this.capabilities = inner.capabilities
    this.#inner = inner
    this.#hook = hook
  }

  get crashed(): boolean {
    return this.#crashed
  }

  crash(): void {
    this.#crashed = true
  }

  get(key: string, range?: store.ByteRange): Promise<Uint8Array> {
    return this.run('get', key, 0, () => this.#inner.get(key, range))
  }

  async *read(
    key: string,
    options?: { offset?: number; pieceBytes?: number },
  ): AsyncGenerator<Uint8Array> {
    await this.#step('before', 'read', key, 0)
    let last: Uint8Array = new Uint8Array(0)
    for await (const piece of this.#inner.read(key, options)) {
      this.#assertAlive()
      if (last.length > 0) yield last
      last = piece
    }
    // A body that comes over a network may be cut in its middle.
    const half = this.#remote ? Math.ceil(last.length / 2) : last.length
    if (half > 0) yield last.subarray(0, half)
    await this.#step('after', 'read', key, 0)
    if (half < last.length) yield last.subarray(half)
  }

  put(key: string, body: Uint8Array, options?: store.PutOptions): Promise<store.PutResult> {
    return this.run('put', key, body.length, () => this.#inner.put(key, body, options))
  }

  async stage(options?: store.StageOptions): Promise<store.StagedObject> {
    const staged = await this.run('stage', '', 0, () => this.#inner.stage(options))
    return new HookedStagedObject(staged, this)
  }

  head(key: string): Promise<store.ObjectInfo | undefined> {
    return this.run('head', key, 0, () => this.#inner.head(key))
  }

  async *list(prefix: string, options?: store.ListOptions): AsyncGenerator<store.ObjectInfo> {
    await this.#step('before', 'list', prefix, 0)
    for await (const info of this.#inner.list(prefix, options)) {
      this.#assertAlive()
      yield info
    }
    await this.#step('after', 'list', prefix, 0)
  }

  delete(key: string, options?: store.DeleteOptions): Promise<boolean> {
    return this.run('delete', key, 0, () => this.#inner.delete(key, options))
  }

  async append(key: string, bytes: Uint8Array, at: number): Promise<void> {
    try {
      await this.#step('before', 'append', key, bytes.length)
    } catch (error) {
      if (error instanceof SimulatedCrash && error.tornBytes > 0) {
        await this.#inner.append(key, bytes.subarray(0, error.tornBytes), at)
      }
      throw error
    }
    await this.#inner.append(key, bytes, at)
    await this.#step('after', 'append', key, bytes.length)
  }

  truncate(key: string, bytes: number): Promise<void> {
    return this.run('truncate', key, 0, () => this.#inner.truncate(key, bytes))
  }

  nowMs(): Promise<number> {
    return this.run('nowMs', '', 0, () => this.#inner.nowMs())
  }

  localPath(key: string): string | undefined {
    return this.#inner.localPath(key)
  }

  sweepTemporary(): Promise<number> {
    return this.run('sweepTemporary', '', 0, () => this.#inner.sweepTemporary())
  }

  /** The inner store stays open: it outlives the process that is simulated. */
  async close(): Promise<void> {}

  async run<T>(
    operation: StoreOperation,
    key: string,
    bytes: number,
    effect: () => Promise<T>,
  ): Promise<T> {
    await this.#step('before', operation, key, bytes)
    const result = await effect()
    await this.#step('after', operation, key, bytes)
    return result
  }

  async #step(
    phase: StoreStep['phase'],
    operation: StoreOperation,
    key: string,
    bytes: number,
  ): Promise<void> {
    this.#assertAlive()
    try {
      const changing = CHANGING.has(operation)
      await this.#hook({ phase, operation, key, bytes, changing, remote: this.#remote })
    } catch (error) {
      if (error instanceof SimulatedCrash) this.#crashed = true
      throw error
    }
    // The hook may have let another task run, and that one may have crashed the process.
    this.#assertAlive()
  }

  #assertAlive(): void {
    if (this.#crashed) throw new SimulatedCrash('earlier')
  }
}

class HookedStagedObject implements store.StagedObject {
  readonly #inner: store.StagedObject
  readonly #owner: HookedStore

  constructor(inner: store.StagedObject, owner: HookedStore) {
    this.#inner = inner
    this.#owner = owner
  }

  get bytesWritten(): number {
    return this.#inner.bytesWritten
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#owner.run('write', '', bytes.length, () => this.#inner.write(bytes))
  }

  commit(key: string): Promise<store.PutResult> {
    return this.#owner.run('commit', key, this.bytesWritten, () => this.#inner.commit(key))
  }

  abort(): Promise<void> {
    return this.#owner.run('abort', '', 0, () => this.#inner.abort())
  }
}
