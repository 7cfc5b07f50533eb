import { limits } from '../core/limits.ts'
import { eachAtOnce } from '../core/slots.ts'
import { AkidbError } from '../errors/errors.ts'
import { boundedOf } from './bounded-get.ts'
import { checkKey } from './keys.ts'
import type * as store from './object-store.ts'

/** Where a part's offset begins in its key: `<key>@<20 digits>`. */
const MARK = '@'
const PART_KEY = /^(.+)@(\d{20})$/

const partKey = (key: string, offset: number): string =>
  `${key}${MARK}${String(offset).padStart(20, '0')}`

interface Part {
  readonly key: string
  readonly offset: number
  readonly bytes: number
  readonly modifiedMs: number
}

/**
 * A store whose objects may also grow where the store below cannot append: each append is an object
 * of its own, `<key>@<offset, 20 digits>`, and whoever reads the key gets them joined. Several
 * writers of one key do not lose each other's bytes: one gets the offset.
 *
 * Parts that do not follow each other end what is there: `audit verify` tells what is missing.
 *
 * @param folder where such keys lie; ends with '/'
 * @param isParted keys that grow; their objects are small enough to be read whole
 */
export function createPartedStore(
  inner: store.ObjectStore,
  folder: string,
  isParted: (key: string) => boolean,
): store.ObjectStore {
  const parts = new Parts(inner)
  const { getBounded } = boundedOf(inner)
  return {
    url: inner.url,
    capabilities: { ...inner.capabilities, append: true },
    ...(inner.cache === undefined ? {} : { cache: inner.cache }),
    get: (key, range) => (isParted(key) ? parts.get(key, range) : inner.get(key, range)),
    ...(getBounded === undefined
      ? {}
      : {
          getBounded: (key: string, bytesMax: number) =>
            isParted(key) ? parts.get(key) : getBounded(key, bytesMax),
        }),
    read: async function* (key, options = {}) {
      if (!isParted(key)) return yield* inner.read(key, options)
      const body = await parts.get(key)
      yield body.subarray(options.offset ?? 0)
    },
    put: (key, body, options) => inner.put(key, body, options),
    stage: (options) => inner.stage(options),
    head: (key) => (isParted(key) ? parts.head(key) : inner.head(key)),
    list: (prefix, options) =>
      prefix.startsWith(folder) || folder.startsWith(prefix)
        ? joined(inner.list(prefix), options)
        : inner.list(prefix, options),
    delete: (key, options) => (isParted(key) ? parts.delete(key) : inner.delete(key, options)),
    append: (key, bytes, at) => parts.append(key, bytes, at),
    truncate: (key, bytes) => parts.truncate(key, bytes),
    nowMs: () => inner.nowMs(),
    localPath: () => undefined,
    sweepTemporary: () => inner.sweepTemporary(),
    close: () => inner.close(),
  }
}

class Parts {
  readonly #inner: store.ObjectStore

  constructor(inner: store.ObjectStore) {
    this.#inner = inner
  }

  async get(key: string, range?: store.ByteRange): Promise<Uint8Array> {
    const found = await this.#list(key)
    if (found.length === 0) {
      throw new AkidbError('NOT_FOUND', `cannot read ${key}: there is no such object`)
    }
    const bytes = lengthOf(found)
    const { offset, bytes: wanted } = range ?? { offset: 0, bytes }
    if (offset + wanted > bytes) {
      throw new AkidbError('INTEGRITY', `${key} is ${bytes} bytes long, not ${offset + wanted}`)
    }
    const body = new Uint8Array(bytes)
    const needed = found.filter((part) => part.offset + part.bytes > offset)
    await eachAtOnce(needed, limits.s3RequestsMax, async (part) => {
      const piece = await this.#inner.get(part.key, { offset: 0, bytes: part.bytes })
      body.set(piece, part.offset)
    })
    return body.subarray(offset, offset + wanted)
  }

  async head(key: string): Promise<store.ObjectInfo | undefined> {
    const found = await this.#list(key)
    const modifiedMs = found.at(-1)?.modifiedMs
    return modifiedMs === undefined ? undefined : { key, bytes: lengthOf(found), modifiedMs }
  }

  async delete(key: string): Promise<boolean> {
    const found = await this.#list(key)
    // The first part first: without it the others are nothing, wherever this breaks off. Those are
    // still listed, and go when it is deleted again.
    const [first] = found
    if (first !== undefined) await this.#inner.delete(first.key)
    const rest = await Array.fromAsync(this.#inner.list(`${key}${MARK}`))
    await eachAtOnce(rest, limits.s3RequestsMax, async (part) => {
      await this.#inner.delete(part.key)
    })
    return found.length > 0
  }

  async append(key: string, bytes: Uint8Array, at: number): Promise<void> {
    checkKey(key)
    if (bytes.length === 0) return
    if ((await this.#inner.put(partKey(key, at), bytes)) === 'created') return
    throw new AkidbError('CONFLICT', `${key} goes on behind ${at} already`, {
      details: { key, expected: at },
    })
  }

  /** Only between two parts. */
  async truncate(key: string, bytes: number): Promise<void> {
    const found = await this.#list(key)
    if (bytes !== lengthOf(found) && !found.some(({ offset }) => offset === bytes)) {
      throw new AkidbError('INTERNAL', `${key} cannot be cut to ${bytes} bytes`)
    }
    for (const part of found.toReversed()) {
      if (part.offset >= bytes) await this.#inner.delete(part.key)
    }
  }

  /** Those that follow each other from the first byte on. */
  async #list(key: string): Promise<Part[]> {
    checkKey(key)
    const found: Part[] = []
    for await (const info of this.#inner.list(`${key}${MARK}`)) {
      const offset = Number(PART_KEY.exec(info.key)?.[2])
      if (offset !== lengthOf(found)) break
      found.push({ ...info, offset })
    }
    return found
  }
}

const lengthOf = (parts: readonly Part[]): number => {
  const last = parts.at(-1)
  return last === undefined ? 0 : last.offset + last.bytes
}

/** A listing in which the parts of one key are one object. */
async function* joined(
  infos: AsyncIterable<store.ObjectInfo>,
  { after = '', limit = Number.POSITIVE_INFINITY }: store.ListOptions = {},
): AsyncGenerator<store.ObjectInfo> {
  let left = limit
  let last: store.ObjectInfo | undefined
  const due = (info: store.ObjectInfo | undefined): info is store.ObjectInfo =>
    info !== undefined && info.key > after && left > 0
  for await (const info of infos) {
    const [, key, offset] = PART_KEY.exec(info.key) ?? []
    if (key !== undefined && last?.key === key) {
      const { bytes, modifiedMs } = info
      if (last.bytes === Number(offset)) last = { ...last, bytes: last.bytes + bytes, modifiedMs }
      continue
    }
    if (due(last)) {
      yield last
      left--
    }
    if (left <= 0) return
    last = key === undefined ? info : { ...info, key }
  }
  if (due(last)) yield last
}
