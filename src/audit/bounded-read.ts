import { limits } from '../core/limits.ts'
import { hasCode } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'

/** Longest batch of entries, closed or open. */
export const BATCH_BYTES_MAX = limits.auditTileWidth * (limits.auditEntryBytesMax + 2)

/**
 * An object's bytes; undefined where it is missing, 'too long' where it has more than `bytesMax`.
 */
export async function readBounded(
  store: ObjectStore,
  key: string,
  bytesMax: number,
): Promise<Uint8Array | 'too long' | undefined> {
  let info = await store.head(key)
  while (info !== undefined && info.bytes <= bytesMax) {
    try {
      return await store.get(key, { offset: 0, bytes: info.bytes })
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined
      const now = await store.head(key)
      // Its writer met a full disk and cut off what it had begun to append.
      if (now === undefined || now.bytes >= info.bytes) throw error
      info = now
    }
  }
  return info === undefined ? undefined : 'too long'
}
