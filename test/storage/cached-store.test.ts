import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { createCachedStore } from '../../src/storage/cache/cached-store.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ByteRange, ObjectStore } from '../../src/storage/object-store.ts'
import { temporaryName } from '../../src/storage/process-identity.ts'

const CHUNK = limits.cacheChunkBytes

interface Source {
  readonly store: ObjectStore
  readonly requests: { readonly key: string; readonly range: ByteRange | undefined }[]
}

/** A store that counts what is asked of it. */
function counted(): Source {
  const requests: Source['requests'] = []
  const inner = createMemoryStore({ clock: { nowMs: () => 1 } })
  const get = async (key: string, range?: ByteRange) => {
    requests.push({ key, range })
    return await inner.get(key, range)
  }
  const store = new Proxy(inner, {
    get: (target, name) => {
      if (name === 'get') return get
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { store, requests }
}

function body(bytes: number, seed: number): Uint8Array {
  const made = new Uint8Array(bytes)
  for (let i = 0; i < bytes; i++) made[i] = (i * 31 + (i >>> 9) + seed) & 0xff
  return made
}

async function put(store: ObjectStore, bytes: Uint8Array): Promise<string> {
  const digest = sha256Hex(bytes)
  const key = `blobs/0/${digest.slice(0, 2)}/${digest}`
  await store.put(key, bytes)
  return key
}

describe('a store behind a disk cache', () => {
  let folder: string
  let source: Source
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'akidb-cache-'))
    source = counted()
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const open = (bytesMax?: number) =>
    createCachedStore({
      inner: source.store,
      folder: join(folder, 'cache'),
      ...(bytesMax === undefined ? {} : { bytesMax }),
    })
  const files = async () =>
    (await readdir(join(folder, 'cache'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))

  it('gives the same bytes for every range, and asks once for each part', async () => {
    const bytes = body(3 * CHUNK + 777, 1)
    const key = await put(source.store, bytes)
    const store = open()
    const ranges = [
      { offset: 0, bytes: 10 },
      { offset: CHUNK - 5, bytes: 10 },
      { offset: 2 * CHUNK, bytes: CHUNK + 777 },
      { offset: bytes.length, bytes: 0 },
      { offset: 0, bytes: bytes.length },
    ]
    for (const range of ranges) {
      const expected = bytes.slice(range.offset, range.offset + range.bytes)
      expect(Buffer.compare(await store.get(key, range), expected)).toBe(0)
    }
    const asked = source.requests.reduce((sum, { range }) => sum + (range?.bytes ?? 0), 0)
    expect(asked).toBe(bytes.length)
    const pieces: Uint8Array[] = []
    for await (const piece of store.read(key, { offset: 3, pieceBytes: 1_000_000 })) {
      pieces.push(piece)
    }
    expect(Buffer.compare(Buffer.concat(pieces), bytes.slice(3))).toBe(0)
    await expect(store.get(key, { offset: bytes.length, bytes: 1 })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
    await store.close()
  })

  it('asks nothing of the store for what an earlier process read', async () => {
    const key = await put(source.store, body(2 * CHUNK, 2))
    const first = open()
    await first.get(key)
    await first.close()
    source.requests.length = 0
    const second = open()
    expect(Buffer.compare(await second.get(key), body(2 * CHUNK, 2))).toBe(0)
    expect(source.requests).toEqual([])
    await second.close()
  })

  it('fetches a part again whose file was altered, cut or emptied', async () => {
    const bytes = body(CHUNK, 3)
    const key = await put(source.store, bytes)
    const damages: ((content: Buffer) => Buffer)[] = [
      (content) => {
        content[5] = (content[5] ?? 0) ^ 1
        return content
      },
      (content) => content.subarray(0, 100),
      () => Buffer.alloc(0),
      (content) => Buffer.concat([content, Buffer.from('more')]),
    ]
    for (const damage of damages) {
      const first = open()
      await first.get(key)
      await first.close()
      for (const file of await files()) await writeFile(file, damage(await readFile(file)))
      source.requests.length = 0
      const second = open()
      expect(Buffer.compare(await second.get(key), bytes)).toBe(0)
      expect(source.requests).toHaveLength(1)
      await second.close()
    }
  })

  it('keeps no more on disk than it may, and gives up what was used longest ago', async () => {
    const store = open(4 * (CHUNK + 32))
    const keys: string[] = []
    for (let i = 0; i < 8; i++) {
      const key = await put(source.store, body(CHUNK, 10 + i))
      keys.push(key)
      await store.get(key)
    }
    await store.close()
    const kept = await files()
    expect(kept.length).toBeLessThanOrEqual(4)
    expect(kept.length).toBeGreaterThan(0)
    source.requests.length = 0
    const again = open()
    await again.get(keys.at(-1) ?? '')
    expect(source.requests).toEqual([])
    await again.close()
  })

  it('works where the cache cannot be written', async () => {
    const bytes = body(CHUNK + 1, 4)
    const key = await put(source.store, bytes)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'cache'), 'a file where a folder should be')
    const store = open()
    expect(Buffer.compare(await store.get(key), bytes)).toBe(0)
    await store.close()
  })

  it('asks once where many ask for the same part at the same time', async () => {
    const key = await put(source.store, body(CHUNK, 5))
    const store = open()
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.get(key, { offset: i, bytes: 9 })))
    expect(source.requests).toHaveLength(1)
    await store.close()
  })

  it('reads ahead of who reads from front to back', async () => {
    const key = await put(source.store, body(12 * CHUNK, 6))
    const store = open()
    for (let i = 0; i < 2; i++) await store.get(key, { offset: i * CHUNK, bytes: CHUNK })
    await store.close()
    const asked = source.requests.reduce((sum, { range }) => sum + (range?.bytes ?? 0), 0)
    expect(asked).toBe(12 * CHUNK)
    expect(source.requests.length).toBeLessThanOrEqual(5)
  })

  it('shares a folder with another process, whatever the two read and give up', async () => {
    const [a, b] = [open(6 * CHUNK), open(6 * CHUNK)]
    const keys: string[] = []
    for (let i = 0; i < 10; i++) keys.push(await put(source.store, body(CHUNK, 20 + i)))
    await Promise.all(
      [a, b].map(async (store) => {
        for (const [i, key] of keys.entries()) {
          expect(Buffer.compare(await store.get(key), body(CHUNK, 20 + i))).toBe(0)
        }
      }),
    )
    await Promise.all([a.close(), b.close()])
    expect((await files()).some((file) => file.endsWith('.tmp'))).toBe(false)
  })

  it('takes away what a killed process left half written, at its first write', async () => {
    const store = open()
    const dead = temporaryName().replace(/-\d+-/, '-4194399-')
    const alive = temporaryName()
    await mkdir(join(folder, 'cache'))
    for (const name of [dead, alive]) await writeFile(join(folder, 'cache', name), body(10, 1))
    await store.get(await put(source.store, body(10, 8)))
    await store.close()
    const left = await readdir(join(folder, 'cache'))
    expect(left).not.toContain(dead)
    expect(left).toContain(alive)
  })

  it('knows nothing any more of what it was told to forget', async () => {
    const bytes = body(CHUNK + 9, 4)
    const key = await put(source.store, bytes)
    let answer: ((given: Uint8Array) => Uint8Array | Promise<Uint8Array>) | undefined
    const lying = new Proxy(source.store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (name !== 'get' || typeof value !== 'function') return value
        return async (asked: string, range?: ByteRange) => {
          const given = (await value.call(target, asked, range)) as Uint8Array
          return answer === undefined ? given : await answer(given)
        }
      },
    })
    const openLying = () => createCachedStore({ inner: lying, folder: join(folder, 'cache') })
    const store = openLying()
    const isRight = async (other = store) => Buffer.compare(await other.get(key), bytes) === 0
    // In memory and on disk.
    answer = (given) => given.map((byte) => byte ^ 1)
    expect(await isRight()).toBe(false)
    answer = undefined
    expect(await isRight()).toBe(false)
    await store.cache?.forget(key)
    expect(await isRight()).toBe(true)
    // On its way: it reaches who waits for it, and nobody else.
    await store.cache?.forget(key)
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    answer = async (given) => {
      asked.resolve()
      await gate.promise
      return given.map((byte) => byte ^ 1)
    }
    const early = isRight()
    await asked.promise
    await store.cache?.forget(key)
    answer = undefined
    gate.resolve()
    expect(await early).toBe(false)
    await store.close()
    const later = openLying()
    expect(await isRight(later)).toBe(true)
    // A length that somebody promised wrongly; and a blob that was not there.
    for (const wrong of [bytes.length + 1, bytes.length - 1]) {
      await later.cache?.forget(key)
      later.cache?.expect({ key, bytes: wrong }, false)
      expect(await isRight(later).catch(() => false)).toBe(false)
      await later.cache?.forget(key)
      expect(await isRight(later)).toBe(true)
    }
    const other = body(10, 5)
    const digest = sha256Hex(other)
    const missing = `blobs/0/${digest.slice(0, 2)}/${digest}`
    await expect(later.get(missing)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await put(source.store, other)
    expect(Buffer.compare(await later.get(missing), other)).toBe(0)
    await later.close()
  })

  it('gives others their turn while somebody reads what lies in memory', async () => {
    const key = await put(source.store, body(CHUNK, 8))
    const store = open()
    await store.get(key)
    let turns = 0
    let isOver = false
    const count = (): void => {
      turns++
      if (!isOver) setImmediate(count)
    }
    count()
    for (let read = 0; read < 1_000; read++) await store.get(key, { offset: 7, bytes: 9 })
    isOver = true
    expect(turns).toBeGreaterThan(5)
    await store.close()
  })

  it('lets everything but blobs through', async () => {
    const store = open()
    await store.put('collections/docs/manifests/1.json', body(10, 7))
    await store.get('collections/docs/manifests/1.json')
    await store.get('collections/docs/manifests/1.json')
    expect(source.requests).toHaveLength(2)
    await expect(store.get('blobs/0/aa/x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await store.close()
  })
})
