import { limits } from '../../core/limits.ts'
import { getBounded } from '../bounded-get.ts'
import type * as store from '../object-store.ts'
import { CachedBlobs, digestIn } from './cached-blobs.ts'
import { DiskBlobs } from './disk-blobs.ts'
import { DiskCache } from './disk-cache.ts'

export interface CachedStoreOptions {
  readonly inner: store.ObjectStore
  /** Folder of the disk cache; absent: memory alone. */
  readonly folder?: string
  /** Of the disk cache; default limits.cacheBytesMax. */
  readonly bytesMax?: number
  /** Told once where the folder cannot be written: reading goes on without it. */
  readonly warn?: (warning: { code: string; message: string }) => void
}

/**
 * A store of any kind that reads blobs through a cache on disk and in memory; all else goes
 * straight through. Blobs never change, so nothing of it goes stale. Reading one from front to back
 * is read ahead.
 */
export function createCachedStore({
  inner,
  folder,
  bytesMax = limits.cacheBytesMax,
  warn,
}: CachedStoreOptions): store.ObjectStore {
  const disk = folder === undefined ? undefined : new DiskCache({ folder, bytesMax, warn })
  const blobs = new CachedBlobs(inner, disk)
  return {
    url: inner.url,
    capabilities: inner.capabilities,
    ...(disk === undefined ? {} : { cache: new DiskBlobs(inner, disk, blobs) }),
    get: (key, range) => blobs.get(key, range),
    ...(inner.getBounded === undefined
      ? {}
      : {
          getBounded: (key: string, bytesMax: number) =>
            digestIn(key) === undefined
              ? getBounded(inner, key, bytesMax)
              : blobs.whole(key, bytesMax),
        }),
    read: (key, options) => blobs.read(key, options),
    put: (key, body, options) => inner.put(key, body, options),
    stage: (options) => inner.stage(options),
    head: (key) => inner.head(key),
    list: (prefix, options) => inner.list(prefix, options),
    delete: async (key, options) => {
      await blobs.forget(key)
      return await inner.delete(key, options)
    },
    append: (key, bytes, at) => inner.append(key, bytes, at),
    truncate: (key, bytes) => inner.truncate(key, bytes),
    nowMs: () => inner.nowMs(),
    localPath: () => undefined,
    sweepTemporary: () => inner.sweepTemporary(),
    close: async () => {
      await blobs.settle()
      await inner.close()
    },
  }
}
