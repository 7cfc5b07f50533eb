import type { ObjectStore } from '../storage/object-store.ts'
import { readFileFrom } from './bundle-file.ts'

/**
 * Opens a blob of a store for packing. Where the store has real files they are read ahead into two
 * buffers, which is faster than pieces of their own; elsewhere the store streams them.
 */
export const openStoreBlob =
  (store: ObjectStore, key: string) =>
  (offset: number): AsyncIterable<Uint8Array> => {
    const path = store.capabilities.localFiles ? store.localPath(key) : undefined
    return path === undefined ? store.read(key, { offset }) : readFileFrom(path, offset)
  }
