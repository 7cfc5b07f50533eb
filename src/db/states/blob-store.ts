import { runningSha256 } from '../../core/digest.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import {
  type BlobInput,
  blobKey,
  checkBlob,
  type DecodedBlob,
  decodeBlob,
  encodeBlob,
} from '../../format/blob.ts'
import type { BlobRef } from '../../format/manifest.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import { dropCopies } from '../../storage/drop-copies.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { WriterPin } from './pins.ts'

/** Where a blob goes. Where what is there already can be read, rot is replaced. */
export type BlobTarget = Pick<ObjectStore, 'stage'> &
  Partial<Pick<ObjectStore, 'head' | 'read' | 'delete' | 'capabilities' | 'cache'>>

/**
 * Writes a blob and makes it durable under its digest. The pin names it before its presence is
 * tested, so that a garbage collection that runs meanwhile does not take it. One that is there but
 * damaged is replaced: the right bytes are at hand.
 */
export async function writeBlob(
  store: BlobTarget,
  pin: WriterPin,
  input: BlobInput,
): Promise<BlobRef> {
  const staged = await store.stage()
  try {
    const ref = await encodeBlob(input, (bytes) => staged.write(bytes))
    await pin.add([ref.digest])
    const key = blobKey(ref.digest)
    const isThere = isReadable(store) && (await hasWholeBlob(store, ref.digest))
    // In a folder it also makes durable what is there.
    if (isThere && store.capabilities?.checksums === true) await staged.abort()
    else await staged.commit(key)
    return ref
  } catch (error) {
    await staged.abort().catch(() => undefined)
    throw error
  }
}

/**
 * The whole blob, checked by its digest. @throws INTEGRITY also where it is missing: a manifest
 * named it
 */
export async function readBlob(store: ObjectStore, ref: BlobRef): Promise<DecodedBlob> {
  try {
    return await readChecked(store, ref)
  } catch (error) {
    await dropCopies(store, blobKey(ref.digest), error)
    return await readChecked(store, ref)
  }
}

async function readChecked(store: ObjectStore, ref: BlobRef): Promise<DecodedBlob> {
  const bytes = await readBlobBytes(store, ref)
  checkBlob(bytes, ref)
  return decodeBlob(bytes, ref)
}

async function readBlobBytes(store: ObjectStore, ref: BlobRef): Promise<Uint8Array> {
  try {
    return await getBounded(store, blobKey(ref.digest), ref.bytes)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) throw missingBlob(ref, error)
    throw error
  }
}

export const missingBlob = (ref: BlobRef, cause?: unknown): AkidbError =>
  new AkidbError('INTEGRITY', `blob ${ref.digest} (${ref.role}) is missing from the store`, {
    hint: 'Run akidb check, then akidb repair --from a bundle or copy that has it.',
    details: { key: blobKey(ref.digest), role: ref.role },
    cause,
  })

type ReadableTarget = Pick<ObjectStore, 'head' | 'read' | 'delete' | 'cache'> &
  Partial<Pick<ObjectStore, 'capabilities'>>

const isReadable = (store: BlobTarget): store is BlobTarget & ReadableTarget =>
  store.head !== undefined && store.read !== undefined && store.delete !== undefined

/**
 * Whether a blob is there and whole. One that is there but damaged goes: the right bytes are at
 * hand, and would not replace it. Test only after pinning it. A store with checksums of its own
 * answers for what it took; and what other machines read there is not taken from under them.
 */
export async function hasWholeBlob(store: ReadableTarget, digest: string): Promise<boolean> {
  const key = blobKey(digest)
  if ((await store.head(key)) === undefined) return false
  if (store.capabilities?.checksums === true) return true
  if (await isIntact(store, digest)) return true
  await store.delete(key)
  return false
}

/** Whether a blob is there and its content has its name. Streams; costs one pass of SHA-256. */
export async function isIntact(
  store: Pick<ObjectStore, 'read' | 'cache'>,
  digest: string,
): Promise<boolean> {
  const hash = runningSha256()
  // A copy says nothing of what lies there.
  const source = store.cache?.source ?? store
  try {
    for await (const piece of source.read(blobKey(digest), { passing: true })) hash.update(piece)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND', 'INTEGRITY')) return false
    throw error
  }
  return hash.hex() === digest
}
