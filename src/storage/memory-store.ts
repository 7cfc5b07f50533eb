import type { Clock } from '../core/clock.ts'
import { AkidbError } from '../errors/errors.ts'
import { checkKey, compareKeys, firstFrom } from './keys.ts'
import type * as store from './object-store.ts'
import { checkInTime } from './object-store.ts'

const PIECE_BYTES = 1024 * 1024

export interface MemoryStoreOptions {
  /** Stamps objects; tests and the simulation own it. */
  readonly clock: Pick<Clock, 'nowMs'>
}

interface StoredObject {
  readonly body: Uint8Array
  readonly modifiedMs: number
}

/**
 * A store in memory, for tests and the simulation: deterministic, and several simulated processes
 * can share it. Every operation takes effect in one step, when it is called.
 */
export function createMemoryStore(options: MemoryStoreOptions): store.ObjectStore {
  return new MemoryStore(options.clock)
}

class MemoryStore implements store.ObjectStore {
  readonly url = 'memory:'
  readonly capabilities: store.StoreCapabilities = {
    conditionalPut: true,
    append: true,
    localFiles: false,
    versions: false,
    retention: false,
    legalHold: false,
    serverEncryption: false,
    checksums: false,
  }
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #objects = new Map<string, StoredObject>()
  /** All keys in order; made anew when one comes or goes. */
  #sortedKeys: readonly string[] | undefined

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock
  }

  async get(key: string, range?: store.ByteRange): Promise<Uint8Array> {
    const { body } = this.#find(key)
    const offset = range?.offset ?? 0
    const bytes = range?.bytes ?? body.length
    if (!Number.isSafeInteger(offset + bytes) || offset < 0 || bytes < 0) {
      throw new AkidbError('INTERNAL', `bad range ${offset}+${bytes} of ${key}`)
    }
    if (offset + bytes > body.length) throw rangeError(key, offset + bytes, body.length)
    return body.slice(offset, offset + bytes)
  }

  async *read(
    key: string,
    options: { offset?: number; pieceBytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const { body } = this.#find(key)
    const pieceBytes = Math.max(1, options.pieceBytes ?? PIECE_BYTES)
    const offset = options.offset ?? 0
    if (offset > body.length) throw rangeError(key, offset, body.length)
    for (let at = offset; at < body.length; at += pieceBytes) {
      yield body.slice(at, Math.min(at + pieceBytes, body.length))
    }
  }

  async put(
    key: string,
    body: Uint8Array,
    options: store.PutOptions = {},
  ): Promise<store.PutResult> {
    checkKey(key)
    options.signal?.throwIfAborted()
    checkInTime(key, options.notAfterMs, this.#clock.nowMs())
    if (options.mode !== 'replace' && this.#objects.has(key)) return 'exists'
    this.#set(key, body.slice())
    return 'created'
  }

  async stage(): Promise<store.StagedObject> {
    return new MemoryStagedObject((key, body) => this.put(key, body))
  }

  async head(key: string): Promise<store.ObjectInfo | undefined> {
    checkKey(key)
    return this.#info(key)
  }

  async *list(prefix: string, options: store.ListOptions = {}): AsyncGenerator<store.ObjectInfo> {
    if (prefix !== '') checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
    const limit = options.limit ?? Number.POSITIVE_INFINITY
    this.#sortedKeys ??= [...this.#objects.keys()].sort(compareKeys)
    const keys = this.#sortedKeys
    const after = options.after ?? ''
    let count = 0
    for (let i = firstFrom(keys, after > prefix ? after : prefix); i < keys.length; i++) {
      const key = keys[i] ?? ''
      if (count >= limit || !key.startsWith(prefix)) return
      const info = key > after ? this.#info(key) : undefined
      if (info === undefined) continue
      count++
      yield info
    }
  }

  async delete(key: string, { notAfterMs }: store.DeleteOptions = {}): Promise<boolean> {
    checkKey(key)
    checkInTime(key, notAfterMs, this.#clock.nowMs())
    this.#sortedKeys = undefined
    return this.#objects.delete(key)
  }

  async append(key: string, bytes: Uint8Array, at: number): Promise<void> {
    checkKey(key)
    const old = this.#objects.get(key)?.body
    if (old === undefined && at !== 0) throw notFoundError(key)
    const size = old?.length ?? 0
    if (size !== at) {
      throw new AkidbError('CONFLICT', `${key} is ${size} bytes long, expected ${at}`, {
        details: { key, expected: at, found: size },
      })
    }
    const body = new Uint8Array(at + bytes.length)
    if (old !== undefined) body.set(old)
    body.set(bytes, at)
    this.#set(key, body)
  }

  async truncate(key: string, bytes: number): Promise<void> {
    const { body } = this.#find(key)
    if (bytes > body.length) throw rangeError(key, bytes, body.length)
    this.#set(key, body.slice(0, bytes))
  }

  async nowMs(): Promise<number> {
    return this.#clock.nowMs()
  }

  localPath(): undefined {
    return undefined
  }

  async sweepTemporary(): Promise<number> {
    return 0
  }

  async close(): Promise<void> {}

  #find(key: string): StoredObject {
    checkKey(key)
    const found = this.#objects.get(key)
    if (found === undefined) throw notFoundError(key)
    return found
  }

  #set(key: string, body: Uint8Array): void {
    if (!this.#objects.has(key)) this.#sortedKeys = undefined
    this.#objects.set(key, { body, modifiedMs: this.#clock.nowMs() })
  }

  #info(key: string): store.ObjectInfo | undefined {
    const found = this.#objects.get(key)
    if (found === undefined) return undefined
    return { key, bytes: found.body.length, modifiedMs: found.modifiedMs }
  }
}

class MemoryStagedObject implements store.StagedObject {
  readonly #publish: (key: string, body: Uint8Array) => Promise<store.PutResult>
  #pieces: Uint8Array[] = []
  #bytes = 0
  #ended = false

  constructor(publish: (key: string, body: Uint8Array) => Promise<store.PutResult>) {
    this.#publish = publish
  }

  get bytesWritten(): number {
    return this.#bytes
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen()
    this.#pieces.push(bytes.slice())
    this.#bytes += bytes.length
  }

  async commit(key: string): Promise<store.PutResult> {
    checkKey(key)
    this.#assertOpen()
    const body = new Uint8Array(this.#bytes)
    let at = 0
    for (const piece of this.#pieces) {
      body.set(piece, at)
      at += piece.length
    }
    const result = await this.#publish(key, body)
    await this.abort()
    return result
  }

  async abort(): Promise<void> {
    this.#ended = true
    this.#pieces = []
  }

  #assertOpen(): void {
    if (this.#ended) throw new AkidbError('INTERNAL', 'a staged object was used after its end')
  }
}

const notFoundError = (key: string): AkidbError =>
  new AkidbError('NOT_FOUND', `cannot read ${key}: there is no such object`)

const rangeError = (key: string, wanted: number, found: number): AkidbError =>
  new AkidbError('INTEGRITY', `${key} is ${found} bytes long, ${wanted} were promised`, {
    hint: 'The object was cut or replaced; run "akidb check".',
    details: { key, expected: wanted, found },
  })
