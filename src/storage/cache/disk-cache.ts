import { mkdir, open, readdir, rename, rm, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { isAbandoned, temporaryName } from '../process-identity.ts'

const HASH_BYTES = 32
/** A file's time is brought up to date where it is older: it says what was used lately. */
const TOUCH_MS = 10 * 60_000
/** What is left of the cache when it was cut: so it is not cut again at once. */
const KEPT_SHARE = 0.8
const PART_NAME = /^\d{1,6}$/

/**
 * Parts of immutable blobs, one file each: the bytes, then their SHA-256, which is checked at every
 * read: `<folder>/<aa>/<digest of the blob>/<number of the part>`. Files appear whole (rename), so
 * several processes share it; one that is damaged or cannot be read is as good as none. Nothing of
 * it is synced: what a power failure takes is fetched again.
 */
export class DiskCache {
  readonly #folder: string
  readonly #bytesMax: number
  /** What the files take, by the last count and what was written since. */
  #bytes: Promise<number> | undefined
  #cutting: Promise<void> | undefined
  /** A full or read-only disk: nothing more is written. */
  #isBroken = false

  constructor(folder: string, bytesMax: number) {
    this.#folder = folder
    this.#bytesMax = bytesMax
  }

  /** A part; undefined where it is not here, or not whole. */
  async read(blob: string, part: number, bytes: number): Promise<Uint8Array | undefined> {
    const path = this.#path(blob, part)
    const file = await open(path, 'r').catch(() => undefined)
    if (file === undefined) return undefined
    try {
      const { size, mtimeMs } = await file.stat()
      if (size !== bytes + HASH_BYTES) return await this.#discard(path)
      const content = Buffer.allocUnsafe(size)
      const { bytesRead } = await file.read(content, 0, size, 0)
      const body = content.subarray(0, bytes)
      const isWhole = bytesRead === size && sha256(body).equals(content.subarray(bytes))
      if (!isWhole) return await this.#discard(path)
      // Who may only read it gets it all the same.
      if (Date.now() - mtimeMs > TOUCH_MS) {
        await utimes(path, new Date(), new Date()).catch(() => undefined)
      }
      return body
    } catch {
      return undefined
    } finally {
      await file.close()
    }
  }

  /** Keeps a part, if there is room. Never throws: without it the cache is only smaller. */
  async write(blob: string, part: number, body: Uint8Array): Promise<void> {
    if (this.#isBroken || body.byteLength + HASH_BYTES > this.#bytesMax) return
    const path = this.#path(blob, part)
    const temporary = join(this.#folder, temporaryName())
    try {
      await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
      const file = await open(temporary, 'wx', 0o600)
      try {
        await file.writeFile(Buffer.concat([body, sha256(body)]))
      } finally {
        await file.close()
      }
      await rename(temporary, path)
      await this.#grow(body.byteLength + HASH_BYTES)
    } catch {
      this.#isBroken = true
      await rm(temporary, { force: true }).catch(() => undefined)
    }
  }

  #path(blob: string, part: number): string {
    return join(this.#folder, blob.slice(0, 2), blob, String(part))
  }

  async #discard(path: string): Promise<undefined> {
    await unlink(path).catch(() => undefined)
    return undefined
  }

  async #grow(bytes: number): Promise<void> {
    this.#bytes = (this.#bytes ?? this.#count()).then((known) => known + bytes)
    if ((await this.#bytes) <= this.#bytesMax) return
    this.#cutting ??= this.#cut().finally(() => {
      this.#cutting = undefined
    })
    await this.#cutting
  }

  async #count(): Promise<number> {
    await this.#sweep()
    let bytes = 0
    for await (const file of this.#files()) bytes += file.bytes
    return bytes
  }

  /** Takes away what processes that were killed left half written. */
  async #sweep(): Promise<void> {
    for (const name of await names(this.#folder)) {
      if (!name.endsWith('.tmp')) continue
      const path = join(this.#folder, name)
      const found = await stat(path).catch(() => undefined)
      if (found === undefined || !isAbandoned(name, Date.now() - found.mtimeMs)) continue
      await unlink(path).catch(() => undefined)
    }
  }

  /** Takes away what was used longest ago. */
  async #cut(): Promise<void> {
    const files: { path: string; bytes: number; usedMs: number }[] = []
    for await (const file of this.#files()) files.push(file)
    files.sort((a, b) => a.usedMs - b.usedMs)
    let left = files.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const { path, bytes } of files) {
      if (left <= this.#bytesMax * KEPT_SHARE) break
      await unlink(path).catch(() => undefined)
      left -= bytes
    }
    this.#bytes = Promise.resolve(left)
  }

  async *#files(): AsyncGenerator<{ path: string; bytes: number; usedMs: number }> {
    for (const shard of await names(this.#folder)) {
      for (const blob of await names(join(this.#folder, shard))) {
        const folder = join(this.#folder, shard, blob)
        for (const part of await names(folder)) {
          if (!PART_NAME.test(part)) continue
          const found = await stat(join(folder, part)).catch(() => undefined)
          if (found === undefined) continue
          yield { path: join(folder, part), bytes: found.size, usedMs: found.mtimeMs }
        }
      }
    }
  }
}

const names = async (folder: string): Promise<string[]> => await readdir(folder).catch(() => [])

/** Parts of a blob in memory, the one used longest ago gives way. */
export class PartMemory {
  readonly #parts = new Map<string, Uint8Array>()
  #bytes = 0

  get(name: string): Uint8Array | undefined {
    const part = this.#parts.get(name)
    if (part === undefined) return undefined
    this.#parts.delete(name)
    this.#parts.set(name, part)
    return part
  }

  set(name: string, part: Uint8Array): void {
    if (this.#parts.has(name)) return
    this.#parts.set(name, part)
    this.#bytes += part.byteLength
    for (const [oldest, { byteLength }] of this.#parts) {
      if (this.#bytes <= limits.cacheMemoryBytesMax) return
      this.#parts.delete(oldest)
      this.#bytes -= byteLength
    }
  }
}
