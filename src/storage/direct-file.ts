import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fsCode } from './fs-errors.ts'
import { writeFully } from './fs-publish.ts'

/** Bytes of one write, where nothing else is asked for; two buffers of this size are held. */
const BUFFER_BYTES = 4 * 1024 * 1024
const WASM_PAGE_BYTES = 64 * 1024
/** What direct writes must be a multiple of, on every disk that we know. */
const ALIGN_BYTES = 4096

/** What open(2) and write(2) say where a file system has no direct writes. */
const NOT_DIRECT = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'])

/**
 * A new file that is written from its beginning to its end past the page cache, where the file
 * system can: a large bundle then costs no memory of the machine, and its last sync is short. The
 * next bytes are gathered while the last ones are on their way. Elsewhere it is an ordinary file.
 */
export class DirectFile {
  readonly path: string
  readonly #buffers: Buffers
  #handle: FileHandle
  #direct: boolean
  #turn: 0 | 1 = 0
  #filled = 0
  #position = 0
  #writing: Promise<void> = Promise.resolve()

  /**
   * @param buffers of a file that has ended, both of one length; absent: memory of its own
   * @throws EEXIST and others of node:fs
   */
  static async create(path: string, mode: number, buffers?: Buffers): Promise<DirectFile> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
    const flags = O_WRONLY | O_CREAT | O_NOFOLLOW
    const direct = constants.O_DIRECT ?? 0
    try {
      const handle = await open(path, flags | O_EXCL | direct, mode)
      return new DirectFile(path, handle, direct !== 0, buffers)
    } catch (error) {
      if (direct === 0 || !NOT_DIRECT.has(fsCode(error) ?? '')) throw error
      // A refused open may have made the file already.
      return new DirectFile(path, await open(path, flags, mode), false, buffers)
    }
  }

  private constructor(path: string, handle: FileHandle, direct: boolean, buffers?: Buffers) {
    this.path = path
    this.#handle = handle
    this.#direct = direct
    this.#buffers = buffers ?? alignedBuffers(BUFFER_BYTES)
  }

  /** Takes a copy of the bytes; a failed write shows here or in `finish`. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      const take = Math.min(this.#buffers[0].length - this.#filled, bytes.byteLength - at)
      this.#buffers[this.#turn].set(bytes.subarray(at, at + take), this.#filled)
      this.#filled += take
      at += take
      if (this.#filled === this.#buffers[0].length) await this.#send(this.#filled)
    }
  }

  /** Writes what is left, cuts the file to its length, syncs and closes it. */
  async finish(): Promise<void> {
    const bytes = this.#position + this.#filled
    const padded = Math.ceil(this.#filled / ALIGN_BYTES) * ALIGN_BYTES
    this.#buffers[this.#turn].fill(0, this.#filled, padded)
    if (padded > 0) await this.#send(padded)
    await this.#writing
    await this.#handle.truncate(bytes)
    await this.#handle.sync()
    await this.close()
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#writing.catch(() => {})
    await this.#handle.close()
  }

  /** Starts writing the full buffer and waits for the one before it. */
  async #send(bytes: number): Promise<void> {
    await this.#writing
    const buffer = this.#buffers[this.#turn].subarray(0, bytes)
    this.#writing = this.#put(buffer, this.#position)
    // It is awaited by the next call; without this an error would count as unhandled until then.
    this.#writing.catch(() => {})
    this.#position += bytes
    this.#filled = 0
    this.#turn = this.#turn === 0 ? 1 : 0
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

/** Two by turns: one is filled while the other is on its way. */
export type Buffers = readonly [Uint8Array, Uint8Array]

/** @param bytes of each, a multiple of 4 KiB */
export const alignedBuffers = (bytes: number): Buffers => [
  alignedBuffer(bytes),
  alignedBuffer(bytes),
]

/** The part of the WebAssembly interface that is used here; Node's types do not declare it. */
interface WebAssemblyMemory {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}
const wasm = (globalThis as unknown as { readonly WebAssembly: WebAssemblyMemory }).WebAssembly

/**
 * Memory of WebAssembly begins at a page, as direct reads and writes want it; ordinary buffers do
 * not.
 */
const alignedBuffer = (bytes: number): Uint8Array =>
  new Uint8Array(new wasm.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) }).buffer, 0, bytes)

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
