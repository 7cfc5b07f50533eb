import { AkidbError } from '../errors/errors.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * A whole object of at most `bytesMax` bytes: its length is looked at before anything is read.
 *
 * @throws NOT_FOUND; INTEGRITY where it is longer, since nothing of ours is
 */
export async function getBounded(
  store: Pick<ObjectStore, 'head' | 'get'>,
  key: string,
  bytesMax: number,
): Promise<Uint8Array> {
  const info = await store.head(key)
  if (info !== undefined && info.bytes > bytesMax) {
    throw new AkidbError('INTEGRITY', `${key} has ${info.bytes} bytes, not ${bytesMax} at most`, {
      hint: 'Somebody wrote into the store; run akidb check.',
      details: { key, bytes: info.bytes, bytesMax },
    })
  }
  return await store.get(key)
}
