import type { JsonObject } from '../../core/json.ts'
import type { HybridFusion } from '../../search/fusion.ts'
import type { TextSearch } from '../../search/text-query.ts'

export type { TextSearch } from '../../search/text-query.ts'

/** Which file and row a record came from. */
export interface RecordSourceInfo {
  readonly file: string
  readonly sha256: string
  /** Line (CSV, JSONL; from 1) or row (Parquet; from 0). */
  readonly row: number
}

export interface StoredRecord {
  readonly id: string
  readonly vector?: Float32Array
  readonly payload: JsonObject
  readonly source?: RecordSourceInfo
}

export interface Hit {
  readonly id: string
  /** Higher is nearer. */
  readonly score: number
  /** Lower is nearer; vector searches only. */
  readonly distance?: number
  readonly payload?: JsonObject
  readonly vector?: Float32Array
  readonly source?: RecordSourceInfo
}

export interface SearchRequest {
  readonly vector?: Float32Array
  /** Search by the vector of this record (it is left out of the hits). */
  readonly id?: string
  /** Words, "phrases" and beginnings* of words; or the same in parts, with weights of fields. */
  readonly text?: string | TextSearch
  /** With vector and text: how they are fused. Default rrf. */
  readonly fusion?: HybridFusion
  /** 1 ≤ k ≤ 10,000; default 10. */
  readonly k?: number
  /** Default max(128, 2k) or so; recorded in the plan. */
  readonly ef?: number
  readonly exact?: boolean
  /** Filter in the one JSON language (parsed JSON, plain or Map). */
  readonly filter?: unknown
  /** Version, label, state root, or ISO 8601 time with zone. */
  readonly asOf?: string
  readonly withPayload?: boolean
  readonly withVector?: boolean
  readonly withSource?: boolean
  /**
   * Search on a worker thread where one runs, though it be the only search: what else the calling
   * thread does goes on meanwhile. Without it that is so for several searches at once, and for one
   * that will take milliseconds.
   */
  readonly offThread?: boolean
  /**
   * Whether the answer may be that of an earlier search of the same state: same request, same hits,
   * and the plan of then. Default true.
   */
  readonly cached?: boolean
  readonly signal?: AbortSignal
}

/** Which records a scan gives, in the order of their storage, and what of each. */
export interface ScanOptions {
  readonly filter?: unknown
  readonly asOf?: string
  readonly withVector?: boolean
  readonly withSource?: boolean
  readonly signal?: AbortSignal
}

/** How a batch is searched. */
export interface BatchOptions {
  readonly asOf?: string
  readonly signal?: AbortSignal
  /**
   * Opens the vectors while the first query is still being read or made. A promise: as soon as it
   * says so; its failure is a no.
   */
  readonly preload?: boolean | Promise<boolean>
}

/** One query of a batch; state and signal are those of the batch. */
export interface BatchSearch
  extends Omit<SearchRequest, 'asOf' | 'signal' | 'offThread' | 'cached'> {}

/** JSON-ready: what was done and why. `segments` only with explain. */
export interface SearchPlan {
  readonly kind: string
  readonly [detail: string]: unknown
}

export interface SearchResult {
  readonly hits: readonly Hit[]
  readonly plan: SearchPlan
  readonly stateRoot: string
}
