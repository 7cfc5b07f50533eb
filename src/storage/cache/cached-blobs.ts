import { setImmediate } from 'node:timers/promises'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { checkKey } from '../keys.ts'
import type * as store from '../object-store.ts'
import type { DiskCache } from './disk-cache.ts'
import { PartMemory } from './part-memory.ts'

const CHUNK = limits.cacheChunkBytes
/** Parts that one request fetches. */
const RUN_PARTS = 4
const PIECE_BYTES = 1024 * 1024
/**
 * Reads after which others get their turn. What lies in memory is given without the event loop, and
 * who searches without a pause would keep all that waits for it from going on: rows, for one, that
 * are on their way into memory.
 */
const READS_A_TURN = 64
/** Names of blobs and parts that are kept in mind. */
const EXPECTED_MAX = 65_536

/** Digest of the blob that a key stands for: the name of its parts in the cache. */
export const digestIn = (key: string): string | undefined =>
  /^blobs\/[^/]+\/[0-9a-f]{2}\/([0-9a-f]{64})$/.exec(key)?.[1]

/** Blobs of a store, read through parts of them in memory and on disk. */
export class CachedBlobs {
  readonly #inner: store.ObjectStore
  readonly #disk: DiskCache | undefined
  readonly #memory = new PartMemory()
  /** Lengths of blobs: they never change. */
  readonly #lengths = new Map<string, Promise<number>>()
  /** Parts on their way, by digest and number. */
  readonly #coming = new Map<string, Promise<Uint8Array>>()
  /** Where somebody reads from front to back: the part after the last that was read. */
  readonly #next = new Map<string, number>()
  readonly #writing = new Set<Promise<unknown>>()
  /** Blobs that searches need. */
  readonly #hot = new Set<string>()
  /** Parts that were read from among the cold: who asks for them again makes them hot. */
  readonly #cold = new Set<string>()
  #reads = 0
  /** How often blobs were forgotten: what was on its way then is not kept. */
  readonly #forgotten = new Map<string, number>()

  constructor(inner: store.ObjectStore, disk: DiskCache | undefined) {
    this.#inner = inner
    this.#disk = disk
  }

  async get(key: string, range?: store.ByteRange): Promise<Uint8Array> {
    checkKey(key)
    const digest = digestIn(key)
    if (digest === undefined) return await this.#inner.get(key, range)
    const length = await this.#length(key)
    const { offset, bytes } = range ?? { offset: 0, bytes: length }
    if (offset + bytes > length) throw rangeError(key, offset + bytes, length)
    const target = new Uint8Array(bytes)
    if (bytes === 0) return target
    if (++this.#reads % READS_A_TURN === 0) await setImmediate()
    const blob = { key, digest, length }
    const first = Math.floor(offset / CHUNK)
    const last = Math.floor((offset + bytes - 1) / CHUNK)
    const goesOn = this.#ahead(blob, first, last)
    const parts = this.#parts(blob, first, last)
    for (const [i, part] of parts.entries()) {
      const at = (first + i) * CHUNK
      const body = await part
      if (!goesOn) this.#used(digest, first + i)
      const from = Math.max(0, offset - at)
      const to = Math.min(body.byteLength, offset + bytes - at)
      target.set(body.subarray(from, to), at + from - offset)
    }
    return target
  }

  /** All of a blob whose length its name's owner knows: the server need not be asked for that. */
  async whole(key: string, bytes: number): Promise<Uint8Array> {
    this.#knownLength(key, bytes)
    return await this.get(key, { offset: 0, bytes })
  }

  async *read(
    key: string,
    { offset = 0, pieceBytes = PIECE_BYTES }: { offset?: number; pieceBytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    checkKey(key)
    if (digestIn(key) === undefined) {
      yield* this.#inner.read(key, { offset, pieceBytes })
      return
    }
    const length = await this.#length(key)
    if (offset > length) throw rangeError(key, offset, length)
    for (let at = offset; at < length; at += pieceBytes) {
      yield await this.get(key, { offset: at, bytes: Math.min(pieceBytes, length - at) })
    }
  }

  /** See BlobCache. */
  expect({ key, bytes }: store.CachedBlob, isHot: boolean): void {
    const digest = digestIn(key)
    if (digest === undefined) return
    this.#knownLength(key, bytes)
    if (!isHot) return
    if (this.#hot.size >= EXPECTED_MAX) this.#hot.clear()
    this.#hot.add(digest)
  }

  /** Begins to fetch what is read of a blob first. Its failure is that of whoever reads it. */
  begin(key: string): void {
    const digest = digestIn(key)
    if (digest === undefined || this.#next.has(digest)) return
    this.get(key, { offset: 0, bytes: 1 }).catch(() => undefined)
  }

  /** Drops all that is known of a blob; what is on its way reaches only who waits for it. */
  async forget(key: string): Promise<void> {
    const digest = digestIn(key)
    if (digest === undefined) return
    if (this.#forgotten.size >= EXPECTED_MAX) this.#forgotten.clear()
    this.#forgotten.set(digest, (this.#forgotten.get(digest) ?? 0) + 1)
    const length = await this.#lengths.get(key)?.catch(() => undefined)
    this.#lengths.delete(key)
    this.#next.delete(digest)
    for (let number = 0; number * CHUNK < (length ?? 0); number++) {
      const name = `${digest}/${number}`
      this.#coming.delete(name)
      this.#memory.delete(name)
      this.#cold.delete(name)
    }
    await Promise.allSettled(this.#writing)
    await this.#disk?.forget(digest)
  }

  /** Waits until what was fetched is written. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#coming.values())
    await Promise.allSettled(this.#writing)
  }

  #knownLength(key: string, bytes: number): void {
    if (!this.#lengths.has(key)) this.#lengths.set(key, Promise.resolve(bytes))
  }

  #length(key: string): Promise<number> {
    const known = this.#lengths.get(key)
    if (known !== undefined) return known
    const length = this.#inner.head(key).then((info) => {
      if (info !== undefined) return info.bytes
      throw new AkidbError('NOT_FOUND', `cannot read ${key}: there is no such object`)
    })
    this.#lengths.set(key, length)
    length.catch(() => this.#lengths.delete(key))
    return length
  }

  /**
   * Fetches now what will be asked for next: of a blob that is touched first, all where it is
   * small, else its header, its end (the list of its chunks) and what begins it; of one that is
   * read from front to back, what comes next.
   *
   * @returns whether it is read from front to back
   */
  #ahead(blob: Blob, first: number, last: number): boolean {
    const former = this.#next.get(blob.digest)
    this.#next.set(blob.digest, last + 1)
    const end = Math.ceil(blob.length / CHUNK) - 1
    const parts = Math.floor(limits.cacheAheadBytes / CHUNK)
    if (former === undefined) {
      this.#prefetch(blob, 0, Math.min(end, parts - 1))
      this.#prefetch(blob, Math.max(0, end), end)
    } else if (former === first && last < end) {
      this.#prefetch(blob, last + 1, Math.min(end, last + parts))
    }
    return former !== undefined && (first === former || first === former - 1)
  }

  /** A second use, apart from reading on: a scan or an export makes nothing hot. */
  #used(digest: string, number: number): void {
    if (this.#cold.size === 0 || !this.#cold.delete(`${digest}/${number}`)) return
    this.#track(this.#disk?.raise(digest, number, 'cold'))
  }

  #prefetch(blob: Blob, from: number, to: number): void {
    for (const part of this.#parts(blob, from, to)) {
      // Its failure is that of whoever asks for it.
      part.catch(() => undefined)
    }
  }

  /** Parts from one to another: from memory, on their way, from disk, or asked for in runs. */
  #parts(blob: Blob, first: number, last: number): Promise<Uint8Array>[] {
    const parts: Promise<Uint8Array>[] = []
    for (let number = first; number <= last; ) {
      const known = this.#known(blob, number)
      if (known !== undefined) {
        parts.push(known)
        number++
        continue
      }
      let to = number
      const end = Math.min(last, number + RUN_PARTS - 1)
      while (to < end && this.#known(blob, to + 1) === undefined) to++
      parts.push(...this.#run(blob, number, to))
      number = to + 1
    }
    return parts
  }

  /** Neighbouring parts that nobody asked for yet. */
  #run(blob: Blob, from: number, to: number): Promise<Uint8Array>[] {
    const found = this.#load(blob, from, to)
    return Array.from({ length: to - from + 1 }, (_, i) => {
      const part = found.then((all) => all[i] as Uint8Array)
      this.#announce(`${blob.digest}/${from + i}`, part)
      return part
    })
  }

  #known({ digest }: Blob, number: number): Promise<Uint8Array> | undefined {
    const name = `${digest}/${number}`
    const held = this.#memory.get(name)
    return held === undefined ? this.#coming.get(name) : Promise.resolve(held)
  }

  #announce(name: string, part: Promise<Uint8Array>): void {
    this.#coming.set(name, part)
    // Where it was forgotten meanwhile, another may be coming under its name.
    const isCurrent = () => this.#coming.get(name) === part
    part
      .then((body) => isCurrent() && this.#memory.set(name, body))
      .catch(() => undefined)
      .finally(() => isCurrent() && this.#coming.delete(name))
  }

  /** From disk what is there; the rest, and what lies between, in one request. */
  async #load(blob: Blob, from: number, to: number): Promise<Uint8Array[]> {
    const { key, digest, length } = blob
    const forgotten = this.#forgotten.get(digest)
    const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i)
    const cached = await Promise.all(numbers.map((number) => this.#fromDisk(blob, number)))
    const first = cached.indexOf(undefined)
    if (first < 0) return cached as Uint8Array[]
    const start = (from + first) * CHUNK
    const end = Math.min(length, (from + cached.lastIndexOf(undefined) + 1) * CHUNK)
    const body = await this.#inner.get(key, { offset: start, bytes: end - start })
    return numbers.map((number, i) => {
      const known = cached[i]
      if (known !== undefined) return known
      const at = number * CHUNK - start
      const bytes = body.subarray(at, Math.min(body.byteLength, at + CHUNK))
      // A copy: one part that is kept does not keep its neighbours.
      const part = bytes.byteLength === body.byteLength ? bytes : new Uint8Array(bytes)
      if (forgotten === this.#forgotten.get(digest)) this.#keep(digest, number, part)
      return part
    })
  }

  async #fromDisk({ digest, length }: Blob, number: number): Promise<Uint8Array | undefined> {
    const found = await this.#disk?.read(digest, number, partBytes(length, number))
    if (found === undefined) return undefined
    if (found.kind === 'cold') {
      if (this.#hot.has(digest)) this.#track(this.#disk?.raise(digest, number, 'cold'))
      else if (this.#cold.size < EXPECTED_MAX) this.#cold.add(`${digest}/${number}`)
    }
    return found.body
  }

  #keep(digest: string, number: number, part: Uint8Array): void {
    // The network may be faster than the disk: what waits takes memory.
    if (this.#writing.size >= limits.cacheWritesMax) return
    const kind = this.#hot.has(digest) ? 'hot' : 'cold'
    this.#track(this.#disk?.write(digest, number, part, kind))
  }

  #track(work: Promise<unknown> | undefined): void {
    if (work === undefined) return
    this.#writing.add(work)
    void work.finally(() => this.#writing.delete(work))
  }
}

interface Blob {
  readonly key: string
  readonly digest: string
  readonly length: number
}

/** Bytes of one part of a blob of so many. */
export const partBytes = (length: number, number: number): number =>
  Math.min(CHUNK, length - number * CHUNK)

const rangeError = (key: string, wanted: number, found: number): AkidbError =>
  new AkidbError('INTEGRITY', `${key} is ${found} bytes long, ${wanted} were promised`, {
    hint: 'The object was cut or replaced; run "akidb check".',
    details: { key, expected: wanted, found },
  })
