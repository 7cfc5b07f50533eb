import type { ObjectStore } from '../../storage/object-store.ts'
import { STORE_FILE } from '../states/store-file.ts'

/**
 * Where a store in a bucket lies, and since when: a copy of it under another name, or in a bucket
 * of the same name elsewhere, is another place.
 */
export async function bucketIdentity(target: ObjectStore): Promise<string> {
  const made = await target.head(STORE_FILE)
  return `${target.url} ${made?.modifiedMs ?? 0}`
}

/** The address in such an identity. */
export const identityUrl = (identity: string): string => identity.replace(/ \d+$/, '')
