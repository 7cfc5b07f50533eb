import type { FolderTree } from './fs-folders.ts'
import { openTemporary, type TemporaryFile, writeFully } from './fs-publish.ts'

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
 * A file that grows in the page cache, for those who will read it soon. Its end waits until all of
 * it is on the disk; an early sync of a part changes nothing of that, and where one fails the end
 * fails.
 */
export class GatheredFile {
  readonly #tree: FolderTree
  readonly #file: TemporaryFile
  #gathered: Uint8Array | undefined
  #gatheredBytes = 0
  #flushedBytes = 0
  #syncedBytes = 0
  #syncing: Promise<void> | undefined

  static async create(tree: FolderTree): Promise<GatheredFile> {
    return new GatheredFile(tree, await openTemporary(tree))
  }

  private constructor(tree: FolderTree, file: TemporaryFile) {
    this.#tree = tree
    this.#file = file
  }

  get path(): string {
    return this.#file.path
  }

  async write(bytes: Uint8Array): Promise<void> {
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
  }

  async finish(): Promise<void> {
    await this.#flush()
    await this.#syncing
    await this.#file.handle.datasync()
    await this.close()
  }

  async close(): Promise<void> {
    this.#gathered = undefined
    await this.#syncing?.catch(() => undefined)
    await this.#file.handle.close()
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
}
