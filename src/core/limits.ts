const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/**
 * The one table of limits. Going over one is `LIMIT` (exit 27) and names it.
 * docs/limits.md is made from this table; a test compares the two.
 * Units stand last in the names: Bytes, Ms, or a plain count.
 */
export const limits = {
  /** Components of a vector. */
  dimensionMax: 16_384,
  /** Results of one search. */
  searchCountMax: 10_000,
  /** One input record, as text. */
  rowBytesMax: 64 * MIB,
  /** Nesting of a payload. */
  payloadDepthMax: 128,
  /** UTF-8 bytes of an id. */
  idBytesMax: 512,
  /** Rows of a segment. */
  segmentRowsMax: 2 ** 20,
  /** Bytes of a segment's vectors, and of its decoded payload. */
  segmentBytesMax: 256 * MIB,
  /** WASM memory of one segment. */
  segmentMemoryBytesMax: 3 * GIB,
  /** A segment whose blobs sum to less is one blob of role `pack`. */
  packBytesMax: 16 * MIB,
  /** Rows from which a segment gets a graph. */
  graphRowsMin: 10_000,
  /** Segments of one collection. */
  segmentsMax: 4_096,
  /** Sources listed in a manifest itself; more go to a blob. */
  manifestSourcesMax: 256,
  /** One blob. */
  blobBytesMax: 4 * GIB,
  /** A bundle's signed head. */
  headBytesMax: 64 * KIB,
  /** Chunk of vectors and payload blobs in the chunk-hash list. */
  chunkBytesSmall: 64 * KIB,
  /** Chunk of every other blob in the chunk-hash list. */
  chunkBytesLarge: 4 * MIB,
  /** Manifest file, both lines. */
  manifestBytesMax: 64 * MIB,
  /** One audit entry (tlog-tiles: uint16 length). */
  auditEntryBytesMax: 65_535,
  /** Entries in one closed audit batch and hashes in one full tile. */
  auditTileWidth: 256,
  /** Times that an appender recomputes against a new head before it gives up. */
  commitAttemptsMax: 16,
  /** Files of one bulk commit. */
  commitFilesMax: 1_000,
  /** Open files at once. */
  openFilesMax: 256,
  /** Reserve in the state folder that gc and drop give up on a full disk. */
  reserveBytes: 16 * MIB,
  /** Life of a pin after its renewal. */
  pinLifeMs: 24 * 3_600_000,
  /** Default wait for a lock. */
  lockWaitMs: 10_000,
  /** Nesting of a filter. */
  filterDepthMax: 64,
  /** Conditions in one filter. */
  filterConditionsMax: 10_000,
  /** Text of one query. */
  queryTextBytesMax: 1 * MIB,
} as const

export type LimitName = keyof typeof limits
