import type { Bitset } from '../core/bitset.ts'
import type { Metric } from '../core/metric.ts'
import type { CodesMeasure, IndexParameters, Quantization } from '../core/schema.ts'
import type { SharedSegment } from './segment.ts'

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

/** The same where pieces may come one by one, from disk say, each valid until the next. */
export interface StreamedVectors extends Omit<SegmentVectors, 'pieces'> {
  readonly pieces: Iterable<Float32Array> | AsyncIterable<Float32Array>
}

/**
 * What a build leaves to be stored. Decoded bytes are the same on every machine, for any number of
 * workers.
 */
export interface BuiltIndex {
  /** Codes of the form that `IndexParameters.quantization` names (role `codes`). */
  readonly codes: Uint8Array
  /** Links only (role `graph`); absent for 'flat' and below graphRowsMin. */
  readonly graph?: Uint8Array
  /** Recall of codes other than int8; absent where there are too few rows to tell. */
  readonly measured?: CodesMeasure
}

/**
 * How a segment is searched. A scan of codes scans the codes that the segment has, whichever of the
 * three it is called: so a plan made for one form still runs where the codes were built anew as
 * another.
 */
export type ScanKind = 'graph' | 'scan-int8' | 'scan-binary' | 'scan-pq' | 'scan-f32'

export interface RowSearch {
  /** Shape (dimension,); need not be normalised. */
  readonly query: Float32Array
  readonly k: number
  readonly ef: number
  /** How to search; 'graph' needs a graph, 'scan-f32' needs the rows in memory. */
  readonly kind: ScanKind
  /** Rows that may be returned. Absent: all. */
  readonly allowed?: Bitset
  /**
   * How many of the best by their codes are ranked again in float32: k…searchEfMax. Absent: what
   * the form needs for k (rescoreCount). Without effect where float32 rows are walked or scanned.
   */
  readonly over?: number
  /**
   * Of searchRanked with 'scan-f32': how many, up to k, are to be the nearest by float64. All that
   * are as far as the last of them come too, which may be more than k. Default: the k nearest by
   * float32.
   */
  readonly certain?: number
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

/** Where a segment's float32 rows are while it is searched. */
export type Placement = 'memory' | 'disk'

/**
 * What another thread needs to search the same memory: plain data around shared memory and a
 * compiled module, to be sent with `postMessage` (structured clone; nothing is copied).
 */
export interface SharedIndex {
  readonly segment: SharedSegment
  /** How many threads may search at once; each takes a number of its own below it. */
  readonly contexts: number
}

/**
 * One segment, loaded and searchable on the calling thread (synchronously: a search takes well
 * under a millisecond).
 *
 * Where the rows are on disk a search is two steps with the reading of rows between them:
 * `candidates`, then `rescore` over the rows' vectors. With the k of the request the two give the
 * same bits as `search` gives where the rows are in memory.
 */
export interface VectorIndex {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  readonly hasGraph: boolean
  /** Form of the codes that coarse search reads. */
  readonly form: Quantization
  readonly placement: Placement
  /** No row has a larger norm. 0 where the rows are on disk. */
  readonly normMax: number
  /** Bytes that stay taken while it is open, links and scratch space of all contexts included. */
  readonly memoryBytes: number
  /**
   * The k nearest. @throws Error where the rows are on disk; DIMENSION_MISMATCH, BAD_INPUT, LIMIT
   * for a query that does not fit.
   */
  search(request: RowSearch): RowHits
  /**
   * The best `over` rows by what is in memory, for `rescore`; distances are rough and only give
   * their order. All rows that match where those are fewer than `over`. Float32 rows are not read,
   * but where the segment is walked in float32 (rows of up to 64 components, always in memory).
   * @throws as `search`
   */
  candidates(request: RowSearch): RowHits
  /**
   * Ranks rows by their vectors with the float32 arithmetic of `search`.
   * @param rows    at most searchEfMax row numbers, no more than the segment has
   * @param vectors shape (rows.length, dimension): the stored vectors of those rows, as they came
   * @param k       how many to return; default all
   * @returns nearest first, ties by lower row
   * @throws INTEGRITY where a vector has a component that is not finite; as `search` for the query
   */
  rescore(query: Float32Array, rows: Uint32Array, vectors: Float32Array, k?: number): RowHits
  /**
   * Float64 distances of rows, shape (rows.length,): the bits of exactDistance. Absent where only
   * `vector` gives them.
   * @throws RangeError for a row that is none; Error: rows on disk
   */
  distances?(query: Float32Array, rows: Uint32Array): Float64Array
  /** A view of one stored vector, as it came (valid until close). @throws Error: rows on disk */
  vector(row: number): Float32Array
  /**
   * A handle for `attachIndex` on another thread. Undefined where only this thread can search it
   * (hnswlib). The memory lives while any thread holds an index attached to it.
   */
  shared(): SharedIndex | undefined
  close(): void
}

/**
 * Bytes of a section: whole, or in pieces of any length, in order. Each piece may be released once
 * consumed.
 */
export type SectionBytes = Uint8Array | Iterable<Uint8Array>

/**
 * Opens a stored segment. Graph bytes are checked; INTEGRITY where they do not fit.
 *
 * `pieces` absent: the float32 rows stay on disk. That needs `codes` and more than 64 components
 * (see canStayOnDisk); else an Error.
 */
export interface OpenIndexInput extends Omit<SegmentVectors, 'pieces'> {
  readonly pieces?: Iterable<Float32Array>
  /** Absent: computed from the rows, in the form that the parameters name. */
  readonly codes?: SectionBytes
  readonly graph?: SectionBytes
  readonly parameters: IndexParameters
  /** Threads that may search at once, this one included: 1…searchThreadsMax; default 1. */
  readonly contexts?: number
}

type MaybeAsync<T> = Iterable<T> | AsyncIterable<T>

/** The same, read while it is opened, so that no section is ever whole in JavaScript's memory. */
export interface OpenIndexStream extends Omit<OpenIndexInput, 'pieces' | 'codes' | 'graph'> {
  readonly pieces?: MaybeAsync<Float32Array>
  /**
   * Puts all rows where they are to be, shape (rows × dimension,) in shared memory: instead of
   * `pieces`, where rows lie there without gaps.
   */
  readonly fill?: (into: Float32Array, signal?: AbortSignal) => Promise<void>
  /** Lets others have the thread, between the steps of what takes longer (openEarly). */
  readonly pause?: () => Promise<void>
  readonly codes?: MaybeAsync<Uint8Array>
  readonly graph?: MaybeAsync<Uint8Array>
}

/** An index that can be searched before its rows are in memory. */
export interface EarlyIndex {
  /** Its placement is 'disk'. */
  readonly index: VectorIndex
  /**
   * Reads the rows into the same memory and gives an index of placement 'memory' beside the first,
   * which may be searched meanwhile and afterwards. To be called once.
   * @throws INTEGRITY; the signal's reason
   */
  addRows(signal: AbortSignal): Promise<VectorIndex>
}

/** Builds off the calling thread. One pool per store. */
export interface IndexBuilder {
  build(
    vectors: StreamedVectors,
    parameters: IndexParameters,
    signal?: AbortSignal,
  ): Promise<BuiltIndex>
  close(): Promise<void>
}
