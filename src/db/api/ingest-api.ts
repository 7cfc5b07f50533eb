import type { JsonValue } from '../../core/json.ts'
import type { Metric } from '../../core/metric.ts'
import type { IndexParameters, VectorStorage } from '../../core/schema.ts'
import type { OnProgress } from './progress.ts'

export interface IngestRequest {
  /** Files, folders, globs, or '-' (stdin). */
  readonly inputs: readonly string[]
  readonly stdin?: AsyncIterable<Uint8Array>
  readonly format?: 'csv' | 'jsonl' | 'parquet'
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly vectorColumns?: string
  readonly textColumns?: readonly string[]
  /** Columns with sparse vectors (see sparse-json.ts for their forms). */
  readonly sparseColumns?: readonly string[]
  readonly columns?: readonly string[]
  readonly types?: Readonly<Record<string, string>>
  readonly separator?: string
  readonly metric?: Metric
  /** Of a new collection, as `metric`. */
  readonly storage?: VectorStorage
  /** Of a new collection with text columns, as in `CreateOptions`. */
  readonly textPositions?: boolean
  readonly dimension?: number
  readonly onBadRow?: 'reject' | 'stop'
  /** Count, or share of the rows as '5%'. Default 0. */
  readonly maxRejects?: number | string
  readonly rejectsFile?: string
  /** Take files again that were already taken. */
  readonly again?: boolean
  readonly noIndex?: boolean
  readonly index?: Partial<IndexParameters>
  readonly onProgress?: OnProgress
  readonly onNote?: (note: string) => void
  readonly signal?: AbortSignal
}

export interface IngestFileResult {
  readonly path: string
  readonly sha256: string | null
  readonly rows: number
  readonly inserted: number
  readonly updated: number
  readonly rejected: number
  /** Already taken earlier (by digest and options). */
  readonly skipped: boolean
  /** Set where the whole file was refused. */
  readonly error?: { readonly code: string; readonly message: string }
}

export interface IngestResult {
  readonly collection: string
  readonly store: string
  readonly created: boolean
  readonly files: readonly IngestFileResult[]
  readonly inserted: number
  readonly updated: number
  readonly rejected: number
  readonly rejectsFile?: string
  readonly warnings: readonly {
    readonly code: string
    readonly count: number
    readonly message: string
  }[]
  readonly manifestVersion: number
  readonly stateRoot: string
  readonly elapsedMs: number
  /** Rejects went over maxRejects or files failed: exit 20. */
  readonly partial: boolean
}

/** `ingest -n`: what a file looks like to us. */
export interface IngestPreview {
  readonly path: string
  readonly format: string
  readonly columns: readonly {
    readonly name: string
    readonly use: 'id' | 'vector' | 'payload' | 'text' | 'ignored'
    readonly type: string
  }[]
  readonly dimension: number | null
  readonly notes: readonly string[]
  /** First rows as they would be stored. */
  readonly rows: readonly {
    readonly id: string
    readonly vector?: readonly number[]
    readonly payload: JsonValue
  }[]
  readonly rejects: readonly {
    readonly position: number
    readonly code: string
    readonly reason: string
  }[]
}
