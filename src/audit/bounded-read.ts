import { limits } from '../core/limits.ts'
import { hasCode } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'

/** Longest batch of entries, closed or open. */
export const BATCH_BYTES_MAX = limits.auditTileWidth * (limits.auditEntryBytesMax + 2)

/** Lengths that a file may have had one after the other before reading it is given up. */
const ATTEMPTS_MAX = 16

/**
 * An object's bytes; undefined where it is missing, 'too long' where it has more than `bytesMax`.
 */
export async function readBounded(
  store: ObjectStore,
  key: string,
  bytesMax: number,
): Promise<Uint8Array | 'too long' | undefined> {
  for (let attempt = 1; ; attempt++) {
    const info = await store.head(key)
    if (info === undefined) return undefined
    if (info.bytes > bytesMax) return 'too long'
    try {
      return await store.get(key, { offset: 0, bytes: info.bytes })
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined
      // Its writer cut off what was torn, and may have appended since.
      if (!hasCode(error, 'INTEGRITY') || attempt === ATTEMPTS_MAX) throw error
    }
  }
}
