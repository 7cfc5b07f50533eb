import { AkidbError } from '../errors/errors.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * A whole object of at most `bytesMax` bytes: its length is looked at before anything is read, and
 * once more after, since it may have been replaced in between.
 *
 * @throws NOT_FOUND; INTEGRITY where it is longer, since nothing of ours is
 */
export async function getBounded(
  store: Pick<ObjectStore, 'head' | 'get'>,
  key: string,
  bytesMax: number,
): Promise<Uint8Array> {
  const info = await store.head(key)
  if (info !== undefined && info.bytes > bytesMax) throw tooLong(key, info.bytes, bytesMax)
  const body = await store.get(key)
  if (body.byteLength > bytesMax) throw tooLong(key, body.byteLength, bytesMax)
  return body
}

const tooLong = (key: string, bytes: number, bytesMax: number): AkidbError =>
  new AkidbError('INTEGRITY', `${key} has ${bytes} bytes, not ${bytesMax} at most`, {
    hint: 'Somebody wrote into the store; run akidb check.',
    details: { key, bytes, bytesMax },
  })
