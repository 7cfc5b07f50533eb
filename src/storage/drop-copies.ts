import { hasCode } from '../errors/errors.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * After a blob's bytes failed their check: drops the copies that a store has of it, so that what is
 * read next comes from where it really lies.
 *
 * @throws `error` where it is none of damage, or the store keeps no copies
 */
export async function dropCopies(
  store: Pick<ObjectStore, 'cache'>,
  key: string,
  error: unknown,
): Promise<void> {
  if (store.cache === undefined || !hasCode(error, 'INTEGRITY')) throw error
  await store.cache.forget(key)
}
