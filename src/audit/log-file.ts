import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { leafHash } from '../core/merkle.ts'
import { leafTile, type Tile, type TileTree } from '../core/merkle-tiles.ts'
import { hasCode } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { BATCH_BYTES_MAX, readBounded } from './bounded-read.ts'
import { NO_ENTRY, parseEntry } from './entry.ts'
import { encodeFrames, frameBytes, splitFrames } from './frames.ts'
import { type AuditKeys, brokenLog } from './layout.ts'
import { readBatch, TileReader } from './tiles.ts'

const WIDTH = limits.auditTileWidth
/** A reader without the lock may see a tail go just before its batch; it looks again so often. */
const READ_ATTEMPTS = 4

/** What a log file may do, and how much of it must be there. */
export interface LogFileOptions {
  readonly store: ObjectStore
  readonly keys: AuditKeys
  /** Size that a checkpoint or a manifest names: nothing below it is ever cut. */
  readonly sizeMin: number
  /** Size that the newest checkpoint signs; asked before anything is cut. */
  readonly signedSize: () => Promise<number>
}

/** Bytes cut from the end of a tail: an append that never resolved. */
export interface TornTail {
  readonly key: string
  readonly bytes: number
  readonly seq: number
}

/**
 * The files of one log and what is known of them: closed batches, the open tail, the tree's edge.
 * Every changing method wants the log's lock held; none may run beside another.
 */
export class LogFile {
  readonly tiles: TileReader
  readonly #store: ObjectStore
  readonly #keys: AuditKeys
  readonly #signedSize: () => Promise<number>
  #sizeMin: number
  #tree: TileTree
  /** SHA-256 of the last entry, hex. */
  #last: string
  /** The open batch, its entries and its tail's bytes. */
  #batch: number
  #entries = 0
  #tailBytes = 0
  /** Tiles that the open batch filled and that are not written yet. */
  #filled: Tile[] = []

  private constructor(options: LogFileOptions, start: LogStart) {
    this.#store = options.store
    this.#keys = options.keys
    this.#sizeMin = options.sizeMin
    this.#signedSize = options.signedSize
    this.tiles = start.tiles
    this.#tree = start.tree
    this.#last = start.last
    this.#batch = start.batch
  }

  /**
   * Opens the closed batches through their tiles. `refresh` reads the rest.
   * @throws AUDIT_BROKEN where batches below sizeMin are missing
   */
  static async open(options: LogFileOptions): Promise<LogFile> {
    const { store, keys } = options
    const closed = await countBatches(options)
    // A tail that stands beside its closed batch: somebody was killed while closing it. `refresh`
    // finishes that.
    const unfinished = closed > 0 && (await store.head(keys.tail(closed - 1))) !== undefined
    const batch = unfinished ? closed - 1 : closed
    const tiles = new TileReader(store, keys)
    const tree = await tiles.openTree(batch)
    const last = batch === 0 ? undefined : (await readBatch(store, keys, batch - 1)).at(-1)
    const start = { tiles, tree, batch, last: last === undefined ? NO_ENTRY : sha256Hex(last) }
    return new LogFile(options, start)
  }

  get tree(): TileTree {
    return this.#tree
  }

  get size(): number {
    return this.#tree.size
  }

  /** `prev` of the next entry. */
  get last(): string {
    return this.#last
  }

  /**
   * Takes in what others appended. With `write` it also cuts a torn end and writes tiles that are
   * missing.
   * @throws AUDIT_BROKEN where entries do not follow each other, or fewer are there than were
   * named or seen
   */
  async refresh(mode: 'read' | 'write'): Promise<TornTail | undefined> {
    for (let attempt = 0; attempt < READ_ATTEMPTS; ) {
      const tail = await this.#store.head(this.#keys.tail(this.#batch))
      const closed = await this.#isClosed(tail?.bytes)
      if (!closed) {
        if (tail === undefined && this.#tailBytes === 0) return this.#checkSize()
        if (tail === undefined) throw this.#broken('the open batch is gone')
        const added = await this.#readTail(tail.bytes)
        if (added !== undefined) return await this.#absorbTail(added, mode)
        attempt += 1
      } else {
        await this.#absorbBatch()
        await this.#advance(mode)
      }
    }
    throw this.#broken('the open batch changes without the lock')
  }

  /**
   * Appends entries' exact bytes; durable when it resolves. Wants `refresh('write')` before it
   * under the same lock.
   * When it fails, a part up to a batch's end may be in the log.
   */
  async append(entries: readonly Uint8Array[]): Promise<void> {
    for (let from = 0; from < entries.length; ) {
      await this.settle()
      const some = entries.slice(from, from + WIDTH - this.#entries)
      await this.#appendToTail(some)
      for (const entry of some) this.#push(entry)
      from += some.length
    }
  }

  /** Closes the open batch if it is full. */
  async settle(): Promise<void> {
    if (this.#entries < WIDTH) return
    const [tailKey, key] = [this.#keys.tail(this.#batch), this.#keys.entries(this.#batch)]
    const bytes = await this.#batchBytes(tailKey)
    const leaves = leafTile(splitFrames(bytes).entries)
    const tile = this.#filled.find(({ level }) => level === 0)
    if (tile === undefined || !sameBytes(leaves, tile.bytes)) {
      throw this.#broken(`${tailKey} changed after it was written`)
    }
    if ((await this.#store.put(key, bytes)) === 'exists') {
      if (!sameBytes(await this.#batchBytes(key), bytes)) {
        throw this.#broken(`${key} and ${tailKey} differ`)
      }
    }
    await this.#advance('write')
  }

  async #batchBytes(key: string): Promise<Uint8Array> {
    const bytes = await readBounded(this.#store, key, BATCH_BYTES_MAX)
    if (bytes instanceof Uint8Array) return bytes
    throw this.#broken(bytes === undefined ? `${key} is gone` : `${key} is too long`)
  }

  /**
   * Whether the open batch is closed on disk; a tail that is still growing, or stands alone, is
   * not.
   */
  async #isClosed(tailBytes: number | undefined): Promise<boolean> {
    if (tailBytes === this.#tailBytes && this.#entries < WIDTH) return false
    return (await this.#store.head(this.#keys.entries(this.#batch))) !== undefined
  }

  /** What stands in the tail beyond what is known; undefined where it just went. */
  async #readTail(bytes: number): Promise<Uint8Array | undefined> {
    if (bytes < this.#tailBytes) throw this.#broken('the open batch shrank')
    if (bytes > BATCH_BYTES_MAX) throw this.#broken('the open batch is too long')
    if (bytes === this.#tailBytes) return new Uint8Array(0)
    const range = { offset: this.#tailBytes, bytes: bytes - this.#tailBytes }
    try {
      return await this.#store.get(this.#keys.tail(this.#batch), range)
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }

  async #absorbTail(added: Uint8Array, mode: 'read' | 'write'): Promise<TornTail | undefined> {
    const { entries } = splitFrames(added)
    let bytes = 0
    for (const [i, entry] of entries.entries()) {
      const fault = this.#faultOf(entry)
      if (fault !== undefined && (i === entries.length - 1 || entry.includes(0))) break
      if (fault !== undefined) throw this.#broken(`entry ${this.size} is damaged: ${fault}`)
      if (this.#entries === WIDTH) throw this.#broken('the open batch holds too many entries')
      this.#push(entry)
      bytes += frameBytes(entry)
    }
    this.#checkSize()
    if (bytes === added.length) return undefined
    const key = this.#keys.tail(this.#batch)
    if (mode === 'write') {
      this.#sizeMin = Math.max(this.#sizeMin, await this.#signedSize())
      this.#checkSize()
      await this.#store.truncate(key, this.#tailBytes)
    }
    return { key, bytes: added.length - bytes, seq: this.size }
  }

  /** Another process closed the open batch: takes in what is new of it. */
  async #absorbBatch(): Promise<void> {
    const entries = await readBatch(this.#store, this.#keys, this.#batch)
    const known = entries[this.#entries - 1]
    if (known !== undefined && sha256Hex(known) !== this.#last) {
      throw this.#broken(`entry ${this.size - 1} changed after it was written`)
    }
    for (const entry of entries.slice(this.#entries)) {
      const fault = this.#faultOf(entry)
      if (fault !== undefined) throw this.#broken(`entry ${this.size} is damaged: ${fault}`)
      this.#push(entry)
    }
  }

  /** The open batch stands closed in the store: derives its tiles and goes on to the next one. */
  async #advance(mode: 'read' | 'write'): Promise<void> {
    for (const tile of this.#filled) {
      if (mode === 'write')
        await this.#store.put(this.#keys.tile(tile.level, tile.index), tile.bytes)
      this.tiles.remember(tile)
    }
    if (mode === 'write') await this.#store.delete(this.#keys.tail(this.#batch))
    this.#filled = []
    this.#batch += 1
    this.#entries = 0
    this.#tailBytes = 0
  }

  async #appendToTail(entries: readonly Uint8Array[]): Promise<void> {
    const key = this.#keys.tail(this.#batch)
    try {
      await this.#store.append(key, encodeFrames(entries), this.#tailBytes)
    } catch (error) {
      // Somebody else's bytes are never cut; half of ours would look like a crash to the next one.
      if (!hasCode(error, 'CONFLICT')) {
        await this.#store.truncate(key, this.#tailBytes).catch(() => undefined)
      }
      throw error
    }
  }

  #faultOf(bytes: Uint8Array): string | undefined {
    const entry = parseEntry(bytes)
    if (typeof entry === 'string') return entry
    if (entry.seq !== this.size) return `its seq is ${entry.seq}`
    return entry.prev === this.#last ? undefined : 'its prev is not the entry before'
  }

  #push(entry: Uint8Array): void {
    for (const tile of this.#tree.push(leafHash(entry))) {
      this.#filled.push(tile)
      this.tiles.remember(tile)
    }
    this.#last = sha256Hex(entry)
    this.#entries += 1
    this.#tailBytes += frameBytes(entry)
  }

  #checkSize(): undefined {
    if (this.size >= this.#sizeMin) return
    throw this.#broken(`it holds ${this.size} entries, but ${this.#sizeMin} were signed or named`)
  }

  #broken(what: string): Error {
    return brokenLog(this.#keys.folder, what, this.size)
  }
}

interface LogStart {
  readonly tiles: TileReader
  readonly tree: TileTree
  readonly batch: number
  readonly last: string
}

/** How many batches are closed: at least those below sizeMin, then by doubling steps. */
async function countBatches({ store, keys, sizeMin }: LogFileOptions): Promise<number> {
  const exists = async (batch: number): Promise<boolean> =>
    (await store.head(keys.entries(batch))) !== undefined
  // The newest of the named batches may be open still: a batch is closed by the entry after its
  // last.
  let low = Math.max(0, Math.ceil(sizeMin / WIDTH) - 1)
  if (low > 0 && !(await exists(low - 1))) {
    throw brokenLog(keys.folder, `${keys.entries(low - 1)} is missing`, (low - 1) * WIDTH)
  }
  let step = 1
  while (await exists(low + step - 1)) {
    low += step
    step *= 2
  }
  // Batch low − 1 is there and batch low + step − 1 is not.
  for (let high = low + step - 1; low < high; ) {
    const middle = Math.floor((low + high) / 2)
    if (await exists(middle)) low = middle + 1
    else high = middle
  }
  return low
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
