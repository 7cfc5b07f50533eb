import { AkidbError, hasCode } from '../errors/errors.ts'

/**
 * What a store can do beyond the common verbs. Differences are asked here, never with
 * `instanceof`.
 */
export interface StoreCapabilities {
  /** `put` with `ifAbsent` decides races: exactly one caller gets 'created'. */
  readonly conditionalPut: boolean
  /** `append` and `truncate` work. */
  readonly append: boolean
  /** `localPath` gives real paths. */
  readonly localFiles: boolean
  readonly versions: boolean
  readonly retention: boolean
  readonly legalHold: boolean
  readonly serverEncryption: boolean
  /** It checks what it takes and gives by checksums of its own: who writes need not look again. */
  readonly checksums: boolean
}

export interface ObjectInfo {
  readonly key: string
  readonly bytes: number
  /** Store's clock, milliseconds since 1970. */
  readonly modifiedMs: number
}

export interface ByteRange {
  readonly offset: number
  readonly bytes: number
}

export interface PutOptions {
  /**
   * 'ifAbsent' (default): an existing object is left alone and 'exists' returned. 'replace':
   * atomic replacement.
   */
  readonly mode?: 'ifAbsent' | 'replace'
  /**
   * false: everybody sees it, but a power failure may undo it or leave an empty or zeroed object.
   * For what means nothing once its process is gone. Default: durable.
   */
  readonly durable?: boolean
  /**
   * By this machine's clock, milliseconds since 1970: it is not begun later than that, since what
   * the caller knows does not hold any more. @throws CONFLICT
   */
  readonly notAfterMs?: number
  readonly signal?: AbortSignal
}

export interface DeleteOptions {
  /** false: a power failure may bring it back. Default: durable. */
  readonly durable?: boolean
  /** See PutOptions. */
  readonly notAfterMs?: number
  /** Told where a request was sent that may still be carried out after this call has ended. */
  readonly onDoubt?: () => void
  /** It tidies up: a command that is stopped has limits.s3TidyMs more for it. */
  readonly tidies?: boolean
}

/** @throws CONFLICT where it is later than an operation may begin (see PutOptions) */
export function checkInTime(key: string, notAfterMs: number | undefined, nowMs: number): void {
  if (notAfterMs === undefined || nowMs <= notAfterMs) return
  throw new AkidbError('CONFLICT', `too late to change ${key}: this process stood still`, {
    hint: 'Run the command again.',
    details: { key, lateMs: nowMs - notAfterMs },
  })
}

/** Whether nothing was begun, because it was too late (see checkInTime). */
export const isTooLate = (error: unknown): boolean =>
  hasCode(error, 'CONFLICT') && error.details?.lateMs !== undefined

export type PutResult = 'created' | 'exists'

export interface ListOptions {
  /** Only keys greater than this one, bytewise. */
  readonly after?: string
  readonly limit?: number
}

export interface StageOptions {
  /** It is large and not read soon: it need not stay in the machine's memory. */
  readonly cold?: boolean
}

/** An object being written under no name yet. Exactly one of `commit` and `abort` ends it. */
export interface StagedObject {
  readonly bytesWritten: number
  /** Appends; resolves when the buffer may be reused. */
  write(bytes: Uint8Array): Promise<void>
  /** Makes it durable under `key`, never overwriting. */
  commit(key: string): Promise<PutResult>
  abort(): Promise<void>
}

export interface ReadOptions {
  readonly offset?: number
  readonly pieceBytes?: number
  /** A piece is needed only until the next is asked for: its memory may be used again. */
  readonly passing?: boolean
}

/**
 * How a blob's copies are kept: `pinned` ones stay, `hot` ones give way after all `cold` ones.
 */
export const CACHE_CLASSES = ['pinned', 'hot', 'cold'] as const
export type CacheClass = (typeof CACHE_CLASSES)[number]

/** Bytes of copies by class. */
export type CacheBytes = Readonly<Record<CacheClass, number>>

/** What lies in a cache now. */
export interface CacheUsage {
  readonly folder: string
  readonly bytesMax: number
  readonly bytes: CacheBytes
  /** By digest of the blob. */
  readonly blobs: ReadonlyMap<string, CacheBytes>
  /** Who has blobs pinned (see `pin`): their bytes, here or still to come. */
  readonly pins: ReadonlyMap<string, number>
}

/** A blob that is to be brought near, or pinned. */
export interface CachedBlob {
  readonly key: string
  readonly bytes: number
}

/** Copies of blobs that a store keeps on this machine. Blobs never change: none goes stale. */
export interface BlobCache {
  /** Where the copies come from: to read what really lies there. */
  readonly source: ObjectStore
  /**
   * Says that a blob will be read, and its length, which need not be asked for then. One that
   * searches need is hot from the first time on.
   */
  expect(blob: CachedBlob, isHot: boolean): void
  /**
   * Begins to fetch what is read of a blob first: all of a small one, else its beginning and its
   * end. Nothing where it was read before.
   */
  begin(key: string): void
  /** Drops all copies of a blob, so that the next read asks the source. */
  forget(key: string): Promise<void>
  /** Bytes of a blob of which there is no whole copy on disk; changes nothing. */
  missing(blob: CachedBlob): Promise<number>
  /**
   * Brings all of a blob onto the disk, hot or pinned, and checks it by its digest.
   *
   * @returns bytes that came from the source
   * @throws INTEGRITY where the source has other bytes; NO_SPACE where the disk cannot be written
   */
  warm(blob: CachedBlob, signal?: AbortSignal): Promise<number>
  /**
   * Pins exactly these blobs for `owner`, what he had pinned else no more; [] unpins all. Pinned
   * copies are never given up. What is not here yet is pinned as it comes.
   *
   * @param owner 32 hex digits
   * @throws LIMIT where all that is pinned would take more than the cache may; NO_SPACE, AUTH
   */
  pin(owner: string, blobs: readonly CachedBlob[]): Promise<void>
  usage(): Promise<CacheUsage>
}

/**
 * The one interface to where bytes live: a folder, memory, or a bucket.
 *
 * Keys are relative, '/'-separated, of [A-Za-z0-9._@=+-] segments, never '.', '..' or empty
 * segments. Everything that resolves is durable (on disk: file and folder are synced). Errors:
 * NOT_FOUND (get, read of a missing key), NO_SPACE, AUTH (permission), UNREACHABLE. Objects are
 * immutable but for `replace`, `append`, `truncate`.
 */
export interface ObjectStore {
  /** For messages. */
  readonly url: string
  readonly capabilities: StoreCapabilities
  /** Absent: it keeps no copies of what it reads. */
  readonly cache?: BlobCache
  /**
   * Whole object or a range of it. A range beyond the end is INTEGRITY: somebody promised those
   * bytes.
   */
  get(key: string, range?: ByteRange): Promise<Uint8Array>
  /**
   * The whole of an object in one request, where that is less than `head` and `get`; see
   * bounded-get.ts. @throws INTEGRITY where it is longer than `bytesMax`
   */
  getBounded?(key: string, bytesMax: number): Promise<Uint8Array>
  /**
   * Streams an object (from `offset`) in pieces of at most `pieceBytes` (default 1 MiB), bounded
   * memory.
   */
  read(key: string, options?: ReadOptions): AsyncIterable<Uint8Array>
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<PutResult>
  /** For bodies too large for memory, or whose key is their digest. */
  stage(options?: StageOptions): Promise<StagedObject>
  head(key: string): Promise<ObjectInfo | undefined>
  /**
   * Keys that start with `prefix`, in bytewise order. Temporary files never show. What comes or
   * goes meanwhile may show or not.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>
  /** True where it existed. */
  delete(key: string, options?: DeleteOptions): Promise<boolean>
  /**
   * Appends to an object (created where missing) that must be `at` bytes long now, else CONFLICT;
   * durable.
   * A crash while it runs may leave a part of `bytes` at the end.
   */
  append(key: string, bytes: Uint8Array, at: number): Promise<void>
  /** Cuts an object to `bytes`; durable. */
  truncate(key: string, bytes: number): Promise<void>
  /** The store's own clock, milliseconds since 1970. */
  nowMs(): Promise<number>
  /** Real path of a key, where `localFiles`. */
  localPath(key: string): string | undefined
  /**
   * Removes what killed writers left (temporary names older than a day, or of dead processes).
   * Returns how many.
   */
  sweepTemporary(): Promise<number>
  close(): Promise<void>
}

/** How long nobody, its writer included, can delete or replace a version of an object. */
export interface Retention {
  /** Under GOVERNANCE, whom the store's policy lets may shorten it; under COMPLIANCE nobody may. */
  readonly mode: 'COMPLIANCE' | 'GOVERNANCE'
  /** Milliseconds since 1970. */
  readonly untilMs: number
}

/**
 * Takes pieces of a stream, one at a time: each is needed until this returns, or until what it
 * returns resolves. Throws an AkidbError.
 */
export type PieceSink = (piece: Uint8Array) => Promise<void> | undefined

/** What an object is born with, in the one request that makes it. */
export interface SealOptions {
  readonly retention?: Retention
  readonly legalHold?: boolean
  /** The store encrypts it under this key of its KMS, bound to this context. */
  readonly encryption?: {
    readonly keyId: string
    readonly context: Readonly<Record<string, string>>
  }
  readonly signal?: AbortSignal
}

/** Bytes to seal, read anew for every try. */
export interface SealedBody {
  readonly bytes: number
  /** SHA-256 of the whole, hex. */
  readonly sha256: string
  /**
   * Pieces in memory of their own: each is still needed when the next is asked for, unless they
   * are only `passing`.
   */
  open(offset: number, passing?: boolean): AsyncIterable<Uint8Array>
}

/** One version of an object, or a marker that says "deleted". */
export interface ObjectVersion extends ObjectInfo {
  readonly versionId: string
  readonly isLatest: boolean
  readonly isDeleteMarker: boolean
}

/** What the store says of one version. */
export interface SealedInfo extends ObjectInfo {
  readonly versionId: string
  readonly retention: Retention | undefined
  readonly legalHold: boolean
  /** Key of the KMS. */
  readonly keyId: string | undefined
  /** Digest that the store computed when it took the object, as it gives it (base64). */
  readonly checksum: string | undefined
  /** PENDING, COMPLETED, FAILED; REPLICA of a copy. Absent: nobody copies it elsewhere. */
  readonly replication?: string | undefined
}

/** Copies what comes into a bucket to another one. */
export interface ReplicationRule {
  readonly id: string
  readonly enabled: boolean
  /** Of whole keys; '': all. */
  readonly prefix: string
  /** Bucket that the copies go to. */
  readonly target: string
}

/** Takes or moves objects when their time has come. */
export interface LifecycleRule {
  readonly id: string
  readonly enabled: boolean
  /** Of whole keys; '': all. */
  readonly prefix: string
  /** Takes objects: in a bucket of versions it puts delete markers above them. */
  readonly expires: boolean
  /** Takes versions that others hide. */
  readonly expiresHidden: boolean
  /** Moves them to other storage. */
  readonly moves: boolean
}

/** Of all drives of a server together, before what its redundancy takes. */
export interface FreeSpace {
  readonly freeBytes: number
  readonly bytes: number
}

/** What the store says of itself. */
export interface LockState {
  readonly versioned: boolean
  readonly locked: boolean
  /** For new objects that bring none. */
  readonly defaultRetention: { readonly mode: string; readonly days: number } | undefined
}

/** A store whose objects have versions that can be locked. */
export interface SealedStore extends ObjectStore {
  /**
   * Creates an object with all that seals it in one step, so that there is no moment in which it
   * is there but not locked.
   *
   * @returns undefined where an object is there already
   * @throws RETENTION where the store cannot lock, INTEGRITY where `body` is not what it says
   */
  seal(key: string, body: SealedBody, options: SealOptions): Promise<string | undefined>
  /**
   * All versions and delete markers of keys that start with `prefix`, by key, of each the newest
   * first.
   */
  versions(prefix: string): AsyncIterable<ObjectVersion>
  headVersion(key: string, versionId: string): Promise<SealedInfo | undefined>
  /** @throws NOT_FOUND; INTEGRITY where it ends before the range does */
  getVersion(key: string, versionId: string, range: ByteRange): Promise<Uint8Array>
  /** A piece is valid until the next is asked for. */
  readVersion(
    key: string,
    versionId: string,
    options?: { readonly offset?: number; readonly pieceBytes?: number },
  ): AsyncIterable<Uint8Array>
  /**
   * Sends all bytes of a version to `sink`, in order, as they come: faster than `readVersion` for
   * one that is read to its end. `sink` must not wait for other objects of this store.
   *
   * @param bytes length that it must have
   * @throws NOT_FOUND; INTEGRITY where it is of another length; what `sink` throws
   */
  streamVersion(key: string, versionId: string, bytes: number, sink: PieceSink): Promise<void>
  /** @throws RETENTION where that would shorten it, or soften COMPLIANCE to GOVERNANCE */
  setRetention(key: string, versionId: string, retention: Retention): Promise<void>
  setLegalHold(key: string, versionId: string, on: boolean): Promise<void>
  /** @throws RETENTION for a version that is locked */
  deleteVersion(key: string, versionId: string): Promise<void>
  lockState(): Promise<LockState>
  /** Rules of the bucket that concern keys of this store. @throws AUTH */
  replicationRules(): Promise<readonly ReplicationRule[]>
  /** The same. @throws AUTH */
  lifecycleRules(): Promise<readonly LifecycleRule[]>
  /** Undefined where the server does not say. */
  freeSpace(): Promise<FreeSpace | undefined>
  /** The checksum (see SealedInfo) that `body` must have been given. */
  checksumOf(body: SealedBody): Promise<string>
}
