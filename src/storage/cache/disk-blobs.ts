import { runningSha256 } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { BlobCache, CachedBlob, CacheUsage, ObjectStore } from '../object-store.ts'
import { type CachedBlobs, digestIn, partBytes } from './cached-blobs.ts'
import { type DiskCache, diskBytesOf } from './disk-cache.ts'

const CHUNK = limits.cacheChunkBytes
/** Parts that one request fetches. */
const RUN_PARTS = 4

/** Whole blobs in the disk cache: brought, pinned, forgotten, counted. */
export class DiskBlobs implements BlobCache {
  readonly source: ObjectStore
  readonly #disk: DiskCache
  readonly #blobs: CachedBlobs

  constructor(source: ObjectStore, disk: DiskCache, blobs: CachedBlobs) {
    this.source = source
    this.#disk = disk
    this.#blobs = blobs
  }

  expect(blob: CachedBlob, isHot: boolean): void {
    this.#blobs.expect(blob, isHot)
  }

  begin(key: string): void {
    this.#blobs.begin(key)
  }

  forget(key: string): Promise<void> {
    return this.#blobs.forget(key)
  }

  usage(): Promise<CacheUsage> {
    return this.#disk.usage()
  }

  async missing({ key, bytes }: CachedBlob): Promise<number> {
    const digest = digestOf(key)
    let missing = 0
    for (let number = 0; number * CHUNK < bytes; number++) {
      const part = partBytes(bytes, number)
      if (!(await this.#disk.has(digest, number, part))) missing += part
    }
    return missing
  }

  async warm(blob: CachedBlob, signal?: AbortSignal): Promise<number> {
    this.expect(blob, true)
    // What is on its way to the disk does not come twice.
    await this.#blobs.settle()
    const first = await this.#bring(blob, signal)
    if (first.isRight) return first.fetched
    // Somebody altered what lay here; or the source gave something else once.
    await this.forget(blob.key)
    const second = await this.#bring(blob, signal)
    if (second.isRight) return first.fetched + second.fetched
    await this.forget(blob.key)
    throw new AkidbError('INTEGRITY', `${blob.key} has other bytes than its name says`, {
      hint: 'Run akidb check --read-data, or worm verify where it is sealed.',
      details: { key: blob.key },
    })
  }

  async pin(owner: string, blobs: readonly CachedBlob[]): Promise<void> {
    const wanted = new Map(blobs.map(({ key, bytes }) => [digestOf(key), bytes]))
    const room = async (): Promise<void> => {
      const { pins, pinnedBytesMax } = this.#disk
      let bytes = 0
      for (const one of wanted.values()) bytes += diskBytesOf(one)
      for (const [digest, { bytes: others, owners }] of await pins.all()) {
        const isOthers = owners.size > (owners.has(owner) ? 1 : 0)
        if (isOthers && !wanted.has(digest)) bytes += diskBytesOf(others)
      }
      if (bytes > pinnedBytesMax) throw tooMuchPinned(bytes, pinnedBytesMax)
    }
    if (wanted.size > 0) await room()
    for (const [digest, bytes] of wanted) await this.#disk.pins.add(owner, digest, bytes)
    await this.#disk.pins.remove(owner, new Set(wanted.keys()))
    if (wanted.size === 0) return
    try {
      // Another process may have pinned something at the same time.
      await room()
    } catch (error) {
      await this.#disk.pins.remove(owner, new Set())
      throw error
    }
  }

  /** All parts of a blob, read or fetched, in order. */
  async #bring(
    { key, bytes }: CachedBlob,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly fetched: number; readonly isRight: boolean }> {
    const digest = digestOf(key)
    const hash = runningSha256()
    let fetched = 0
    for (let from = 0; from * CHUNK < bytes; from += RUN_PARTS) {
      signal?.throwIfAborted()
      const last = Math.ceil(bytes / CHUNK) - 1
      const to = Math.min(last, from + RUN_PARTS - 1)
      for (let number = from; number <= to; ) {
        const found = await this.#disk.read(digest, number, partBytes(bytes, number))
        if (found !== undefined) {
          await this.#disk.raise(digest, number, found.kind)
          hash.update(found.body)
          number++
          continue
        }
        let end = number
        while (end < to && !(await this.#disk.has(digest, end + 1, partBytes(bytes, end + 1)))) {
          end++
        }
        const range = { offset: number * CHUNK, bytes: Math.min(bytes, (end + 1) * CHUNK) }
        const body = await this.source.get(key, { ...range, bytes: range.bytes - range.offset })
        fetched += body.byteLength
        hash.update(body)
        await this.#write(digest, number, body)
        number = end + 1
      }
    }
    return { fetched, isRight: hash.hex() === digest }
  }

  async #write(digest: string, first: number, body: Uint8Array): Promise<void> {
    for (let at = 0; at < body.byteLength; at += CHUNK) {
      const part = body.subarray(at, at + CHUNK)
      if (await this.#disk.write(digest, first + at / CHUNK, part, 'hot')) continue
      throw this.#disk.failure ?? tooSmall(this.#disk.bytesMax)
    }
  }
}

function digestOf(key: string): string {
  const digest = digestIn(key)
  if (digest === undefined) throw new RangeError(`${key} is no blob`)
  return digest
}

const tooMuchPinned = (bytes: number, bytesMax: number): AkidbError =>
  new AkidbError('LIMIT', `pinned would be ${bytes} bytes, the cache has room for ${bytesMax}`, {
    hint: 'Give a larger --s3-cache (four fifths of it can be pinned), or unpin something.',
    details: { bytes, bytesMax },
  })

const tooSmall = (bytesMax: number): AkidbError =>
  new AkidbError('LIMIT', `a part of a blob does not fit into a cache of ${bytesMax} bytes`, {
    hint: 'Give a larger --s3-cache.',
  })
