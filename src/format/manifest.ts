import type { CodesMeasure, IndexParameters, Schema } from '../core/schema.ts'

/** Roles of blobs (design §3). Several roles as sections of one blob: `pack`. */
export const BLOB_ROLES = [
  'pack',
  'vectors',
  'codes',
  'ids',
  'payload',
  'origin',
  'fields',
  'text',
  'graph',
  'tombstones',
  'sources',
  'sparse',
] as const
export type BlobRole = (typeof BLOB_ROLES)[number]

/** What a manifest says of a blob: enough to check any byte of it. */
export interface BlobRef {
  /** SHA-256 of the whole file, hex; its name. */
  readonly digest: string
  readonly bytes: number
  readonly chunkBytes: number
  /** RFC 6962 root over the chunk hashes, hex. */
  readonly chunkRoot: string
  readonly role: BlobRole
}

export interface SegmentEntry {
  /** Unique in the collection; tombstone blobs name segments by it. */
  readonly key: number
  /** Rows in the blobs, dead ones included. */
  readonly rows: number
  readonly blobs: readonly BlobRef[]
  /** The blob that holds this segment's whole set of dead rows, and how many they are. */
  readonly tombstones?: BlobRef & { readonly count: number }
  /** Ordinals of the collection's sources, in the order of the origin section's local ordinals. */
  readonly sources: readonly number[]
  /** Decoded payload bytes, for merging and limits. */
  readonly payloadBytes: number
  /** Of codes other than int8, where there were rows enough to measure them. */
  readonly measured?: CodesMeasure
}

/** One ingested file. */
export interface SourceEntry {
  readonly ordinal: number
  /** Base name. */
  readonly name: string
  readonly sha256: string
  /** SHA-256 of the options that change rows, values or index. */
  readonly options: string
  readonly rows: number
  readonly rejected: number
}

/** Line 2 of a manifest: no time, place, writer or history in it. Its SHA-256 is the state root. */
export interface CollectionState {
  readonly format: 'akidb-state/1'
  readonly requires: readonly string[]
  readonly uses: readonly string[]
  readonly dropped?: true
  readonly schema: Schema
  readonly index: IndexParameters
  /** The next segment key and source ordinal: never used twice. */
  readonly nextSegment: number
  readonly nextSource: number
  readonly segments: readonly SegmentEntry[]
  readonly sources: readonly SourceEntry[]
  /** Sources beyond limits.manifestSourcesMax, oldest first. */
  readonly sourcesBlob?: BlobRef
}

export interface AuditPosition {
  readonly logId: string
  readonly size: number
  /** RFC 6962 root of the first `size` entries, hex. */
  readonly root: string
}

/** Where an imported state came from. Its collection is `following` while its head has one. */
export interface OriginEntry {
  readonly headDigest: string
  readonly logId: string
  readonly epoch: number
  readonly sequence: number
  /** The origin's own commit time. */
  readonly committedAt: string
  readonly keyId: string
  /** True after `--diverge`: remembered, but no longer followed. */
  readonly diverged?: true
}

/** Position in the write-ahead log of one epoch, in bytes from its start. */
export interface LogPosition {
  readonly epoch: number
  /** Entries that end at or before this are in this state's segments. */
  readonly folded: number
  /**
   * Length of the log at this commit: entries that end at or before it lose to the rows that the
   * commit added.
   */
  readonly seen: number
}

export const COMMIT_ACTS = [
  'create',
  'ingest',
  'upsert',
  'delete',
  'merge',
  'index',
  'revert',
  'import',
  'drop',
  'owner',
  'repair',
] as const
export type CommitAct = (typeof COMMIT_ACTS)[number]

/** Line 1 of a manifest. */
export interface Commit {
  readonly format: 'akidb-manifest/1'
  /** Random, from the collection's creation: 32 hex digits. */
  readonly collection: string
  readonly name: string
  /** From 1, without gaps. */
  readonly version: number
  /** SHA-256 of the parent's file; null for version 1. */
  readonly parent: string | null
  readonly epoch: number
  /** ISO 8601 UTC with milliseconds; later than the parent's. */
  readonly committedAt: string
  readonly act: CommitAct
  /** The act of the audit log that made it. */
  readonly actId: string
  readonly actor: string
  readonly audit: AuditPosition
  readonly origin?: OriginEntry
  readonly log?: LogPosition
  /** Rows by id, against the parent. */
  readonly changed: {
    readonly inserted: number
    readonly updated: number
    readonly deleted: number
  }
  readonly stateRoot: string
}

/** A manifest file, decoded and checked. */
export interface Manifest {
  /** SHA-256 of the file's exact bytes, hex. */
  readonly digest: string
  readonly commit: Commit
  readonly state: CollectionState
  /** The exact bytes of line 2, without the line end. */
  readonly stateBytes: Uint8Array
}
