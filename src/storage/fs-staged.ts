import { AkidbError } from '../errors/errors.ts'
import { BufferPool } from './aligned-memory.ts'
import { DirectFile } from './direct-file.ts'
import { withFsErrors } from './fs-errors.ts'
import type { FolderTree } from './fs-folders.ts'
import { discard, inTemporary, linkInto } from './fs-publish.ts'
import { GatheredFile } from './gathered-file.ts'
import { checkKey } from './keys.ts'
import type { PutResult, StagedObject } from './object-store.ts'

/** A file that grows under a temporary name. */
interface NewFile {
  readonly path: string
  /** Resolves when the buffer may be reused. */
  write(bytes: Uint8Array): Promise<void>
  /** Brings all of it to the disk and closes it. */
  finish(): Promise<void>
  /** Also after `finish`. */
  close(): Promise<void>
}

/** @param onEnd called once, when the file is closed */
export async function stageObject(tree: FolderTree, onEnd: () => void): Promise<StagedObject> {
  const file = await withFsErrors('cannot write to', tree.root, () => GatheredFile.create(tree))
  return new FsStagedObject(tree, file, onEnd)
}

/** Of files that are written past the page cache in small pieces: 1 MiB, of four files at once. */
const coldBuffers = new BufferPool(1024 * 1024, 4)

/** The same for one that nobody will read soon: past the page cache, where that can be. */
export async function stageCold(tree: FolderTree, onEnd: () => void): Promise<StagedObject> {
  const file = await withFsErrors('cannot write to', tree.root, () =>
    inTemporary(tree, (path) => DirectFile.create(path, 0o666, coldBuffers)),
  )
  return new FsStagedObject(tree, file, onEnd)
}

/** An object being written to a temporary file. Its commit waits until all of it is on the disk. */
class FsStagedObject implements StagedObject {
  readonly #tree: FolderTree
  readonly #file: NewFile
  readonly #onEnd: () => void
  #bytes = 0
  #state: 'open' | 'failed' | 'ended' = 'open'

  constructor(tree: FolderTree, file: NewFile, onEnd: () => void) {
    this.#tree = tree
    this.#file = file
    this.#onEnd = onEnd
  }

  get bytesWritten(): number {
    return this.#bytes
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen()
    await this.#guard('cannot write to', this.#tree.root, () => this.#file.write(bytes))
    this.#bytes += bytes.length
  }

  async commit(key: string): Promise<PutResult> {
    checkKey(key)
    this.#assertOpen()
    return this.#guard('cannot write', `${this.#tree.root}/${key}`, async () => {
      await this.#file.finish()
      const result = await linkInto(this.#tree, this.#file.path, key)
      await this.#end()
      return result
    })
  }

  async abort(): Promise<void> {
    await this.#end()
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
    try {
      await this.#file.close()
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
