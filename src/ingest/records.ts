import type { JsonObject } from '../core/json.ts'
import type { Metric } from '../core/metric.ts'
import type { FieldType, VectorStorage } from '../core/schema.ts'

export type InputFormat = 'csv' | 'jsonl' | 'parquet'

/**
 * One record, checked: id by design §10, vector finite float32 of the right dimension, payload
 * without id and vector.
 */
export interface IngestRecord {
  readonly id: string
  /** Absent in a collection without vectors. */
  readonly vector?: Float32Array
  readonly payload: JsonObject
  /** Physical line (CSV, JSONL; from 1) or row (Parquet; from 0) where it starts. */
  readonly position: number
}

/**
 * Why a row was not taken. One JSON line each in the rejects file, with file and sha256 added
 * there.
 */
export interface Reject {
  readonly line?: number
  readonly row?: number
  /** Offset in the (decompressed) file, from 0. */
  readonly byte?: number
  readonly id?: string
  readonly column?: string
  /**
   * Stable: DIMENSION, NOT_FINITE, NO_VECTOR, NO_ID, BAD_ID, BAD_UTF8, BAD_JSON, FIELD_COUNT,
   * TYPE, …
   */
  readonly code: string
  readonly reason: string
  /** With DIMENSION: components that the vector has. */
  readonly found?: number
  /** At most 1,024 characters of the offending cell or line. */
  readonly raw?: string
}

export interface IngestBatch {
  readonly records: readonly IngestRecord[]
  readonly rejects: readonly Reject[]
  /** Rows read so far, taken or not (records, not lines): where a resumed read starts. */
  readonly rowsRead: number
  /** Bytes of the file (as stored, compressed) consumed so far, for progress. */
  readonly bytesRead: number
}

/** What to take from a file, as the flags of `ingest` say. */
export interface ReadOptions {
  readonly format?: InputFormat
  readonly idColumn?: string
  /**
   * Where no id column is found: the row number, from 0, is the id (`idColumn` of the plan is
   * then "").
   */
  readonly idFromRow?: boolean
  readonly vectorColumn?: string
  /** Glob over column names, one column a component, ordered by the number in the name. */
  readonly vectorColumns?: string
  readonly textColumns?: readonly string[]
  /** Columns with sparse vectors; they stay in the payload. */
  readonly sparseColumns?: readonly string[]
  /**
   * Those of the columns above that the collection asks for and nobody named for this file: lines
   * of JSON, whose keys come and go, may all lack them.
   */
  readonly indexedColumns?: readonly string[]
  /** Payload columns; absent: all others. */
  readonly columns?: readonly string[]
  /** Column → demanded type. */
  readonly types?: Readonly<Record<string, FieldType>>
  /** CSV separator; absent: guessed among , ; tab |. */
  readonly separator?: string
  /** The collection's, where it exists; absent: the first row's decides, and is said. */
  readonly dimension?: number
  /** false: the collection has no vectors (text only). */
  readonly vectors?: boolean
  readonly metric: Metric
  /** What components are rounded to; absent: float32. */
  readonly storage?: VectorStorage
  /** Field types that the collection's schema already has (CSV columns keep them). */
  readonly fields?: Readonly<Record<string, FieldType>>
  /** Rows to skip: a resumed read. */
  readonly skipRows?: number
}

/** What was guessed and found, known before the first batch. */
export interface SourcePlan {
  readonly format: InputFormat
  readonly compression?: 'gzip' | 'zstd'
  readonly separator?: string
  readonly idColumn: string
  readonly vectorColumns: readonly string[]
  readonly dimension?: number
  readonly textColumns: readonly string[]
  /** Payload columns and their types, in file order. */
  readonly fields: Readonly<Record<string, FieldType>>
  readonly columns: readonly string[]
  /** Sentences for the operator: what was guessed. */
  readonly notes: readonly string[]
}

/** An input file opened for reading. */
export interface RecordSource {
  readonly plan: SourcePlan
  /**
   * Warnings counted so far: code → count (for example TYPE_MISFIT). Grows while batches are
   * read.
   */
  readonly warnings: ReadonlyMap<string, number>
  batches(signal?: AbortSignal): AsyncIterable<IngestBatch>
  close(): Promise<void>
}

/** Where bytes come from: a file or stdin. */
export interface InputBytes {
  /** For messages and rejects; base name goes into the manifest. */
  readonly name: string
  /** Absent for a pipe. */
  readonly bytes?: number
  /** Random access (Parquet); absent for a pipe. */
  readAt?(offset: number, bytes: number): Promise<Uint8Array>
  /**
   * Pieces in order. A source calls it once at most; what it looks at beforehand it takes by
   * `readAt`.
   */
  stream(): AsyncIterable<Uint8Array>
  close(): Promise<void>
}
