import type { Metric } from './metric.ts'

export const FIELD_TYPES = [
  'string',
  'integer',
  'float',
  'boolean',
  'datetime',
  'decimal',
  'json',
] as const
/**
 * Type of a payload field. `json`: anything else, nested or mixed. `decimal`: exact digits kept as
 * text.
 */
export type FieldType = (typeof FIELD_TYPES)[number]

/**
 * Name in the manifest: 'hnsw' (our kernel), 'flat' (no graph), 'hnswlib' (optional provider, cache
 * only).
 */
export const INDEX_TYPES = ['hnsw', 'flat', 'hnswlib'] as const
export type IndexType = (typeof INDEX_TYPES)[number]

/** How a collection's segments are indexed; recorded in the manifest. */
export interface IndexParameters {
  readonly type: IndexType
  /** Links a row per level above 0; level 0 has 2·m. 2 ≤ m ≤ 64. */
  readonly m: number
  /** Candidates kept while building. m ≤ efConstruction ≤ 2,000. */
  readonly efConstruction: number
}

export const DEFAULT_INDEX: IndexParameters = { type: 'hnsw', m: 16, efConstruction: 200 }

export interface VectorSpec {
  readonly kind: 'dense'
  readonly dimension: number
  readonly metric: Metric
}

/** What a collection holds. `vectors` has no entry for text alone; its one name today is "". */
export interface Schema {
  readonly vectors: Readonly<Record<string, VectorSpec>>
  readonly fields: Readonly<Record<string, FieldType>>
  /** Payload fields with a BM25 index, and the tokenizer's versioned name. */
  readonly text: { readonly fields: readonly string[]; readonly tokenizer: 'plain/1' }
}
