import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { ObjectVersion, SealedStore } from '../../storage/object-store.ts'
import { isoTime } from '../states/environment.ts'
import { parseStoreFile, STORE_FILE, type StoreFile } from '../states/store-file.ts'

/** Versions of one key, the oldest first. */
export interface KeyVersions {
  readonly key: string
  readonly versions: readonly ObjectVersion[]
}

/** A listing of versions, key by key. @throws LIMIT for a key with more than any has */
export async function* byKey(versions: AsyncIterable<ObjectVersion>): AsyncGenerator<KeyVersions> {
  let group: ObjectVersion[] = []
  for await (const version of versions) {
    const [first] = group
    if (first !== undefined && first.key !== version.key) {
      yield { key: first.key, versions: oldestFirst(group) }
      group = []
    }
    // Of a key with a flood of versions the oldest count, and they come last.
    if (group.length >= limits.sealVersionsMax) group.splice(1, 1)
    group.push(version)
  }
  const [first] = group
  if (first !== undefined) yield { key: first.key, versions: oldestFirst(group) }
}

/** Listings give the newest of a key first; two of one second are told apart by that order. */
const oldestFirst = (group: readonly ObjectVersion[]): ObjectVersion[] =>
  group.toReversed().sort((a, b) => a.modifiedMs - b.modifiedMs)

/** Objects of which no version was taken, and one was not opened by the server's KMS; by key. */
export type Unread = Map<string, AkidbError>

/** Where small objects are read. */
export interface SmallReads {
  readonly target: SealedStore
  readonly unread: Unread
}

/**
 * The oldest version of a small object that `accept` takes. Whoever can write to the bucket can put
 * newer ones above it; none of them hides it.
 */
export async function readSealed<T>(
  { target, unread }: SmallReads,
  { key, versions }: KeyVersions,
  bytesMax: number,
  accept: (bytes: Uint8Array, version: ObjectVersion) => T | undefined | Promise<T | undefined>,
): Promise<T | undefined> {
  let failure: AkidbError | undefined
  for (const version of versions) {
    const { isDeleteMarker, bytes } = version
    if (isDeleteMarker || bytes > bytesMax) continue
    const body = await readable(target, version)
    if (body instanceof AkidbError) {
      failure ??= isOfKms(body) ? body : undefined
      continue
    }
    const taken = await accept(body, version)
    if (taken !== undefined) return taken
  }
  if (failure !== undefined) unread.set(key, failure)
  return undefined
}

/**
 * What cannot be read tells nothing: it is encrypted under a key that is not ours to use, or was
 * lost. A server that does not answer, or refuses us, is another matter.
 */
async function readable(
  target: SealedStore,
  { key, versionId, bytes }: ObjectVersion,
): Promise<Uint8Array | AkidbError> {
  try {
    return await target.getVersion(key, versionId, { offset: 0, bytes })
  } catch (error) {
    const named = await withKeyName(target, { key, versionId }, error)
    if (hasCode(named, 'BAD_INPUT', 'NOT_FOUND', 'INTEGRITY')) return named
    throw named
  }
}

/** Whether a failure is that of the server's KMS. */
export const isOfKms = (error: unknown): boolean =>
  error instanceof AkidbError && /^kms[:.]/i.test(String(error.details.server))

/** A failure of the server's KMS says which key it is about; any other stays as it is. */
export async function withKeyName(
  target: SealedStore,
  { key, versionId }: { readonly key: string; readonly versionId: string },
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof AkidbError) || !isOfKms(error)) return error
  // Nothing is decrypted for it.
  const info = await target.headVersion(key, versionId).catch(() => undefined)
  const kmsKey = info?.keyId
  if (kmsKey === undefined) return error
  return new AkidbError(error.code, `${error.message}; its key is "${kmsKey}"`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details: { ...error.details, kmsKey },
    cause: error,
  })
}

/** The same, in few words: where the key of the object stands already. */
export const unreadText = ({ message, details: { kmsKey, server } }: AkidbError): string =>
  typeof kmsKey === 'string'
    ? `the server's KMS does not open this object: its key is "${kmsKey}" (${server})`
    : message

/** What is true where nobody vouches for anything because a key is lost; else undefined. */
export const unreadFailure = (unread: ReadonlyMap<string, AkidbError>): AkidbError | undefined =>
  unread.values().next().value

/** The store file of a target; undefined where there is none. */
export async function targetFile(target: SealedStore): Promise<StoreFile | undefined> {
  for await (const found of byKey(target.versions(STORE_FILE))) {
    if (found.key !== STORE_FILE) continue
    return (await storeFilesOf({ target, unread: new Map() }, found))[0]
  }
  return undefined
}

const STORE_FILE_BYTES_MAX = 4096

/**
 * The store files under a key, the oldest first. Nothing vouches for one but the seals that name
 * it, and root of a server may plant others that look older.
 */
async function storeFilesOf(reads: SmallReads, found: KeyVersions): Promise<StoreFile[]> {
  const { target, unread } = reads
  const files: StoreFile[] = []
  let failure: unknown
  await readSealed(reads, found, STORE_FILE_BYTES_MAX, (bytes) => {
    try {
      files.push(checkKind(target, parseStoreFile(bytes, target.url)))
    } catch (error) {
      failure ??= error
    }
    return undefined
  })
  if (files.length === 0 && failure !== undefined) throw failure
  const isThere = found.versions.some(({ isDeleteMarker }) => !isDeleteMarker)
  if (files.length === 0 && isThere) throw unread.get(STORE_FILE) ?? unreadable(target)
  // Another version of it was read.
  if (files.length > 0) unread.delete(STORE_FILE)
  return files
}

const unreadable = (target: SealedStore): AkidbError =>
  new AkidbError('INTEGRITY', `${target.url}/${STORE_FILE} cannot be read`, {
    hint: 'Somebody put another object there; list its versions, and remove what is none of yours.',
    details: { key: STORE_FILE },
  })

/** The store files among keys that were listed. @throws NOT_FOUND where nothing was pushed there */
export async function listedFiles(
  reads: SmallReads,
  listed: ReadonlyMap<string, KeyVersions>,
): Promise<readonly [StoreFile, ...StoreFile[]]> {
  const found = listed.get(STORE_FILE)
  const [first, ...others] = found === undefined ? [] : await storeFilesOf(reads, found)
  if (first !== undefined) return [first, ...others]
  throw new AkidbError('NOT_FOUND', `nothing was sealed in ${reads.target.url}`, {
    hint: 'Is the address right? akidb push writes there.',
  })
}

function checkKind(target: SealedStore, file: StoreFile): StoreFile {
  if (file.kind === 'sealed') return file
  throw new AkidbError('CONFLICT', `${target.url} holds a working store, not sealed collections`, {
    hint: 'Give another prefix.',
  })
}

/** The store file of a new target. */
export const newTargetFile = (id: string, nowMs: number): Uint8Array =>
  Buffer.from(
    `${JSON.stringify({
      format: 'akidb-store/1',
      id,
      kind: 'sealed',
      createdAt: isoTime(nowMs),
    } satisfies StoreFile)}\n`,
  )

/** Nothing is shared between keys of the KMS: each has a domain of its own for its blobs. */
export const domainOf = (keyId: string | undefined): string => {
  if (keyId === undefined) return '0'
  if (/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(keyId)) return keyId
  return `k-${sha256Hex(Buffer.from(keyId)).slice(0, 32)}`
}

/** The same for keys of a key server that akidb encrypts under; domainOf gives none of these. */
export const envelopeDomainOf = (keyId: string): string =>
  /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(keyId)
    ? `_${keyId}`
    : `__${sha256Hex(Buffer.from(keyId)).slice(0, 32)}`
