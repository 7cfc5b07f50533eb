import type { JsonObject } from '../../core/json.ts'
import type { Metric } from '../../core/metric.ts'
import type {
  CodesMeasure,
  IndexParameters,
  Quantization,
  Schema,
  VectorStorage,
} from '../../core/schema.ts'
import type { BucketOptions, StatusOptions } from './bucket-options.ts'
import type { IngestPreview, IngestRequest, IngestResult } from './ingest-api.ts'
import type { OnProgress } from './progress.ts'
import type { Queries, SparseVectorInput } from './query-api.ts'
import type { RemoteNews } from './remote-api.ts'
import type {
  BatchOptions,
  BatchSearch,
  ScanOptions,
  SearchRequest,
  SearchResult,
  StoredRecord,
} from './search-api.ts'

export type { StatusOptions } from './bucket-options.ts'
export type * from './ingest-api.ts'
export type * from './progress.ts'
export type * from './query-api.ts'
export type * from './search-api.ts'

export interface Warning {
  readonly code: string
  readonly message: string
}

export interface OpenOptions extends BucketOptions {
  /** Folder, or `s3://bucket/prefix` of sealed collections, to be read where they lie. */
  readonly url: string
  /** 'read' changes nothing and works on a read-only medium. */
  readonly mode: 'read' | 'write'
  /** State folder; default <url>/local. */
  readonly state?: string
  /** Worker threads that build indexes, and as many that search; default: cores, at most 8. */
  readonly threads?: number
  /**
   * Memory that the vector indexes of open segments may take together, index builds included;
   * default: half of the machine's or the container's. Where it is too small for all vectors, those
   * of some segments stay on disk. Filter and text indexes, payload pages and Node itself come on
   * top.
   */
  readonly memoryBytes?: number
  /** Answers of searches that are kept (see SearchRequest.cached); 0: none. */
  readonly resultCacheBytes?: number
  readonly lockWaitMs?: number
  /** Whom sudo runs this process for, where it does: goes into the audit log. */
  readonly sudoUser?: string
  /** Command line for lock messages and the audit log. */
  readonly command?: string
  /** Goes into the audit log. */
  readonly reason?: string
  readonly onWarning?: (warning: Warning) => void
}

export type PayloadInput = JsonObject | Readonly<Record<string, unknown>>

export interface RecordInput {
  readonly id: string | number | bigint
  readonly vector?: Float32Array
  /** JSON values (bigint for wide integers). */
  readonly payload?: PayloadInput
  /** Sparse vectors by name: they become payload fields {indices, values} of those names. */
  readonly sparse?: Readonly<Record<string, SparseVectorInput>>
}

export interface CollectionInfo {
  readonly collection: string
  readonly dimension: number | null
  readonly metric: Metric | null
  readonly count: number
  readonly manifestVersion: number
  readonly stateRoot: string
  readonly segments: readonly {
    readonly rows: number
    readonly deleted: number
    readonly bytes: number
    readonly graph: boolean
    readonly blobs: Readonly<Record<string, number>>
    /** Where its vectors lie while it is searched within the budget; absent without vectors. */
    readonly memory?: SegmentMemoryInfo
  }[]
  readonly sources: readonly {
    readonly name: string
    readonly sha256: string
    readonly rows: number
    readonly rejected: number
  }[]
  readonly schema: Schema
  readonly index: IndexParameters
  readonly bytes: number
  /** Absent without vectors. */
  readonly memory?: {
    /** What the open segments of the store may take together. Bytes. */
    readonly budget: number
    /** What searching this collection takes within it; more where that is too small. */
    readonly needed: number
    /** The least budget that it can be searched with. */
    readonly least: number
  }
  readonly following?: string
}

/** Bytes of one segment that is searched by vector. */
export interface SegmentMemoryInfo {
  /** Where the float32 rows are. */
  readonly vectors: 'memory' | 'disk'
  /** Float32 rows, in memory or on disk. */
  readonly vectorBytes: number
  /** Codes in memory. */
  readonly codeBytes: number
  /** Links in memory. */
  readonly linkBytes: number
}

export interface LogEntry {
  readonly version: number
  readonly committedAt: string
  readonly act: string
  readonly actor: string
  readonly inserted: number
  readonly deleted: number
  readonly updated: number
  readonly source?: string
  readonly stateRoot: string
  readonly labels: readonly string[]
}

export interface DiffResult {
  readonly a: { readonly version: number; readonly stateRoot: string }
  readonly b: { readonly version: number; readonly stateRoot: string }
  readonly inserted: number
  readonly deleted: number
  readonly updated: number
  /** Changed ids, bytewise order, at most `limit`. */
  readonly changes: readonly {
    readonly id: string
    readonly change: 'inserted' | 'deleted' | 'updated'
  }[]
}

export interface SnapshotInfo {
  readonly label: string
  readonly stateRoot: string
  readonly version: number
  readonly committedAt: string
}

export interface CreateOptions {
  readonly dimension?: number
  readonly metric?: Metric
  /** Half the bytes on disk, each component rounded as it comes in; absent: float32. */
  readonly storage?: VectorStorage
  readonly textFields?: readonly string[]
  /** Payload fields with sparse vectors. */
  readonly sparseFields?: readonly string[]
  /** Phrases are found without reading texts, for about twice the bytes of the text index. */
  readonly textPositions?: boolean
  readonly index?: Partial<IndexParameters>
}

export interface WriteResult {
  readonly inserted: number
  readonly updated: number
  readonly deleted: number
  readonly manifestVersion: number
  readonly stateRoot: string
}

export interface Collection extends Queries {
  readonly name: string
  readonly id: string
  info(options?: { asOf?: string }): Promise<CollectionInfo>
  /** Durable when it resolves: through the write-ahead log, with group commit. */
  upsert(records: readonly RecordInput[]): Promise<void>
  delete(what: {
    ids?: readonly string[]
    filter?: unknown
    source?: string
  }): Promise<{ deleted: number }>
  get(
    ids: readonly string[],
    options?: { asOf?: string; withVector?: boolean },
  ): Promise<readonly (StoredRecord | undefined)[]>
  scan(options?: ScanOptions): AsyncIterable<StoredRecord>
  search(request: SearchRequest): Promise<SearchResult>
  /**
   * Many searches of one state, in the order asked for, each as `search` answers it, byte for byte.
   * The state is the newest when the first query is taken, or `asOf`, whatever writers do. Up to
   * limits.batchSearchesMax are under way on all threads while the caller reads; queries are taken
   * from their iterable as they are needed.
   *
   * @throws as search; the first failure ends the batch
   */
  searchBatch(
    requests: Iterable<BatchSearch> | AsyncIterable<BatchSearch>,
    options?: BatchOptions,
  ): AsyncIterable<SearchResult>
  ingest(request: IngestRequest): Promise<IngestResult>
  preview(request: IngestRequest): Promise<readonly IngestPreview[]>
  log(options?: { limit?: number }): AsyncIterable<LogEntry>
  diff(a: string, b: string, options?: { limit?: number }): Promise<DiffResult>
  revert(to: string, options?: { dryRun?: boolean }): Promise<WriteResult>
  readonly snapshots: {
    create(label: string): Promise<SnapshotInfo>
    list(): Promise<readonly SnapshotInfo[]>
    drop(label: string): Promise<void>
  }
  /** Commits what the write-ahead log holds (a log owner only; else nothing). */
  flush(): Promise<void>
  buildIndex(options?: {
    index?: Partial<IndexParameters>
    again?: boolean
    onProgress?: OnProgress
    signal?: AbortSignal
  }): Promise<{ segments: number; elapsedMs: number }>
  indexStatus(): Promise<
    readonly {
      rows: number
      type: string
      graph: boolean
      m: number
      efConstruction: number
      quantization: Quantization
      /** Recall of the codes alone with rescoring, where they are other than int8. */
      measured?: CodesMeasure
      bytes: number
    }[]
  >
  /** recall@k against exact search of `samples` stored vectors. */
  recall(options?: {
    k?: number
    ef?: number
    samples?: number
  }): Promise<{ recall: number; k: number; ef: number; samples: number }>
  compact(options?: {
    onProgress?: OnProgress
    signal?: AbortSignal
  }): Promise<{ before: number; after: number; rows: number }>
}

export interface CheckResult {
  readonly ok: boolean
  readonly problems: readonly {
    readonly code: string
    readonly key: string
    readonly message: string
  }[]
  readonly blobs: number
  readonly bytes: number
}

export interface GcResult {
  readonly manifests: number
  readonly blobs: number
  /** Single writes that were never committed, of collections that are gone. */
  readonly logPieces: number
  readonly bytes: number
  readonly kept: number
}

export interface Store extends RemoteNews {
  readonly id: string
  readonly url: string
  readonly mode: 'read' | 'write'
  readonly stateFolder: string
  createCollection(name: string, options?: CreateOptions): Promise<Collection>
  /** @throws NOT_FOUND where there is none */
  collection(name: string): Promise<Collection>
  /**
   * A collection that may not exist yet: its `ingest` makes it, its `preview` says what that would
   * take. Everything else of it is NOT_FOUND until then, and its `id` is ''. Nothing is read or
   * made by this call.
   *
   * @throws USAGE for a name that no collection can have
   */
  prospect(name: string): Collection
  list(options?: { replays?: boolean }): Promise<readonly CollectionInfo[]>
  /**
   * @param options.id of the collection that is meant: CONFLICT where it was dropped meanwhile and
   *   another one has its name
   */
  drop(name: string, options?: { id?: string }): Promise<{ rows: number }>
  check(options?: {
    readData?: boolean
    onProgress?: OnProgress
    signal?: AbortSignal
  }): Promise<CheckResult>
  repair(options?: {
    from?: string
    dryRun?: boolean
    onProgress?: OnProgress
  }): Promise<{ repaired: readonly string[]; missing: readonly string[] }>
  gc(options?: { keepMs?: number; dryRun?: boolean }): Promise<GcResult>
  upgrade(options?: {
    dryRun?: boolean
  }): Promise<{ changed: readonly string[]; loses: readonly string[] }>
  status(options?: StatusOptions): Promise<Readonly<Record<string, unknown>>>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
