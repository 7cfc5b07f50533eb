import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sha256, sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { createCachedStore } from '../../src/storage/cache/cached-store.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { BlobCache, ObjectStore } from '../../src/storage/object-store.ts'

const PROGRAM = fileURLToPath(new URL('./cache-program.ts', import.meta.url))
const PART = limits.cacheChunkBytes
const FILE = PART + 32
const OWNER = 'a1'.repeat(16)
const OTHER = 'b2'.repeat(16)

let folder: string
let inner: ObjectStore
let requests: string[]
const warnings: string[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-classes-'))
  requests = []
  warnings.length = 0
  const memory = createMemoryStore({ clock: { nowMs: () => 1 } })
  inner = new Proxy(memory, {
    get: (target, name) => {
      const value = Reflect.get(target, name)
      if (name === 'get') {
        return (key: string, range: unknown) => {
          requests.push(key)
          return value.call(target, key, range)
        }
      }
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const cacheFolder = () => join(folder, 'cache')
const open = (bytesMax: number): ObjectStore & { cache: BlobCache } => {
  const warn = ({ message }: { message: string }) => void warnings.push(message)
  const store = createCachedStore({ inner, folder: cacheFolder(), bytesMax, warn })
  if (store.cache === undefined) throw new Error('no cache')
  return store as ObjectStore & { cache: BlobCache }
}
const put = async (parts: number, seed: number) => {
  const body = new Uint8Array(parts * PART)
  for (let i = 0; i < body.length; i += 64) body[i] = (i * 7 + seed) & 0xff
  body[1] = seed
  const digest = sha256Hex(body)
  const key = `blobs/0/${digest.slice(0, 2)}/${digest}`
  await inner.put(key, body)
  return { key, digest, body, bytes: body.length }
}
/** As another process would: nothing in memory. */
const once1 = async (bytesMax: number, work: (store: ReturnType<typeof open>) => Promise<void>) => {
  const store = open(bytesMax)
  await work(store)
  await store.close()
}
const files = async () =>
  (await readdir(cacheFolder(), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /^\d+$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

describe('the classes of a disk cache', () => {
  it('keep what searches need while a scan of many times its size goes by', async () => {
    const max = 10 * FILE
    const index = await put(4, 1)
    await once1(max, async (store) => {
      store.cache.expect(index, true)
      await store.get(index.key)
    })
    await once1(max, async (store) => {
      for (let i = 0; i < 8; i++) {
        const payload = await put(5, 10 + i)
        for await (const piece of store.read(payload.key, { pieceBytes: PART })) piece.length
      }
    })
    requests.length = 0
    await once1(max, async (store) => {
      expect(same(await store.get(index.key), index.body)).toBe(true)
      const { bytes } = await store.cache.usage()
      expect(bytes.hot).toBe(4 * FILE)
      expect(bytes.hot + bytes.cold).toBeLessThanOrEqual(max)
    })
    expect(requests).toEqual([])
  })

  it('make hot what is read again, but not what a second export reads', async () => {
    const max = 40 * FILE
    const [page, scanned] = [await put(1, 1), await put(6, 2)]
    for (let i = 0; i < 2; i++) {
      await once1(max, async (store) => {
        await store.get(page.key, { offset: 9, bytes: 9 })
        for (let at = 0; at < scanned.bytes; at += PART / 2) {
          await store.get(scanned.key, { offset: at, bytes: PART / 2 })
        }
      })
    }
    await once1(max, async (store) => {
      const { blobs } = await store.cache.usage()
      expect(blobs.get(page.digest)).toEqual({ pinned: 0, hot: FILE, cold: 0 })
      expect(blobs.get(scanned.digest)?.cold).toBeGreaterThanOrEqual(5 * FILE)
    })
  })

  it('never give up what is pinned, and refuse to pin more than four fifths', async () => {
    const max = 10 * FILE
    const [kept, other, large] = [await put(4, 1), await put(4, 2), await put(5, 3)]
    await once1(max, async (store) => {
      await store.get(kept.key)
      await store.cache.pin(OWNER, [kept])
      expect(await store.cache.warm(kept)).toBe(0)
      await expect(store.cache.pin(OTHER, [large])).rejects.toMatchObject({ code: 'LIMIT' })
      for (let i = 0; i < 20; i++) await store.get((await put(3, 10 + i)).key)
      const usage = await store.cache.usage()
      expect(usage.bytes.pinned).toBe(4 * FILE)
      expect([...usage.pins]).toEqual([[OWNER, 4 * PART]])
      // What two have pinned counts once, and stays until both let go.
      await store.cache.pin(OTHER, [kept])
      await store.cache.pin(OWNER, [])
      expect((await store.cache.usage()).bytes.pinned).toBe(4 * FILE)
      await store.cache.pin(OTHER, [other])
      expect(await store.cache.warm(other)).toBe(4 * PART)
      const now = await store.cache.usage()
      expect(now.blobs.get(other.digest)?.pinned).toBe(4 * FILE)
      expect(now.blobs.get(kept.digest)?.pinned ?? 0).toBe(0)
      expect(now.bytes.pinned + now.bytes.hot + now.bytes.cold).toBeLessThanOrEqual(max)
    })
  })

  it('take in what another process wrote while its blob was being pinned', async () => {
    const blob = await put(2, 1)
    await once1(20 * FILE, async (store) => void (await store.get(blob.key)))
    const [cold = ''] = await files()
    const content = await readFile(cold)
    await once1(20 * FILE, async (store) => {
      await store.cache.pin(OWNER, [blob])
      // As if it were written by one that had looked before.
      const pinned = (await files()).find((file) => file.endsWith(cold.slice(-67))) ?? ''
      await rm(pinned)
      await mkdir(dirname(cold), { recursive: true })
      await writeFile(cold, content)
      expect(await store.cache.warm(blob)).toBe(0)
      expect((await store.cache.usage()).bytes).toEqual({ pinned: 2 * FILE, hot: 0, cold: 0 })
    })
  })

  it('bring a blob once, checked by its digest', async () => {
    const blob = await put(9, 1)
    await once1(20 * FILE, async (store) => {
      expect(await store.cache.missing(blob)).toBe(blob.bytes)
      expect(await store.cache.warm(blob)).toBe(blob.bytes)
      expect(await store.cache.missing(blob)).toBe(0)
      requests.length = 0
      expect(await store.cache.warm(blob)).toBe(0)
      expect(requests).toEqual([])
    })
    // Another content under a hash of its own: only the blob's digest tells.
    const [file = ''] = await files()
    const forged = new Uint8Array(PART)
    await writeFile(file, Buffer.concat([forged, sha256(forged)]))
    await once1(20 * FILE, async (store) => {
      expect(await store.cache.warm(blob)).toBe(blob.bytes)
      expect(same(await store.get(blob.key), blob.body)).toBe(true)
    })
    await inner.put(blob.key, new Uint8Array(blob.bytes), { mode: 'replace' })
    await once1(20 * FILE, async (store) => {
      await store.cache.forget(blob.key)
      await expect(store.cache.warm(blob)).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await store.cache.missing(blob)).toBe(blob.bytes)
    })
  })

  it('forget a blob in memory, on its way and on disk; a pin outlives that', async () => {
    const blob = await put(3, 1)
    await once1(20 * FILE, async (store) => {
      await store.cache.pin(OWNER, [blob])
      const under = store.get(blob.key)
      await store.cache.forget(blob.key)
      await under
      await store.cache.forget(blob.key)
      expect(await files()).toEqual([])
      requests.length = 0
      expect(same(await store.get(blob.key), blob.body)).toBe(true)
      expect(requests.length).toBeGreaterThan(0)
    })
    await once1(20 * FILE, async (store) => {
      expect((await store.cache.usage()).bytes).toEqual({ pinned: 3 * FILE, hot: 0, cold: 0 })
    })
  })

  it('drop what is deleted', async () => {
    const blob = await put(2, 1)
    await once1(20 * FILE, async (store) => {
      await store.get(blob.key)
      await store.delete(blob.key)
      expect(await files()).toEqual([])
      await expect(store.get(blob.key)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })

  it('pass over links, pipes and folders among their files', async () => {
    const blob = await put(1, 1)
    await once1(20 * FILE, async (store) => void (await store.get(blob.key)))
    const [file = ''] = await files()
    const secret = join(folder, 'elsewhere')
    await writeFile(secret, await readFile(file))
    const plants = [`ln -s ${secret} ${file}`, `mkfifo ${file}`, `mkdir ${file}`]
    for (const plant of plants) {
      await rm(file, { recursive: true })
      const child = spawn('sh', ['-c', plant])
      await once(child, 'exit')
      requests.length = 0
      await once1(20 * FILE, async (store) => {
        expect(same(await store.get(blob.key), blob.body)).toBe(true)
      })
      expect(requests, plant).toHaveLength(1)
    }
  })
})

describe('a disk cache that cannot be written', () => {
  it('is one warning, and reading goes on; warm says why', async () => {
    const blob = await put(3, 1)
    await writeFile(cacheFolder(), 'a file where a folder should be')
    await once1(20 * FILE, async (store) => {
      for (let i = 0; i < 3; i++) {
        expect(same(await store.get((await put(2, 5 + i)).key), (await put(2, 5 + i)).body)).toBe(
          true,
        )
      }
      await expect(store.cache.warm(blob)).rejects.toMatchObject({ code: expect.any(String) })
      await expect(store.cache.pin(OWNER, [blob])).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/cannot write the cache .*reading goes on/)
  })

  it('is read where files may be read alone', async () => {
    const blob = await put(2, 1)
    await once1(20 * FILE, async (store) => void (await store.get(blob.key)))
    for (const file of await files()) await chmod(file, 0o400)
    requests.length = 0
    await once1(20 * FILE, async (store) => {
      expect(same(await store.get(blob.key), blob.body)).toBe(true)
    })
    expect(requests).toEqual([])
  })

  it('that fills up in the middle costs nothing but the copies', async () => {
    // Files of 600 KiB at most: every part fails half written.
    const child = spawn(
      'bash',
      ['-c', `ulimit -f 600; exec "$@"`, 'bash', process.execPath, PROGRAM, cacheFolder()].concat(
        String(20 * FILE),
        '1',
      ),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const lines: string[] = []
    for await (const line of createInterface({ input: child.stdout })) lines.push(line)
    // All is read, whatever could be kept of it; who wants it kept is told.
    expect(lines.filter((line) => line.startsWith('read'))).toHaveLength(12)
    expect(lines.filter((line) => line.startsWith('warm '))).toEqual(Array(3).fill('warm NO_SPACE'))
    expect(lines.filter((line) => line.startsWith('warning'))).toHaveLength(1)
    expect(lines[0]).toMatch(/^warning .*EFBIG/)
    for (const file of await files()) expect((await stat(file)).size).toBe(7 + 32)
    expect((await readdir(cacheFolder())).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})

it('is whole and within its size after kills of two processes that share it', async () => {
  const max = 16 * FILE
  for (let kill = 0; kill < 3; kill++) {
    const children = [0, 1].map(() =>
      spawn(process.execPath, [PROGRAM, cacheFolder(), String(max)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    )
    await Promise.all(
      children.map(async (child, number) => {
        const exit = once(child, 'exit')
        let said = 0
        for await (const line of createInterface({ input: child.stdout })) {
          expect(line).toMatch(/^read /)
          if (++said === 3 + kill * 9 + number * 4) child.kill('SIGKILL')
        }
        expect((await exit)[1]).toBe('SIGKILL')
      }),
    )
    let bytes = 0
    for (const file of await files()) {
      const content = await readFile(file)
      const part = content.subarray(0, -32)
      expect(sha256(part).equals(content.subarray(-32)), file).toBe(true)
      expect(new Set(part).size).toBe(1)
      bytes += (await stat(file)).size
    }
    // What another process is just writing is not counted yet.
    expect(bytes).toBeLessThanOrEqual(max + 2 * FILE)
  }
  const usage = createCachedStore({ inner, folder: cacheFolder(), bytesMax: max }).cache?.usage()
  expect((await usage)?.bytes.pinned).toBeLessThanOrEqual(max * 0.8)
})
