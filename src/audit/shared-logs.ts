import { limits } from '../core/limits.ts'
import { eachAtOnce } from '../core/slots.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import { getBounded } from '../storage/bounded-get.ts'
import type * as store from '../storage/object-store.ts'
import { createPartedStore } from '../storage/parted-store.ts'
import { BATCH_BYTES_MAX } from './bounded-read.ts'
import { parseEntry } from './entry.ts'
import { frameBytes, splitFrames } from './frames.ts'
import { auditKeys, brokenLog, parseBatchKey } from './layout.ts'

export interface SharedLogsOptions {
  /** Where machines meet: it need not be able to append. */
  readonly inner: store.ObjectStore
  /** The state folder. */
  readonly state: store.ObjectStore
  /** This state folder's own log; absent where it has none. */
  readonly logId?: string
  /**
   * Whether its own log goes on in `inner`, too. A reader leaves that to the next who writes; so
   * does, with 'if allowed', who may not write there.
   */
  readonly publishes: boolean | 'if allowed'
}

/**
 * Whether the own log of a state folder goes on from what it published. Changes nothing.
 *
 * @throws AUDIT_BROKEN where it does not: the folder is an older copy, or two machines share it
 */
export async function checkOwnLog(
  { inner, state }: Pick<SharedLogsOptions, 'inner' | 'state'>,
  logId: string,
): Promise<void> {
  const shared = createPartedStore(inner, 'audit/', isTail)
  await new OwnLog(shared, state, `audit/${logId}/`).check()
}

/** AUDIT_BROKEN of a state folder's own log, in the words of what its operator can do. */
export const withWayOut = (error: AkidbError, folder: string): AkidbError =>
  new AkidbError(error.code, error.message, {
    hint:
      `Where ${folder} was restored from a copy: move it away, run akidb init, which begins a ` +
      'new log, and trust the former key: akidb --state <the moved one> keys export default, ' +
      'akidb keys trust. Where machines share it: give each a --state of its own.',
    details: { ...error.details, state: folder },
    cause: error,
  })

/** Tails of logs grow; in a bucket they are objects of some entries each. */
const isTail = (key: string): boolean => /^audit\/[0-9a-f]{64}\/tail\//.test(key)

/**
 * The audit logs of a store that machines share: those of other state folders as they lie there,
 * and this state folder's own, which nobody else writes to. That one is kept in the state folder
 * first, where it is read from, and goes into the store before an append resolves, so that the
 * store has every entry that a manifest names. What a lost connection kept from it goes along with
 * the next append.
 *
 * All else goes to `inner`.
 */
export function createSharedLogs(options: SharedLogsOptions): store.ObjectStore {
  const { state, logId } = options
  const publish = async (work: () => Promise<void>): Promise<void> => {
    if (options.publishes === false) return
    try {
      await work()
    } catch (error) {
      if (options.publishes === true || !hasCode(error, 'AUTH')) throw error
    }
  }
  const shared = createPartedStore(options.inner, 'audit/', isTail)
  if (logId === undefined) return shared
  const folder = `audit/${logId}/`
  const own = new OwnLog(shared, state, folder)
  const isOwn = (key: string): boolean => key.startsWith(folder)
  const where = (key: string): store.ObjectStore => (isOwn(key) ? state : shared)
  return {
    ...shared,
    get: (key, range) => where(key).get(key, range),
    getBounded: (key, bytesMax) => getBounded(where(key), key, bytesMax),
    read: (key, read) => where(key).read(key, read),
    head: (key) => where(key).head(key),
    list: (prefix, list = {}) =>
      isOwn(prefix) ? state.list(prefix, list) : withOwn({ shared, state, folder }, prefix, list),
    put: async (key, body, put) => {
      if (!isOwn(key)) return await shared.put(key, body, put)
      const result = await state.put(key, body, put)
      await publish(() => own.put(key, body, put))
      return result
    },
    delete: async (key, how) => {
      if (!isOwn(key)) return await shared.delete(key, how)
      await publish(() => own.delete(key))
      return await state.delete(key, how)
    },
    append: async (key, bytes, at) => {
      if (!isOwn(key)) return await shared.append(key, bytes, at)
      await state.append(key, bytes, at)
      await publish(() => own.grown(key, at + bytes.length))
    },
    truncate: async (key, bytes) => {
      if (!isOwn(key)) return await shared.truncate(key, bytes)
      if (options.publishes !== false) await own.checkCut(key, bytes)
      await state.truncate(key, bytes)
    },
    close: async () => await shared.close(),
  }
}

interface Sides {
  readonly shared: store.ObjectStore
  readonly state: store.ObjectStore
  readonly folder: string
}

/** A listing in which the own log is that of the state folder. */
async function* withOwn(
  { shared, state, folder }: Sides,
  prefix: string,
  options: store.ListOptions,
): AsyncGenerator<store.ObjectInfo> {
  if (!folder.startsWith(prefix)) return yield* shared.list(prefix, options)
  const { limit = Number.POSITIVE_INFINITY, after } = options
  let left = limit
  const own = state.list(folder, after === undefined ? {} : { after })
  let isDue = true
  for await (const info of shared.list(prefix, after === undefined ? {} : { after })) {
    if (info.key.startsWith(folder)) continue
    if (isDue && info.key > folder) {
      isDue = false
      for await (const mine of own) if (left-- > 0) yield mine
    }
    if (left-- <= 0) return
    yield info
  }
  if (isDue) for await (const mine of own) if (left-- > 0) yield mine
}

/** How often parts that somebody else of this machine has written are looked at again. */
const PUSH_ATTEMPTS = 4

/** The copy of the own log where machines meet. All of it under the log's lock. */
class OwnLog {
  readonly #shared: store.ObjectStore
  readonly #state: store.ObjectStore
  readonly #folder: string
  #synced: Promise<void> | undefined
  /** How much of a tail is there, as far as this process knows. */
  readonly #there = new Map<string, number>()
  /** How much of it this process ever sent. */
  readonly #tried = new Map<string, number>()

  constructor(shared: store.ObjectStore, state: store.ObjectStore, folder: string) {
    this.#shared = shared
    this.#state = state
    this.#folder = folder
  }

  async put(key: string, body: Uint8Array, options?: store.PutOptions): Promise<void> {
    await this.#sync()
    await this.#bring(key, body, options)
  }

  /** A tail goes when its batch is closed: what closed it must be there before. */
  async delete(key: string): Promise<void> {
    await this.#sync()
    const keys = auditKeys(this.#folder)
    const named = parseBatchKey(keys, key)
    if (named?.kind === 'tail') await this.#copy(keys.entries(named.index))
    await this.#shared.delete(key)
    this.#there.delete(key)
    this.#tried.delete(key)
  }

  /** A tail is `bytes` long now. */
  async grown(key: string, bytes: number): Promise<void> {
    this.#tried.set(key, bytes)
    await this.#sync()
    await this.#push(key, bytes)
  }

  /** @throws AUDIT_BROKEN where what is to be cut was published */
  async checkCut(key: string, bytes: number): Promise<void> {
    // What was sent may arrive, though nobody was told.
    const tried = this.#tried.get(key) ?? 0
    const there = Math.max(tried, (await this.#shared.head(key))?.bytes ?? 0)
    if (there <= bytes) return
    throw this.#behind(`${key} holds more in ${this.#shared.url}`)
  }

  /** Once a process: brings over what earlier processes could not, and looks for a fork. */
  #sync(): Promise<void> {
    this.#synced ??= this.#syncNow().catch((error: unknown) => {
      this.#synced = undefined
      throw error
    })
    return this.#synced
  }

  /** Looks for a fork, and brings nothing over. @throws AUDIT_BROKEN */
  async check(): Promise<void> {
    const { there, here } = await this.#bothSides()
    for (const [key, bytes] of here)
      if (isTail(key) && there.has(key)) await this.#matching(key, bytes)
  }

  /** Keys and lengths on both sides. @throws AUDIT_BROKEN for what is there alone */
  async #bothSides(): Promise<{ there: Map<string, number>; here: Map<string, number> }> {
    const keys = auditKeys(this.#folder)
    const there = new Map<string, number>()
    for await (const { key, bytes } of this.#shared.list(this.#folder)) there.set(key, bytes)
    const here = new Map<string, number>()
    for await (const { key, bytes } of this.#state.list(this.#folder)) here.set(key, bytes)
    for (const key of there.keys()) {
      const named = parseBatchKey(keys, key)
      if (here.has(key) || named === undefined) continue
      const isClosed = named.kind === 'tail' && here.has(keys.entries(named.index))
      if (!isClosed) throw this.#behind(`${key} is in ${this.#shared.url} alone`)
    }
    return { there, here }
  }

  async #syncNow(): Promise<void> {
    const { there, here } = await this.#bothSides()
    const missing = [...here.keys()].filter((key) => !there.has(key) && !isTail(key))
    await eachAtOnce(missing, limits.s3RequestsMax, (key) => this.#copy(key))
    for (const [key, bytes] of here) if (isTail(key)) await this.#push(key, bytes)
    for (const key of there.keys())
      if (isTail(key) && !here.has(key)) await this.#shared.delete(key)
  }

  async #copy(key: string): Promise<void> {
    await this.#bring(key, await this.#state.get(key))
  }

  /** @throws AUDIT_BROKEN where another batch or tile is there */
  async #bring(key: string, body: Uint8Array, options?: store.PutOptions): Promise<void> {
    if ((await this.#shared.put(key, body, options)) === 'created') return
    if (parseBatchKey(auditKeys(this.#folder), key) === undefined) return
    const found = await getBounded(this.#shared, key, BATCH_BYTES_MAX)
    if (Buffer.compare(found, body) !== 0) throw this.#differs(key)
  }

  /** Brings the whole entries of a tail over, from where it ends there. */
  async #push(key: string, bytes: number): Promise<void> {
    for (let attempt = 0; attempt < PUSH_ATTEMPTS; attempt++) {
      const from = this.#there.get(key) ?? (await this.#matching(key, bytes))
      const rest = wholeEntries(await this.#state.get(key, { offset: from, bytes: bytes - from }))
      try {
        await this.#shared.append(key, rest, from)
        this.#there.set(key, from + rest.length)
        return
      } catch (error) {
        this.#there.delete(key)
        // Another process of this machine brought it over, or this one without being told.
        if (!hasCode(error, 'CONFLICT')) throw error
      }
    }
    throw this.#behind(`${key} changes in ${this.#shared.url}`)
  }

  /**
   * How much of a tail is there. The last entry there names the one before by its digest, and so
   * on: where it is the same here, all of them are.
   *
   * @throws AUDIT_BROKEN where it is not what is here
   */
  async #matching(key: string, bytes: number): Promise<number> {
    const there = (await this.#shared.head(key))?.bytes ?? 0
    if (there === 0) await this.#checkOpen(key)
    if (there === 0) return 0
    if (there > bytes) throw this.#behind(`${key} is longer in ${this.#shared.url}`)
    const here = await this.#state.get(key, { offset: 0, bytes: there })
    const { entries, wholeBytes } = splitFrames(here)
    const last = frameBytes(entries.at(-1) ?? new Uint8Array())
    const offset = there - last
    const found = await this.#shared.get(key, { offset, bytes: last })
    if (wholeBytes === there && Buffer.compare(found, here.subarray(offset)) === 0) return there
    throw this.#differs(key)
  }

  /** @throws AUDIT_BROKEN where a tail that is open here is closed there */
  async #checkOpen(tail: string): Promise<void> {
    const keys = auditKeys(this.#folder)
    const key = keys.entries(parseBatchKey(keys, tail)?.index ?? 0)
    const isClosed = (await this.#shared.head(key)) !== undefined
    if (isClosed && (await this.#state.head(key)) === undefined) {
      throw this.#behind(`${key} is in ${this.#shared.url} alone`)
    }
  }

  #differs(key: string): Error {
    return this.#behind(`${key} differs from that in ${this.#shared.url}`)
  }

  #behind(what: string): Error {
    const folder = this.#state.url
    const message = `${what}: ${folder} is an older copy, or two machines share it`
    return withWayOut(brokenLog(this.#folder, message), folder)
  }
}

/** Bytes up to the end of the last entry that is whole. */
function wholeEntries(tail: Uint8Array): Uint8Array {
  let bytes = 0
  for (const entry of splitFrames(tail).entries) {
    if (typeof parseEntry(entry) === 'string') break
    bytes += frameBytes(entry)
  }
  return tail.subarray(0, bytes)
}
