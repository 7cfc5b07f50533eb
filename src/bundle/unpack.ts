import type { BlobRef } from '../format/manifest.ts'
import type { ObjectStore, StagedObject } from '../storage/object-store.ts'
import type { BundleSink } from './verify-blobs.ts'

export interface StoreSinkOptions {
  readonly store: ObjectStore
  /** Key of a blob by its digest. */
  readonly keyOf: (digest: string) => string
  /**
   * Takes each state whose digest holds; nothing of it may become visible before the whole report
   * is ok.
   */
  readonly onState: (stateRoot: string, bytes: Uint8Array) => Promise<void>
}

/** Counts of a sink's work. */
export interface StoreSink extends BundleSink {
  readonly present: number
  readonly copied: number
  readonly copiedBytes: number
}

/**
 * Unpacks the blobs of a bundle into a store while `verifyBundle` checks them: each gets its name,
 * its digest, when every byte of it has been checked, and one that the store has is left alone.
 * Blobs that no manifest names are seen by nobody: the caller commits manifests when the report is
 * ok, and leaves the rest to garbage collection. An import that was stopped finds what it had
 * copied. The caller holds a pin over the digests (design §5).
 *
 * @throws what the store throws: NO_SPACE, AUTH
 */
export function createStoreSink({ store, keyOf, onState }: StoreSinkOptions): StoreSink {
  let staged: StagedObject | undefined
  let key = ''
  const counts = { present: 0, copied: 0, copiedBytes: 0 }
  const taken = (): StagedObject => {
    if (staged === undefined) throw new Error('no blob has begun')
    return staged
  }
  return {
    get present() {
      return counts.present
    },
    get copied() {
      return counts.copied
    },
    get copiedBytes() {
      return counts.copiedBytes
    },
    state: onState,
    begin: async (ref: BlobRef) => {
      key = keyOf(ref.digest)
      if ((await store.head(key))?.bytes === ref.bytes) {
        counts.present++
        return false
      }
      staged = await store.stage()
      return true
    },
    write: (bytes) => taken().write(bytes),
    end: async () => {
      const { bytesWritten } = taken()
      await taken().commit(key)
      staged = undefined
      counts.copied++
      counts.copiedBytes += bytesWritten
    },
    abort: async () => {
      await staged?.abort()
      staged = undefined
    },
  }
}
