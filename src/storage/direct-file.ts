import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { alignedBuffers, BufferPool, type Buffers, isAligned } from './aligned-memory.ts'
import { fsCode } from './fs-errors.ts'
import { writeFully } from './fs-publish.ts'

/** Bytes of one write, where nothing else is asked for; two buffers of this size are held. */
const BUFFER_BYTES = 4 * 1024 * 1024
/** What direct writes must be a multiple of, on every disk that we know. */
const ALIGN_BYTES = 4096

/** More is written from where it stands, where it may be. */
const OWN_BYTES_MIN = 1024 * 1024

/** What open(2) and write(2) say where a file system has no direct writes. */
const NOT_DIRECT = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'])

/**
 * A new file that is written from its beginning to its end past the page cache, where the file
 * system can: a large bundle then costs no memory of the machine, and its last sync is short. The
 * next bytes are gathered while the last ones are on their way. Elsewhere it is an ordinary file.
 */
export class DirectFile {
  readonly path: string
  readonly #pool: BufferPool
  #buffers: Buffers | undefined
  #handle: FileHandle
  #direct: boolean
  #turn: 0 | 1 = 0
  #filled = 0
  #position = 0
  #writing: Promise<void> = Promise.resolve()

  /**
   * @param pool of buffers; absent: memory of its own
   * @throws EEXIST and others of node:fs
   */
  static async create(path: string, mode: number, pool?: BufferPool): Promise<DirectFile> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
    const flags = O_WRONLY | O_CREAT | O_NOFOLLOW
    const direct = constants.O_DIRECT ?? 0
    try {
      const handle = await open(path, flags | O_EXCL | direct, mode)
      return new DirectFile(path, handle, direct !== 0, pool)
    } catch (error) {
      if (direct === 0 || !NOT_DIRECT.has(fsCode(error) ?? '')) throw error
      // A refused open may have made the file already.
      return new DirectFile(path, await open(path, flags, mode), false, pool)
    }
  }

  private constructor(path: string, handle: FileHandle, direct: boolean, pool?: BufferPool) {
    this.path = path
    this.#handle = handle
    this.#direct = direct
    this.#pool = pool ?? new BufferPool(BUFFER_BYTES, 0)
  }

  /**
   * When it resolves, the bytes may be used again; a failed write shows here or in `finish`. They
   * are written from where they stand, where that can be: many of them, in aligned memory.
   */
  async write(bytes: Uint8Array): Promise<void> {
    const isMany = bytes.length >= OWN_BYTES_MIN && bytes.length % ALIGN_BYTES === 0
    if (isMany && this.#filled === 0 && isAligned(bytes)) {
      await this.#send(bytes)
      return await this.#writing
    }
    this.#buffers ??= this.#pool.take()
    for (let at = 0; at < bytes.byteLength; ) {
      const buffer = this.#buffers[this.#turn]
      const take = Math.min(buffer.length - this.#filled, bytes.byteLength - at)
      buffer.set(bytes.subarray(at, at + take), this.#filled)
      this.#filled += take
      at += take
      if (this.#filled === buffer.length) await this.#sendGathered(buffer)
    }
  }

  /** Writes what is left, cuts the file to its length, syncs and closes it. */
  async finish(): Promise<void> {
    const bytes = this.#position + this.#filled
    if (this.#buffers !== undefined && this.#filled > 0) {
      const padded = Math.ceil(this.#filled / ALIGN_BYTES) * ALIGN_BYTES
      const last = this.#buffers[this.#turn].subarray(0, padded)
      last.fill(0, this.#filled)
      await this.#sendGathered(last)
    }
    await this.#writing
    await this.#handle.truncate(bytes)
    await this.#handle.sync()
    await this.close()
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#writing.catch(() => {})
    await this.#handle.close()
    if (this.#buffers !== undefined) this.#pool.give(this.#buffers)
    this.#buffers = undefined
  }

  async #sendGathered(bytes: Uint8Array): Promise<void> {
    await this.#send(bytes)
    this.#filled = 0
    this.#turn = this.#turn === 0 ? 1 : 0
  }

  /** Starts writing some bytes when those before them are written. */
  async #send(bytes: Uint8Array): Promise<void> {
    await this.#writing
    this.#writing = this.#put(bytes, this.#position)
    // It is awaited by the next call; without this an error would count as unhandled until then.
    this.#writing.catch(() => {})
    this.#position += bytes.length
  }

  async #put(bytes: Uint8Array, position: number): Promise<void> {
    try {
      await writeFully(this.#handle, bytes, position)
    } catch (error) {
      if (!this.#direct || !NOT_DIRECT.has(fsCode(error) ?? '')) throw error
      await this.#handle.close()
      this.#handle = await open(this.path, 'r+')
      this.#direct = false
      await writeFully(this.#handle, bytes, position)
    }
  }
}

/**
 * Reads a regular file from its beginning past the page cache, where the file system can: what is
 * checked then is the medium, and the machine's memory is left alone. The next piece is read while
 * the last one is used.
 */
export async function* readDirect(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  const direct = await openDirect(path)
  const buffers = alignedBuffers(READ_BYTES)
  let file = direct ?? handle
  let position = 0
  const read = async (turn: 0 | 1): Promise<Uint8Array> => {
    const buffer = buffers[turn]
    try {
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, position)
      position += bytesRead
      return buffer.subarray(0, bytesRead)
    } catch (error) {
      if (file === handle || !NOT_DIRECT.has(fsCode(error) ?? '')) throw error
      file = handle
      return read(turn)
    }
  }
  yield* readAhead(read, async () => direct?.close())
}

/** Bytes of one read; two buffers of this size are held. */
const READ_BYTES = 2 * 1024 * 1024

async function openDirect(path: string): Promise<FileHandle | undefined> {
  try {
    const direct = constants.O_DIRECT ?? 0
    return direct === 0 ? undefined : await open(path, constants.O_RDONLY | direct)
  } catch {
    return undefined
  }
}

/**
 * Yields what `read` gives until it gives nothing, always one read ahead, into one of two buffers
 * by turns.
 *
 * @param end called when the reader stops, at the end or before it
 */
export async function* readAhead(
  read: (turn: 0 | 1) => Promise<Uint8Array>,
  end: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let next = read(0)
  try {
    for (let turn: 0 | 1 = 0; ; turn = turn === 0 ? 1 : 0) {
      const piece = await next
      if (piece.byteLength === 0) return
      next = read(turn === 0 ? 1 : 0)
      // Nobody may be waiting for it when the reader stops early.
      next.catch(() => {})
      yield piece
    }
  } finally {
    await next.catch(() => {})
    await end()
  }
}
