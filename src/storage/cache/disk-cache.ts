import { constants } from 'node:fs'
import { open, rename, rm, rmdir, stat, unlink, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256 } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { Slots } from '../../core/slots.ts'
import { fromFsError, fsCode } from '../fs-errors.ts'
import { makeFolders } from '../make-folders.ts'
import {
  CACHE_CLASSES,
  type CacheBytes,
  type CacheClass,
  type CacheUsage,
} from '../object-store.ts'
import { temporaryName } from '../process-identity.ts'
import {
  blobFolder,
  isPart,
  names,
  type PartFile,
  partFiles,
  partPath,
  sweepHalfWritten,
} from './cache-files.ts'
import { CachePins } from './cache-pins.ts'

const HASH_BYTES = 32
/** Files that are written at once: what others may not have counted yet. */
const WRITERS = 2
/** A file's time is brought up to date where it is older: it says what was used lately. */
const TOUCH_MS = 10 * 60_000
/** What is left of the cache when it was cut: so it is not cut again at once. */
const KEPT_SHARE = 0.8
/** Others write too: what was written here counts for so much, then all is counted anew… */
const UNCOUNTED_SHARE = 1 / 32
/** …and it is cut before it is full by what two processes may have written uncounted. */
const CUT_SHARE = 1 - 2 * UNCOUNTED_SHARE
/** A full or read-only disk is left alone for so long. */
const BROKEN_MS = 60_000
/** A folder that another process takes away as empty is made again. */
const WRITE_TRIES = 5
// A pipe would never give anything; a link may lead anywhere.
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW

export interface DiskCacheOptions {
  readonly folder: string
  readonly bytesMax: number
  /** Told once that the folder cannot be written. */
  readonly warn?: ((warning: { code: string; message: string }) => void) | undefined
}

/** A part that was read, and where it lay. */
export interface FoundPart {
  readonly body: Uint8Array
  readonly kind: CacheClass
}

/**
 * Parts of immutable blobs, one file each: the bytes, then their SHA-256, which is checked at every
 * read. Files appear whole (rename), so several processes share it; one that is damaged or cannot
 * be read is as good as none. Nothing of it is synced: what a power failure takes is fetched again.
 *
 * What is cold gives way first, then what is hot, each the longest unused first; so what is read
 * once does not push out what searches need. The classes are the segments of a segmented LRU
 * (Karedla, Love, Wherry: Caching strategies to improve disk system performance, Computer 27(3),
 * 1994): cold its probationary one, which has at least a fifth of the room, hot its protected one.
 */
export class DiskCache {
  readonly bytesMax: number
  readonly pins: CachePins
  readonly #folder: string
  readonly #warn: DiskCacheOptions['warn']
  /** By the last count; undefined before the first. */
  #counted: number | undefined
  #uncounted = 0
  /** Bytes that are being written. */
  #coming = 0
  readonly #writers = new Slots(WRITERS)
  #cutting: Promise<void> | undefined
  #brokenUntilMs = 0
  #failure: unknown
  #warned = false

  constructor({ folder, bytesMax, warn }: DiskCacheOptions) {
    this.#folder = folder
    this.bytesMax = bytesMax
    this.#warn = warn
    this.pins = new CachePins(folder)
  }

  /** What may be pinned: the rest is room for what comes and goes. */
  get pinnedBytesMax(): number {
    return Math.floor(this.bytesMax * KEPT_SHARE)
  }

  /** A part; undefined where it is not here, or not whole. */
  async read(blob: string, part: number, bytes: number): Promise<FoundPart | undefined> {
    for (const kind of CACHE_CLASSES) {
      const body = await this.#readFile(partPath(this.#folder, kind, blob, part), bytes)
      if (body !== undefined) return { body, kind }
    }
    return undefined
  }

  /** Whether a file of the right length is here; what stands in it is not looked at. */
  async has(blob: string, part: number, bytes: number): Promise<boolean> {
    for (const kind of CACHE_CLASSES) {
      const found = await stat(partPath(this.#folder, kind, blob, part)).catch(() => undefined)
      if (found?.isFile() === true && found.size === bytes + HASH_BYTES) return true
    }
    return false
  }

  /**
   * Keeps a part, if there is room. Never throws: without it the cache is only smaller.
   *
   * @returns whether it is on disk now
   */
  async write(blob: string, part: number, body: Uint8Array, kind: CacheClass): Promise<boolean> {
    const bytes = body.byteLength + HASH_BYTES
    if (bytes > this.bytesMax) return false
    return await this.#writers.run(async () => {
      if (Date.now() < this.#brokenUntilMs) return false
      this.#coming += bytes
      try {
        await this.#makeRoom()
        await this.#writeFile(blob, part, body, kind)
        this.#uncounted += bytes
        return true
      } catch (error) {
        this.#break(error)
        return false
      } finally {
        this.#coming -= bytes
      }
    })
  }

  async #writeFile(blob: string, part: number, body: Uint8Array, kind: CacheClass): Promise<void> {
    const temporary = join(this.#folder, temporaryName())
    await makeFolders(this.#folder, 0o700)
    try {
      const file = await open(temporary, 'wx', 0o600)
      try {
        await file.writeFile(Buffer.concat([body, sha256(body)]))
      } finally {
        await file.close()
      }
      const real = (await this.pins.has(blob)) ? 'pinned' : kind
      await this.#place(temporary, partPath(this.#folder, real, blob, part))
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined)
      throw error
    }
  }

  /**
   * Makes a part hot, or pinned where its blob is. Never throws: one that is gone meanwhile is
   * fetched again.
   */
  async raise(blob: string, part: number, kind: CacheClass): Promise<void> {
    const better = (await this.pins.has(blob)) ? 'pinned' : 'hot'
    if (kind === better || kind === 'pinned') return
    const from = partPath(this.#folder, kind, blob, part)
    await this.#place(from, partPath(this.#folder, better, blob, part)).catch(() => undefined)
    await rmdir(dirname(from)).catch(() => undefined)
  }

  /** Drops all parts of a blob; one that is pinned stays so, and comes again. */
  async forget(blob: string): Promise<void> {
    for await (const { path } of this.#partsOf(blob)) await unlink(path).catch(() => undefined)
  }

  async usage(): Promise<CacheUsage> {
    const blobs = new Map<string, Record<CacheClass, number>>()
    const bytes = { pinned: 0, hot: 0, cold: 0 }
    for await (const file of partFiles(this.#folder)) {
      const own = blobs.get(file.blob) ?? { pinned: 0, hot: 0, cold: 0 }
      blobs.set(file.blob, own)
      own[file.kind] += file.bytes
      bytes[file.kind] += file.bytes
    }
    const pins = new Map<string, number>()
    for (const { bytes: pinned, owners } of (await this.pins.all()).values()) {
      for (const owner of owners) pins.set(owner, (pins.get(owner) ?? 0) + pinned)
    }
    const { bytesMax } = this
    return { folder: this.#folder, bytesMax, bytes: bytes satisfies CacheBytes, blobs, pins }
  }

  /** Why the last write failed, as NO_SPACE, AUTH or what it was. */
  get failure(): unknown {
    return fromFsError(this.#failure, 'cannot write the cache', this.#folder)
  }

  async #readFile(path: string, bytes: number): Promise<Uint8Array | undefined> {
    const file = await open(path, READ_FLAGS).catch(() => undefined)
    if (file === undefined) return undefined
    try {
      const found = await file.stat()
      if (!found.isFile()) return undefined
      const { size, mtimeMs } = found
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

  async *#partsOf(blob: string): AsyncGenerator<Pick<PartFile, 'path'>> {
    for (const kind of CACHE_CLASSES) {
      const folder = blobFolder(this.#folder, kind, blob)
      for (const name of await names(folder)) {
        if (isPart(name)) yield { path: join(folder, name) }
      }
    }
  }

  async #discard(path: string): Promise<undefined> {
    await unlink(path).catch(() => undefined)
    return undefined
  }

  async #place(from: string, to: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      await makeFolders(dirname(to), 0o700)
      try {
        return await rename(from, to)
      } catch (error) {
        if (fsCode(error) !== 'ENOENT' || tries === WRITE_TRIES) throw error
      }
    }
  }

  #break(error: unknown): void {
    this.#failure = error
    this.#brokenUntilMs = Date.now() + BROKEN_MS
    if (this.#warned) return
    this.#warned = true
    const why = fsCode(error) ?? (error instanceof Error ? error.message : String(error))
    const message = `cannot write the cache ${this.#folder} (${why}): reading goes on without it`
    this.#warn?.({ code: 'CACHE', message })
  }

  async #makeRoom(): Promise<void> {
    const isFull =
      this.#counted === undefined ||
      this.#uncounted > this.bytesMax * UNCOUNTED_SHARE ||
      this.#counted + this.#uncounted + this.#coming > this.bytesMax * CUT_SHARE
    if (!isFull) return
    this.#cutting ??= this.#cut().finally(() => {
      this.#cutting = undefined
    })
    await this.#cutting
  }

  /** Counts what lies there, and takes away what is too much of it. */
  async #cut(): Promise<void> {
    if (this.#counted === undefined) await sweepHalfWritten(this.#folder)
    this.#uncounted = 0
    const files: PartFile[] = []
    for await (const file of partFiles(this.#folder)) files.push(file)
    const pinned = sumOf(files.filter(({ kind }) => kind === 'pinned'))
    let left = sumOf(files)
    if (left + this.#coming > this.bytesMax * CUT_SHARE) {
      const kept = pinned + Math.max(0, this.bytesMax - pinned) * KEPT_SHARE
      for (const { path, bytes } of inOrderOfLeaving(files)) {
        if (left + this.#coming <= kept) break
        await unlink(path).catch(() => undefined)
        await rmdir(dirname(path)).catch(() => undefined)
        left -= bytes
      }
    }
    this.#counted = left
  }
}

const sumOf = (files: readonly PartFile[]): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0)

/** What is cold before what is hot, each the longest unused first; nothing that is pinned. */
const inOrderOfLeaving = (files: readonly PartFile[]): PartFile[] => {
  const rank = { cold: 0, hot: 1, pinned: 2 } as const
  return files
    .filter(({ kind }) => kind !== 'pinned')
    .sort((a, b) => rank[a.kind] - rank[b.kind] || a.usedMs - b.usedMs)
}

/** What parts of `bytes` take on disk. */
export const diskBytesOf = (bytes: number): number =>
  bytes + Math.ceil(bytes / limits.cacheChunkBytes) * HASH_BYTES
