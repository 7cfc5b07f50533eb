import type { Bitset } from '../core/bitset.ts'
import type { Metric } from '../core/metric.ts'
import type { IndexParameters } from '../core/schema.ts'

/** The vectors of one segment, row major, in row order. */
export interface SegmentVectors {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  /**
   * Pieces of whole rows, in order; together rows × dimension. Each piece may be released once
   * consumed.
   */
  readonly pieces: Iterable<Float32Array>
}

/**
 * What a build leaves to be stored. Decoded bytes are the same on every machine, for any number of
 * workers.
 */
export interface BuiltIndex {
  /** int8 codes and scales (role `codes`). */
  readonly codes: Uint8Array
  /** Links only (role `graph`); absent for 'flat' and below graphRowsMin. */
  readonly graph?: Uint8Array
}

export type ScanKind = 'graph' | 'scan-int8' | 'scan-f32'

export interface RowSearch {
  /** Shape (dimension,); need not be normalised. */
  readonly query: Float32Array
  readonly k: number
  readonly ef: number
  /** How to search; 'graph' needs a graph. */
  readonly kind: ScanKind
  /** Rows that may be returned. Absent: all. */
  readonly allowed?: Bitset
}

/**
 * Rows nearest first, ties by lower row; distances in float32 of the kernel (see exactDistance for
 * final scores).
 */
export interface RowHits {
  readonly rows: Uint32Array
  readonly distances: Float32Array
  /** Distances computed. */
  readonly evaluated: number
}

/**
 * One segment, loaded and searchable on the calling thread (synchronously: a search takes well
 * under a millisecond).
 */
export interface VectorIndex {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  readonly hasGraph: boolean
  readonly memoryBytes: number
  search(request: RowSearch): RowHits
  /** A view of one stored vector, as it came (valid until close). */
  vector(row: number): Float32Array
  close(): void
}

/**
 * Opens a stored segment. Codes absent: they are computed. Graph bytes are checked; INTEGRITY where
 * they do not fit.
 */
export interface OpenIndexInput extends SegmentVectors {
  readonly codes?: Uint8Array
  readonly graph?: Uint8Array
  readonly parameters: IndexParameters
}

/** Builds off the calling thread. One pool per store. */
export interface IndexBuilder {
  build(
    vectors: SegmentVectors,
    parameters: IndexParameters,
    signal?: AbortSignal,
  ): Promise<BuiltIndex>
  close(): Promise<void>
}
