import { constants } from 'node:fs'
import { type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { FileSlots } from './file-slots.ts'
import { fromFsError, fsCode, withFsErrors } from './fs-errors.ts'
import { FolderTree, syncFolder } from './fs-folders.ts'
import { infoOf, listFiles } from './fs-list.ts'
import { discard, linkInto, openTemporary, renameInto, writeFully } from './fs-publish.ts'
import { stageCold, stageObject } from './fs-staged.ts'
import { checkKey, TEMPORARY_FOLDER } from './keys.ts'
import type * as store from './object-store.ts'
import { checkInTime } from './object-store.ts'
import { isAbandoned } from './process-identity.ts'

const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants
const PIECE_BYTES = 1024 * 1024
const READ_BYTES_MAX = 256 * 1024 * 1024

/** 'read' changes nothing on the disk: whatever would is AUTH. */
export interface FsStoreOptions {
  readonly mode: 'read' | 'write'
}

/**
 * A store in a local folder. The folder is made at the first write.
 *
 * What `put` and `commit` write appears whole or not at all: temporary file, fsync, link (never
 * over another file), fsync of the folder and of each folder that was made for it.
 */
export function openFsStore(folder: string, options: FsStoreOptions): store.ObjectStore {
  return new FsStore(resolve(folder), options.mode === 'write')
}

class FsStore implements store.ObjectStore {
  readonly url: string
  readonly capabilities: store.StoreCapabilities = {
    conditionalPut: true,
    append: true,
    localFiles: true,
    versions: false,
    retention: false,
    legalHold: false,
    serverEncryption: false,
    checksums: false,
  }
  readonly #tree: FolderTree
  readonly #writable: boolean
  readonly #slots = new FileSlots(limits.openFilesMax)

  constructor(root: string, writable: boolean) {
    this.url = root
    this.#tree = new FolderTree(root)
    this.#writable = writable
  }

  async get(key: string, range?: store.ByteRange): Promise<Uint8Array> {
    checkKey(key)
    return this.#slots.run(() =>
      this.#withFile('cannot read', key, O_RDONLY, async (handle) => {
        const size = await fileSize(handle, this.#path(key))
        const offset = range?.offset ?? 0
        const bytes = range?.bytes ?? size
        if (!Number.isSafeInteger(offset + bytes) || offset < 0 || bytes < 0) {
          throw new AkidbError('INTERNAL', `bad range ${offset}+${bytes} of ${key}`)
        }
        if (offset + bytes > size) throw rangeError(this.#path(key), offset + bytes, size)
        if (bytes > limits.blobBytesMax) throw tooLargeError(this.#path(key), bytes)
        const body = new Uint8Array(bytes)
        await readFully(handle, body, offset, this.#path(key))
        return body
      }),
    )
  }

  async *read(key: string, options: store.ReadOptions = {}): AsyncGenerator<Uint8Array> {
    checkKey(key)
    const path = this.#path(key)
    const pieceBytes = Math.max(1, options.pieceBytes ?? PIECE_BYTES)
    this.#slots.openStream()
    let handle: FileHandle | undefined
    try {
      handle = await withFsErrors('cannot read', path, () => this.#open(key, O_RDONLY))
      const size = await fileSize(handle, path)
      const offset = options.offset ?? 0
      if (offset > size) throw rangeError(path, offset, size)
      const step = Math.min(pieceBytes, size - offset)
      const room = options.passing === true ? new Uint8Array(step) : undefined
      for (let at = offset; at < size; at += step) {
        const bytes = Math.min(step, size - at)
        const piece = room?.subarray(0, bytes) ?? new Uint8Array(bytes)
        await readFully(handle, piece, at, path)
        yield piece
      }
    } finally {
      this.#slots.closeStream()
      await handle?.close()
    }
  }

  async put(
    key: string,
    body: Uint8Array,
    options: store.PutOptions = {},
  ): Promise<store.PutResult> {
    this.#assertWritable(key)
    options.signal?.throwIfAborted()
    const replace = options.mode === 'replace'
    return this.#slots.run(() =>
      withFsErrors('cannot write', this.#path(key), async () => {
        checkInTime(key, options.notAfterMs, Date.now())
        await this.#tree.assertRealPath(dirname(this.#path(key)))
        if (!replace && (await infoOf(this.#tree.root, key)) !== undefined) {
          await syncFolder(dirname(this.#path(key)))
          return 'exists'
        }
        const durable = options.durable !== false
        const path = await this.#writeTemporary(body, durable)
        try {
          options.signal?.throwIfAborted()
          if (!replace) return await linkInto(this.#tree, path, key, durable)
          await renameInto(this.#tree, path, key, durable)
          return 'created'
        } finally {
          await discard(path)
        }
      }),
    )
  }

  async stage({ cold = false }: store.StageOptions = {}): Promise<store.StagedObject> {
    this.#assertWriteMode('a staged object')
    this.#slots.openStream()
    const onEnd = (): void => this.#slots.closeStream()
    try {
      return cold ? await stageCold(this.#tree, onEnd) : await stageObject(this.#tree, onEnd)
    } catch (error) {
      onEnd()
      throw error
    }
  }

  async head(key: string): Promise<store.ObjectInfo | undefined> {
    checkKey(key)
    await this.#tree.assertRealPath(dirname(this.#path(key)))
    return infoOf(this.#tree.root, key)
  }

  list(prefix: string, options: store.ListOptions = {}): AsyncIterable<store.ObjectInfo> {
    if (prefix !== '') checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
    return listFiles(this.#tree.root, prefix, options)
  }

  async delete(key: string, options: store.DeleteOptions = {}): Promise<boolean> {
    this.#assertWritable(key)
    const path = this.#path(key)
    return this.#slots.run(() =>
      withFsErrors('cannot delete', path, async () => {
        checkInTime(key, options.notAfterMs, Date.now())
        await this.#tree.assertRealPath(dirname(path))
        try {
          await unlink(path)
        } catch (error) {
          if (fsCode(error) === 'ENOENT' || fsCode(error) === 'ENOTDIR') return false
          throw error
        }
        if (options.durable !== false) await syncFolder(dirname(path))
        return true
      }),
    )
  }

  async append(key: string, bytes: Uint8Array, at: number): Promise<void> {
    this.#assertWritable(key)
    await this.#slots.run(async () => {
      if (at === 0) {
        await withFsErrors('cannot append to', this.#path(key), () =>
          this.#tree.ensure(dirname(this.#path(key))),
        )
      }
      const flags = at === 0 ? O_RDWR | O_CREAT : O_RDWR
      await this.#withFile('cannot append to', key, flags, (handle) =>
        appendAt(handle, bytes, at, this.#path(key)),
      )
      if (at === 0) await syncFolder(dirname(this.#path(key)))
    })
  }

  async truncate(key: string, bytes: number): Promise<void> {
    this.#assertWritable(key)
    await this.#slots.run(() =>
      this.#withFile('cannot truncate', key, O_RDWR, async (handle) => {
        const size = await fileSize(handle, this.#path(key))
        if (bytes > size) throw rangeError(this.#path(key), bytes, size)
        await handle.truncate(bytes)
        await handle.sync()
      }),
    )
  }

  /** The clock that stamps the files: on a network mount it is the file server's. */
  async nowMs(): Promise<number> {
    if (!this.#writable) return Date.now()
    try {
      const file = await openTemporary(this.#tree)
      try {
        return Math.floor((await file.handle.stat()).mtimeMs)
      } finally {
        await file.handle.close()
        await discard(file.path)
      }
    } catch {
      // A full disk must not stop the collector, which asks for the time.
      return Date.now()
    }
  }

  localPath(key: string): string {
    checkKey(key)
    return this.#path(key)
  }

  async sweepTemporary(): Promise<number> {
    this.#assertWriteMode('temporary files')
    const folder = join(this.#tree.root, TEMPORARY_FOLDER)
    let removed = 0
    for (const name of await withFsErrors('cannot list', folder, () => namesIn(folder))) {
      if (await sweepOne(join(folder, name), name)) removed++
    }
    return removed
  }

  async close(): Promise<void> {}

  #path(key: string): string {
    return join(this.#tree.root, key)
  }

  async #writeTemporary(body: Uint8Array, durable: boolean): Promise<string> {
    const file = await openTemporary(this.#tree)
    try {
      await writeFully(file.handle, body, 0)
      if (durable) await file.handle.datasync()
    } catch (error) {
      await discard(file.path)
      throw error
    } finally {
      await file.handle.close()
    }
    return file.path
  }

  async #open(key: string, flags: number): Promise<FileHandle> {
    checkKey(key)
    await this.#tree.assertRealPath(dirname(this.#path(key)))
    return open(this.#path(key), flags | O_NOFOLLOW, 0o666)
  }

  #withFile<T>(
    action: string,
    key: string,
    flags: number,
    operation: (handle: FileHandle) => Promise<T>,
  ): Promise<T> {
    return withFsErrors(action, this.#path(key), async () => {
      const handle = await this.#open(key, flags)
      try {
        return await operation(handle)
      } finally {
        await handle.close()
      }
    })
  }

  #assertWritable(key: string): void {
    checkKey(key)
    this.#assertWriteMode(key)
  }

  #assertWriteMode(what: string): void {
    if (this.#writable) return
    throw new AkidbError('AUTH', `cannot write ${what}: ${this.url} is opened for reading`, {
      hint: 'Use a store on a writable disk.',
    })
  }
}

async function fileSize(handle: FileHandle, path: string): Promise<number> {
  const info = await handle.stat()
  if (info.isFile()) return info.size
  throw new AkidbError('NOT_FOUND', `cannot read ${path}: it is no file`)
}

async function readFully(
  handle: FileHandle,
  body: Uint8Array,
  offset: number,
  path: string,
): Promise<void> {
  for (let at = 0; at < body.length; ) {
    const length = Math.min(READ_BYTES_MAX, body.length - at)
    const { bytesRead } = await handle.read(body, at, length, offset + at)
    if (bytesRead === 0) throw rangeError(path, offset + body.length, offset + at)
    at += bytesRead
  }
}

/** A failed append leaves the object as long as it was, as far as the disk allows. */
async function appendAt(
  handle: FileHandle,
  bytes: Uint8Array,
  at: number,
  path: string,
): Promise<void> {
  const size = await fileSize(handle, path)
  if (size !== at) {
    throw new AkidbError('CONFLICT', `${path} is ${size} bytes long, expected ${at}`, {
      hint: 'Somebody else wrote to it; open the store again.',
      details: { path, expected: at, found: size },
    })
  }
  try {
    await writeFully(handle, bytes, at)
    await handle.datasync()
  } catch (error) {
    await handle.truncate(at).catch(() => undefined)
    throw error
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (fsCode(error) === 'ENOENT') return []
    throw error
  }
}

async function sweepOne(path: string, name: string): Promise<boolean> {
  try {
    const ageMs = Date.now() - (await stat(path)).mtimeMs
    if (!isAbandoned(name, ageMs)) return false
    await unlink(path)
    return true
  } catch (error) {
    // Another process may sweep at the same time.
    if (fsCode(error) === 'ENOENT') return false
    throw fromFsError(error, 'cannot remove', path)
  }
}

const rangeError = (path: string, wanted: number, found: number): AkidbError =>
  new AkidbError('INTEGRITY', `${path} is ${found} bytes long, ${wanted} were promised`, {
    hint: 'The file was cut or replaced; run "akidb check".',
    details: { path, expected: wanted, found },
  })

const tooLargeError = (path: string, bytes: number): AkidbError =>
  new AkidbError('LIMIT', `${path} is ${bytes} bytes, the most is ${limits.blobBytesMax}`, {
    details: { path, limit: 'blobBytesMax', bytes },
  })
