import { createHash, type Hash } from 'node:crypto'
import { blobKey } from '../../format/blob.ts'
import type { BlobRef } from '../../format/manifest.ts'
import type { ObjectStore, PutResult, StagedObject } from '../../storage/object-store.ts'

/**
 * Takes replacements for lost and damaged blobs, from wherever they come, and puts each in its
 * place after all its bytes have been checked: whatever is in its place stays there until then.
 */
export class RepairSink {
  readonly #store: ObjectStore
  readonly #wanted: Map<string, BlobRef>
  readonly #dryRun: boolean
  readonly #onBytes: (bytes: number) => void
  #open: { readonly ref: BlobRef; readonly staged: StagedObject; readonly hash: Hash } | undefined
  /** Keys of the blobs that are whole again, or would be. */
  readonly repaired: string[] = []

  constructor(options: {
    readonly store: ObjectStore
    readonly wanted: readonly BlobRef[]
    readonly dryRun: boolean
    readonly onBytes?: (bytes: number) => void
  }) {
    this.#store = options.store
    this.#wanted = new Map(options.wanted.map((ref) => [ref.digest, ref]))
    this.#dryRun = options.dryRun
    this.#onBytes = options.onBytes ?? (() => undefined)
  }

  /** What still lacks a replacement. */
  get wanted(): readonly BlobRef[] {
    return [...this.#wanted.values()]
  }

  isWanted(digest: string): boolean {
    return this.#wanted.has(digest)
  }

  /** A blob begins. False: it is not wanted, and nothing follows for it. */
  async begin(ref: BlobRef): Promise<boolean> {
    const wanted = this.#wanted.get(ref.digest)
    if (wanted === undefined) return false
    const staged = await this.#stage()
    this.#open = { ref: wanted, staged, hash: createHash('sha256') }
    return true
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#open === undefined) throw new Error('no blob has begun')
    this.#open.hash.update(bytes)
    await this.#open.staged.write(bytes)
    this.#onBytes(bytes.byteLength)
  }

  /** The last byte has come: it is taken if it is the blob that was wanted. */
  async end(): Promise<void> {
    if (this.#open === undefined) throw new Error('no blob has begun')
    const { ref, staged, hash } = this.#open
    this.#open = undefined
    const whole = hash.digest('hex') === ref.digest && staged.bytesWritten === ref.bytes
    if (!whole) await staged.abort()
    else await this.#take(ref, staged)
  }

  async abort(): Promise<void> {
    await this.#open?.staged.abort()
    this.#open = undefined
  }

  /** For a segment builder: its blobs, each under the digest that it comes out with. */
  get builderTarget(): Pick<ObjectStore, 'stage'> {
    return { stage: async () => new BuiltBlob(await this.#stage(), this) }
  }

  /** Takes a staged object whose content has the digest `digest`; drops one that is not wanted. */
  async takeStaged(digest: string, staged: StagedObject): Promise<PutResult> {
    const ref = this.#wanted.get(digest)
    if (ref !== undefined && staged.bytesWritten === ref.bytes) {
      await this.#take(ref, staged)
      return 'created'
    }
    await staged.abort()
    return 'exists'
  }

  /** A dry run writes nothing at all: the store may be open for reading only. */
  async #stage(): Promise<StagedObject> {
    return this.#dryRun ? new DroppedObject() : await this.#store.stage()
  }

  async #take(ref: BlobRef, staged: StagedObject): Promise<void> {
    const key = blobKey(ref.digest)
    if (this.#dryRun) await staged.abort()
    else {
      // Writing never overwrites, so the damaged one goes first.
      await this.#store.delete(key)
      await staged.commit(key)
    }
    this.#wanted.delete(ref.digest)
    this.repaired.push(key)
  }
}

/** Counts what is written to it and keeps nothing. */
class DroppedObject implements StagedObject {
  bytesWritten = 0

  async write(bytes: Uint8Array): Promise<void> {
    this.bytesWritten += bytes.byteLength
  }

  async commit(): Promise<PutResult> {
    return 'exists'
  }

  async abort(): Promise<void> {}
}

/** A blob of a segment that is being rebuilt. */
class BuiltBlob implements StagedObject {
  readonly #staged: StagedObject
  readonly #sink: RepairSink
  readonly #hash = createHash('sha256')

  constructor(staged: StagedObject, sink: RepairSink) {
    this.#staged = staged
    this.#sink = sink
  }

  get bytesWritten(): number {
    return this.#staged.bytesWritten
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes)
    await this.#staged.write(bytes)
  }

  async commit(): Promise<PutResult> {
    return await this.#sink.takeStaged(this.#hash.digest('hex'), this.#staged)
  }

  abort(): Promise<void> {
    return this.#staged.abort()
  }
}
