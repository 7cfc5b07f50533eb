import type { Metric } from './metric.ts'
import { compareIds } from './record-id.ts'

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

/**
 * Codes that coarse search reads in place of float32 rows: 'int8' (1 byte a component), 'binary'
 * (1 bit a component), 'pq' (product quantisation, 1 byte for 8 components).
 */
export const QUANTIZATIONS = ['int8', 'binary', 'pq'] as const
export type Quantization = (typeof QUANTIZATIONS)[number]

/** How good a segment's codes are, measured when they were made. JSON-ready. */
export interface CodesMeasure {
  readonly form: Quantization
  readonly k: number
  /** How many of the best by their codes were ranked again in float32. */
  readonly oversampling: number
  /** Rows whose nearest others were asked for. */
  readonly samples: number
  /** Share of the exact k nearest that were found, 0…1. */
  readonly recall: number
}

/** How a collection's segments are indexed; recorded in the manifest. */
export interface IndexParameters {
  readonly type: IndexType
  /** Links a row per level above 0; level 0 has 2·m. 2 ≤ m ≤ 64. */
  readonly m: number
  /** Candidates kept while building. m ≤ efConstruction ≤ 2,000. */
  readonly efConstruction: number
  /** Absent: int8. */
  readonly quantization?: Quantization
}

export const DEFAULT_INDEX: IndexParameters = { type: 'hnsw', m: 16, efConstruction: 200 }

/**
 * How components are stored where not as float32: 'f16' (IEEE 754 binary16, 2 bytes). Rows are
 * rounded as they come in, so that all that is computed of them is the same from then on.
 */
export const VECTOR_STORAGES = ['f16'] as const
export type VectorStorage = (typeof VECTOR_STORAGES)[number]

export interface VectorSpec {
  readonly kind: 'dense'
  readonly dimension: number
  readonly metric: Metric
  /** Absent: float32. */
  readonly storage?: VectorStorage
}

/** Bytes of a stored component. */
export const componentBytes = (storage: VectorStorage | undefined): number =>
  storage === 'f16' ? 2 : 4

/** What the dense vectors of a collection are. Equal ones are of equal bytes in a manifest. */
export const denseSpec = (
  dimension: number,
  { metric = 'cosine', storage }: Partial<Pick<VectorSpec, 'metric' | 'storage'>>,
): VectorSpec => ({
  kind: 'dense',
  dimension,
  metric,
  ...(storage === undefined ? {} : { storage }),
})

/** Sparse vectors: those that the payload field of this name holds. */
export interface SparseSpec {
  readonly kind: 'sparse'
}

export interface TextSchema {
  /** Payload fields with a BM25 index. */
  readonly fields: readonly string[]
  /** Its versioned name. */
  readonly tokenizer: 'plain/1'
  /** Where in its field each token stands is stored: phrases are found without the texts. */
  readonly positions?: true
}

/**
 * What a collection holds. Under "" stand the dense vectors, where there are any; every other name
 * is that of a payload field with sparse vectors.
 */
export interface Schema {
  readonly vectors: Readonly<Record<string, VectorSpec | SparseSpec>>
  readonly fields: Readonly<Record<string, FieldType>>
  readonly text: TextSchema
}

/** Fields with sparse vectors, in bytewise order: what is stored of them is numbered by it. */
export const sparseFieldsOf = ({ vectors }: Pick<Schema, 'vectors'>): string[] =>
  Object.keys(vectors)
    .filter((name) => vectors[name]?.kind === 'sparse')
    .sort(compareIds)
