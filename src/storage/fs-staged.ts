import { AkidbError } from '../errors/errors.ts'
import { withFsErrors } from './fs-errors.ts'
import type { FolderTree } from './fs-folders.ts'
import { discard, linkInto, openTemporary, type TemporaryFile, writeFully } from './fs-publish.ts'
import { checkKey } from './keys.ts'
import type { PutResult, StagedObject } from './object-store.ts'

/**
 * Small writes are gathered to this size, so that a file grows at disk speed whatever its writer
 * does.
 */
const GATHER_BYTES = 1024 * 1024

/**
 * What was written so long ago is brought to the disk while the rest is still coming: else the disk
 * does nothing until the commit, and the commit waits for all of it.
 */
const SYNC_BYTES = 32 * 1024 * 1024

/**
 * An object being written to a temporary file. Its commit waits until all of it is on the disk; an
 * early sync of a part changes nothing of that, and where one fails the commit fails.
 */
export class FsStagedObject implements StagedObject {
  readonly #tree: FolderTree
  readonly #file: TemporaryFile
  readonly #onEnd: () => void
  #gathered: Uint8Array | undefined
  #gatheredBytes = 0
  #flushedBytes = 0
  #syncedBytes = 0
  #syncing: Promise<void> | undefined
  #state: 'open' | 'failed' | 'ended' = 'open'

  /** @param onEnd called once, when the file is closed */
  static async open(tree: FolderTree, onEnd: () => void): Promise<FsStagedObject> {
    const file = await withFsErrors('cannot write to', tree.root, () => openTemporary(tree))
    return new FsStagedObject(tree, file, onEnd)
  }

  private constructor(tree: FolderTree, file: TemporaryFile, onEnd: () => void) {
    this.#tree = tree
    this.#file = file
    this.#onEnd = onEnd
  }

  get bytesWritten(): number {
    return this.#flushedBytes + this.#gatheredBytes
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen()
    await this.#guard('cannot write to', this.#tree.root, async () => {
      if (this.#gatheredBytes + bytes.length > GATHER_BYTES) await this.#flush()
      if (bytes.length >= GATHER_BYTES) {
        await writeFully(this.#file.handle, bytes, this.#flushedBytes)
        this.#flushedBytes += bytes.length
        this.#syncEarly()
      } else {
        this.#gathered ??= new Uint8Array(GATHER_BYTES)
        this.#gathered.set(bytes, this.#gatheredBytes)
        this.#gatheredBytes += bytes.length
      }
    })
  }

  async commit(key: string): Promise<PutResult> {
    checkKey(key)
    this.#assertOpen()
    return this.#guard('cannot write', `${this.#tree.root}/${key}`, async () => {
      await this.#flush()
      await this.#syncing
      await this.#file.handle.datasync()
      const result = await linkInto(this.#tree, this.#file.path, key)
      await this.#end()
      return result
    })
  }

  async abort(): Promise<void> {
    await this.#end()
  }

  async #flush(): Promise<void> {
    if (this.#gathered === undefined || this.#gatheredBytes === 0) return
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes)
    await writeFully(this.#file.handle, bytes, this.#flushedBytes)
    this.#flushedBytes += bytes.length
    this.#gatheredBytes = 0
    this.#syncEarly()
  }

  /** One of them at a time in a store: each holds a thread that others need to write. */
  #syncEarly(): void {
    if (this.#flushedBytes - this.#syncedBytes < SYNC_BYTES || this.#tree.isSyncing) return
    this.#syncedBytes = this.#flushedBytes
    this.#tree.isSyncing = true
    const before = this.#syncing
    const syncing = this.#file.handle.datasync().finally(() => {
      this.#tree.isSyncing = false
    })
    // The system tells of a failure once: it is not to be lost behind one that succeeds.
    this.#syncing = before === undefined ? syncing : before.then(() => syncing)
    this.#syncing.catch(() => undefined)
    syncing.catch(() => undefined)
  }

  /** After a failure only `abort` is left: nobody may commit a file with a hole. */
  async #guard<T>(action: string, path: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await withFsErrors(action, path, operation)
    } catch (error) {
      if (this.#state === 'open') this.#state = 'failed'
      throw error
    }
  }

  async #end(): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#gathered = undefined
    try {
      await this.#syncing?.catch(() => undefined)
      await this.#file.handle.close()
    } finally {
      await discard(this.#file.path)
      this.#onEnd()
    }
  }

  #assertOpen(): void {
    if (this.#state !== 'open') {
      throw new AkidbError('INTERNAL', `a staged object was used after it ${this.#state}`)
    }
  }
}
