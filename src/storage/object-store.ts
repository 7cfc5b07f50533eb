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
  readonly signal?: AbortSignal
}

export interface DeleteOptions {
  /** false: a power failure may bring it back. Default: durable. */
  readonly durable?: boolean
}

export type PutResult = 'created' | 'exists'

export interface ListOptions {
  /** Only keys greater than this one, bytewise. */
  readonly after?: string
  readonly limit?: number
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
  /**
   * Whole object or a range of it. A range beyond the end is INTEGRITY: somebody promised those
   * bytes.
   */
  get(key: string, range?: ByteRange): Promise<Uint8Array>
  /**
   * Streams an object (from `offset`) in pieces of at most `pieceBytes` (default 1 MiB), bounded
   * memory.
   */
  read(key: string, options?: { offset?: number; pieceBytes?: number }): AsyncIterable<Uint8Array>
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<PutResult>
  /** For bodies too large for memory, or whose key is their digest. */
  stage(): Promise<StagedObject>
  head(key: string): Promise<ObjectInfo | undefined>
  /** Keys that start with `prefix`, in bytewise order. Temporary files never show. */
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
