import { AkidbError } from '../errors/errors.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * A whole object of at most `bytesMax` bytes: its length is looked at before anything is read, and
 * once more after, since it may have been replaced in between.
 *
 * @throws NOT_FOUND; INTEGRITY where it is longer, since nothing of ours is
 */
export async function getBounded(
  store: Pick<ObjectStore, 'head' | 'get' | 'getBounded'>,
  key: string,
  bytesMax: number,
): Promise<Uint8Array> {
  if (store.getBounded !== undefined) return await store.getBounded(key, bytesMax)
  const info = await store.head(key)
  if (info !== undefined && info.bytes > bytesMax) throw tooLong(key, info.bytes, bytesMax)
  const body = await store.get(key)
  if (body.byteLength > bytesMax) throw tooLong(key, body.byteLength, bytesMax)
  return body
}

/** The error for an object that is longer than any of ours. */
export const tooLong = (key: string, bytes: number, bytesMax: number): AkidbError =>
  new AkidbError('INTEGRITY', `${key} has ${bytes} bytes, not ${bytesMax} at most`, {
    hint: 'Somebody wrote into the store; run akidb check.',
    details: { key, bytes, bytesMax },
  })

/** For a store that stands before another one: this way of reading, where that one has it. */
export const boundedOf = (inner: ObjectStore): Pick<ObjectStore, 'getBounded'> =>
  inner.getBounded === undefined
    ? {}
    : { getBounded: (key, bytesMax) => getBounded(inner, key, bytesMax) }
