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
  /** Records of one ingest batch. */
  batchRowsMax: 1_024,
  /** Estimated bytes of records after which an ingest batch is full. */
  batchBytesTarget: 4 * MIB,
  /** Rows of one input file that are kept until it has been read to its end, vectors included. */
  keptInputBytesMax: 16 * MIB,
  /** Non-empty cells of a CSV column that decide its type. */
  typeSampleCells: 10_000,
  /** Bytes of a pipe that are kept while types are guessed. */
  sampleBytesMax: 64 * MIB,
  /** Footer of a Parquet file. */
  parquetFooterBytesMax: 64 * MIB,
  /** One Parquet page, compressed and decompressed. */
  parquetPageBytesMax: 256 * MIB,
  /** Values and nulls of one Parquet page. */
  parquetPageValuesMax: 2 ** 24,
  /** Columns of an input file. */
  columnsMax: 20_000,
  /** Files that one list of inputs names. */
  inputFilesMax: 1_000_000,
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
  /** Least budget for open segments where none is given: half of the memory otherwise. */
  memoryBytesMin: 256 * MIB,
  /** Segments of a collection that was not searched for so long give way to those of others. */
  memoryIdleMs: 60_000,
  /** A segment whose blobs sum to less is one blob of role `pack`. */
  packBytesMax: 16 * MIB,
  /** Rows from which a segment gets a graph. */
  graphRowsMin: 10_000,
  /** Links a row and level of a graph (m); level 0 has twice as many. */
  graphLinksMax: 64,
  /** Candidates kept while a graph is built. */
  efConstructionMax: 2_000,
  /** Candidates kept by one search (ef). */
  searchEfMax: 32_768,
  /** Threads that build one graph. */
  buildThreadsMax: 32,
  /** Index builds that wait for the one under way, in one store. */
  buildsWaitingMax: 1_024,
  /** Searches of single segments that wait for a worker thread, in one store. */
  searchesWaitingMax: 16_384,
  /** Blobs that wait to be hashed by a worker thread, in one store. */
  digestsWaitingMax: 1_024,
  /** Segments whose memory one worker thread holds; the one used longest ago is let go of. */
  workerSegmentsMax: 256,
  /** Searches of one batch that are under way at once. */
  batchSearchesMax: 64,
  /** Filter results that one collection keeps, and the texts of their filters. */
  filterCacheBytesMax: 64 * MIB,
  /** A filter whose JSON text is longer is not kept. */
  filterCacheTextMax: 16 * KIB,
  /** Answers of searches that one open store keeps. */
  resultCacheEntriesMax: 4_096,
  /** Bytes of the answers of searches that one open store keeps. */
  resultCacheBytesMax: 32 * MIB,
  /** Decoded payload pages that one collection keeps. */
  payloadCacheBytesMax: 64 * MIB,
  /** Threads that search one segment at once. */
  searchThreadsMax: 64,
  /** Segments of one collection. */
  segmentsMax: 4_096,
  /** Sources listed in a manifest itself; more go to a blob. */
  manifestSourcesMax: 256,
  /** One blob. */
  blobBytesMax: 4 * GIB,
  /** A bundle's signed head. */
  headBytesMax: 64 * KIB,
  /** Detached signatures of a bundle's head. */
  bundleSignatureBytesMax: 16 * KIB,
  /** Proof in a bundle that its export is in the audit log. */
  bundleProofBytesMax: 256 * KIB,
  /** A public key or key certificate in a bundle. */
  bundleKeyBytesMax: 16 * KIB,
  /** Instructions in a bundle. */
  bundleVerifyTextBytesMax: 64 * KIB,
  /** Inventory of a bundle. */
  bundleInventoryBytesMax: 64 * MIB,
  /** Blobs named by one bundle, carried or not. */
  bundleBlobsMax: 65_536,
  /** Entry records of one page of a bundle. */
  bundlePageRecordsMax: 4_096,
  /** Bytes of one page of a bundle. */
  bundlePageBytesMax: 2 * MIB,
  /** One member of a bundle; a larger blob becomes several. */
  bundlePartBytesMax: 512 * MIB,
  /** Parts of one blob in a bundle. */
  bundlePartsMax: 1_000,
  /** Problems that one verification of a bundle names. */
  bundleProblemsMax: 1_000,
  /** Places at which one verification of a bundle finds its way again after a wrong header. */
  bundleDetoursMax: 64,
  /** Chunk of vectors and payload blobs in the chunk-hash list. */
  chunkBytesSmall: 64 * KIB,
  /** Chunk of every other blob in the chunk-hash list. */
  chunkBytesLarge: 4 * MIB,
  /** Small files of a store: pins, snapshots, condemned lists. */
  smallFileBytesMax: 16 * MIB,
  /** Ledger of a half-done ingest. */
  ledgerBytesMax: 32 * MIB,
  /** Manifest file, both lines. */
  manifestBytesMax: 64 * MIB,
  /** One audit entry (tlog-tiles: uint16 length). */
  auditEntryBytesMax: 65_535,
  /** Entries in one closed audit batch and hashes in one full tile. */
  auditTileWidth: 256,
  /** Entries of one audit log. */
  auditEntriesMax: 2 ** 40,
  /** Entries of one append call, and entries that wait for the log's lock in one process. */
  auditQueueMax: 4_096,
  /** Full tiles that one open audit log keeps in memory (8 KiB each). */
  auditTileCacheMax: 64,
  /** Problems that one verification of an audit log lists; more are only counted. */
  auditProblemsMax: 1_000,
  /** Public key of an audit log, and its certificate. */
  auditKeyBytesMax: 16 * KIB,
  /** A checkpoint or a proof file with all its signatures. */
  auditNoteBytesMax: 256 * KIB,
  /** Times that an appender recomputes against a new head before it gives up. */
  commitAttemptsMax: 16,
  /** Files of one bulk commit. */
  commitFilesMax: 1_000,
  /** Open files at once. */
  openFilesMax: 256,
  /** Reserve in the state folder that gc and drop give up on a full disk. */
  reserveBytes: 16 * MIB,
  /** Least reserve, where there is no room for more. */
  reserveBytesMin: 256 * KIB,
  /** Life of a pin after its renewal. */
  pinLifeMs: 24 * 3_600_000,
  /**
   * Of a store that machines share: a condemned list holds its blobs for so long after its
   * renewal, by the store's clock.
   */
  gcRecordLifeMs: 30 * 60_000,
  /** A collection of garbage there renews its list after so long. */
  gcRenewMs: 60_000,
  /** Nothing of a list is deleted so long after its renewal. */
  gcStopMs: 10 * 60_000,
  /** Manifests of one condemned list: a collection of garbage writes several, one after another. */
  gcListManifestsMax: 16_384,
  /** States younger than this are kept there, whatever `--keep` says, by the store's clock. */
  gcSharedKeepMs: 3_600_000,
  /** A manifest is not written there so long after the head under it was looked up. */
  commitLifeMs: 30 * 60_000,
  /** For so long, by the store's clock, a machine that makes a collection there holds its name. */
  nameClaimLifeMs: 3_600_000,
  /** Default wait for a lock. */
  lockWaitMs: 10_000,
  /** Nesting of a filter. */
  filterDepthMax: 64,
  /** Conditions in one filter; each word of a text that is matched counts as one. */
  filterConditionsMax: 10_000,
  /** Points of all polygons in one filter. */
  filterPolygonPointsMax: 10_000,
  /** Text of one query, all its parts together. */
  queryTextBytesMax: 64 * KIB,
  /** Payload fields with sparse vectors in one collection. */
  sparseFieldsMax: 64,
  /** Pairs of one sparse vector, stored or asked for. */
  sparsePairsMax: 65_536,
  /** Distinct words of one query, beginnings of words included. */
  queryTermsMax: 4_096,
  /** Terms that begin with one `prefix*` of a query. */
  queryPrefixTermsMax: 1_024,
  /** Nodes inside each other in one query. */
  queryDepthMax: 8,
  /** Nodes of one query. */
  queryNodesMax: 64,
  /** Examples of one recommendation. */
  queryExamplesMax: 100,
  /** Hits that diverse ones are chosen from. */
  mmrCandidatesMax: 1_000,
  /** Groups of one query. */
  queryGroupsMax: 1_000,
  /** Different values of a field that one facet counts. */
  facetValuesMax: 1_000_000,
  /** Cursor of a page of records. */
  cursorBytesMax: 4 * KIB,
  /** Bytes of one group commit of a write-ahead log; a larger record is a group alone. */
  logGroupBytesMax: 8 * MIB,
  /** Least time between two groups of a write-ahead log in a bucket: each is an object. */
  logGroupMs: 50,
  /** Groups in a bucket after which a write-ahead log is committed at once. */
  logFoldGroups: 256,
  /** Groups of a write-ahead log in a bucket that are read at once. */
  logReadsMax: 16,
  /** Unread groups of a log in a bucket so old mean that its owner is gone. */
  logOwnerQuietMs: 180_000,
  /** Rows acknowledged here that are not in the bucket yet: above it writes wait for the bucket. */
  localRowsMax: 65_536,
  /** Bytes of these. */
  localBytesMax: 64 * MIB,
  /** Pause before what is acknowledged here is sent to the bucket again after a failure. */
  localRetryPauseMs: 5_000,
  /** Writes that wait for one write-ahead log. */
  logWaitingMax: 4_096,
  /** Entries after which a write-ahead log is committed at once. */
  logFoldEntries: 8_192,
  /** Bytes after which a write-ahead log is committed at once. */
  logFoldBytes: 32 * MIB,
  /** Bytes of a write-ahead log at which writers wait for its commit. */
  logOpenBytesMax: 128 * MIB,
  /** Merges of one collection that a log owner does each time it commits by timer. */
  ownerMergesMax: 8,
  /**
   * Segments that a log owner merges into one; larger merges are left to `compact` and `ingest`.
   */
  ownerMergeBytesMax: 256 * MIB,
  /** Question to the log owner over its socket. */
  ownerCommandBytesMax: 4 * KIB,
  /** Answer of the log owner. */
  ownerAnswerBytesMax: 64 * KIB,
  /** Wait of the log owner for a question, once somebody has connected. */
  ownerCommandTimeoutMs: 5_000,
  /** Connections to the log owner's socket at once. */
  ownerConnectionsMax: 64,
  /** Body of one HTTP request. */
  serverBodyBytesMax: 64 * MIB,
  /** Bodies of all HTTP requests that are being answered. */
  serverBodiesBytesMax: 256 * MIB,
  /** Records of one HTTP request. */
  serverRowsMax: 10_000,
  /** HTTP requests that are answered at once; more get 503. */
  serverRequestsMax: 64,
  /** HTTP connections at once. */
  serverConnectionsMax: 1_024,
  /** Request line and headers of one HTTP request. */
  serverHeaderBytesMax: 16 * KIB,
  /** Wait for the headers of an HTTP request. */
  serverHeaderTimeoutMs: 10_000,
  /** Wait for a whole HTTP request. */
  serverRequestTimeoutMs: 120_000,
  /** Wait for the next HTTP request of a connection. */
  serverIdleTimeoutMs: 15_000,
  /** Wait for the requests in flight when the server is stopped. */
  serverStopTimeoutMs: 10_000,
  /** Body of one request to a bucket; a larger object goes in parts. */
  s3PutBytesMax: 64 * MIB,
  /** One part of a larger object; the checksums of what is sealed depend on it. */
  s3PartBytes: 8 * MIB,
  /** Part of an object that one request of a stream reads. */
  s3ReadBytes: 4 * MIB,
  /** Parts of one object (the protocol's limit). */
  s3PartsMax: 10_000,
  /** Uploads or downloads of bodies to or from a bucket at once. */
  s3TransfersMax: 4,
  /** Requests without bodies to a bucket at once. */
  s3RequestsMax: 16,
  /** Silence of a bucket's server after which a request counts as lost. */
  s3IdleTimeoutMs: 60_000,
  /** Default time for which a request to a bucket is tried again. */
  s3RetryForMs: 120_000,
  /** A request to a bucket that is tried again, or gets no answer, for so long is told of. */
  s3RetryNoteMs: 10_000,
  /** How long a command that was stopped goes on removing what it left in a bucket. */
  s3TidyMs: 2_000,
  /** Longest pause between two tries. */
  s3RetryPauseMaxMs: 5_000,
  /** Tries of one request to a bucket, however short they are. */
  s3TriesMax: 64,
  /** Error document of a bucket's server. */
  s3ErrorBytesMax: 64 * KIB,
  /** Replication and lifecycle rules of a bucket, and what its server says of its drives. */
  s3RulesBytesMax: 4 * MIB,
  /** Rules of one kind that a bucket is given. Source: Amazon S3, which takes no more. */
  s3RulesMax: 1_000,
  /** Seals whose replication `doctor --target` looks at, the newest first. */
  doctorSealsMax: 32,
  /** One page of a bucket's listing, as XML. */
  s3ListBytesMax: 16 * MIB,
  /** Objects of one seal record; an act on more writes several. */
  sealObjectsMax: 10_000,
  /** One seal record. */
  sealBytesMax: 32 * MIB,
  /** Seal records of one act. */
  sealRecordsMax: 500,
  /** Objects of one sealed store that one process keeps in mind. */
  sealedObjectsMax: 2_000_000,
  /** Its seals, proofs and objects of audit logs, other people's among them. */
  sealedWitnessMax: 500_000,
  /** Problems that one verification of a sealed store lists; more are only counted. */
  sealedProblemsMax: 1_000,
  /** Versions of one key that are looked at; the oldest count. */
  sealVersionsMax: 1_000,
  /** Part of a blob that the disk cache of a bucket keeps as one file. */
  cacheChunkBytes: 1 * MIB,
  /** Default size of the disk cache of a bucket. */
  cacheBytesMax: 10 * GIB,
  /** Parts of blobs that wait to be written to the disk cache; more are not kept. */
  cacheWritesMax: 64,
  /** Blobs that `warm` brings at once. */
  cacheWarmsMax: 4,
  /** Parts of blobs that one open bucket keeps in memory too. */
  cacheMemoryBytesMax: 64 * MIB,
  /** What is read ahead of somebody who reads a blob from front to back. */
  cacheAheadBytes: 16 * MIB,
  /** What a search has fetched of its segments before it opens the first. */
  cachePrefetchBytes: 32 * MIB,
  /** Keys of one page of a bucket's listing. */
  s3ListKeysMax: 1_000,
  /** Wait for one whole answer of a key server (KES), whose own limit is 15 s. */
  kesAnswerTimeoutMs: 20_000,
  /** Default time for which a request to a key server is tried again. */
  kesRetryForMs: 10_000,
  /** Longest pause between two tries of a request to a key server. */
  kesRetryPauseMaxMs: 2_000,
  /** Tries of one request to a key server, however short they are. */
  kesTriesMax: 32,
  /** Answer of a key server. */
  kesAnswerBytesMax: MIB,
  /** Ciphertext of one data key, and the context that it is bound to. */
  kesSealedBytesMax: 64 * KIB,
  /** Requests to a key server at once. */
  kesRequestsMax: 8,
  /** Keys that one `kms status` tries. */
  kesStatusKeysMax: 100,
  /** One line or message with events of a bucket; a longer one is a gap. */
  eventBytesMax: 256 * KIB,
  /** Messages that a NATS server sends before some of them were read. */
  eventMessagesMax: 64,
  /** How often a source of events is asked to show that it lives. */
  eventPingMs: 3_000,
  /** Silence of a source of events after which its connection counts as lost. */
  eventSilenceMs: 15_000,
  /** Longest pause before a source of events is connected to again. */
  eventRetryPauseMaxMs: 30_000,
  /** Pause before a source of events is asked again that has none, or refused. */
  eventRefusedPauseMs: 600_000,
  /** The server's log has one line for all the gaps of this time. */
  eventGapLogMs: 60_000,
  /** File with the credentials for a NATS server. */
  natsCredentialsBytesMax: 64 * KIB,
  /** Collections that wait for a look because of events; beyond these, all are looked at. */
  remoteChangesMax: 1_024,
  /** Pause between two rounds of looks because of events. */
  remoteLookPauseMs: 100,
  /** Pause between two rounds that look at all collections. */
  remoteListPauseMs: 5_000,
  /** Quiet of a collection that others changed before the log owner merges its segments. */
  remoteMergeQuietMs: 2_000,
  /** How old a search's look at the head may be while events tell of other processes' commits. */
  followedHeadAgeMs: 1_000,
  /** Plaintext of one chunk of an envelope that is written. */
  envelopeChunkBytes: 64 * KIB,
  /** Plaintext of one chunk of an envelope that is read. */
  envelopeChunkBytesMax: MIB,
  /** Chunks of an envelope: its counter has 32 bits. */
  envelopeChunksMax: 2 ** 32,
  /** Decrypted chunks of blobs that one open bucket keeps in memory. */
  envelopeChunksKept: 256,
  /** Searches that wait for their audit entry in the server. */
  serverAuditSearchesMax: 1_000,
  /** Bytes of the searches that wait for their audit entry in the server. */
  serverAuditBytesMax: 4 * MIB,
} as const

export type LimitName = keyof typeof limits
