import type { Fusion } from '../../search/fusion.ts'
import type { RecommendStrategy } from '../../search/recommend.ts'
import type { Hit, SearchPlan, StoredRecord, TextSearch } from './search-api.ts'

export type { Fusion, HybridFusion } from '../../search/fusion.ts'
export type { RecommendStrategy } from '../../search/recommend.ts'

/** A value of a payload field. */
export type FieldValue = string | number | bigint | boolean

/** Hits that differ from each other: maximal marginal relevance. */
export interface Diversity {
  /** 0: by nearness alone … 1: by difference alone. */
  readonly diversity: number
  /** Nearest records that are chosen from; k + offset ≤ candidates ≤ 1,000; default 100 or k. */
  readonly candidates?: number
}

/** Records to be like and unlike, by id or vector; named records are left out of the hits. */
export interface Recommendation {
  readonly positive?: readonly (string | Float32Array)[]
  readonly negative?: readonly (string | Float32Array)[]
  /** Default average_vector, which needs a positive one. */
  readonly strategy?: RecommendStrategy
}

/**
 * By the values of a field: numbers, then texts by their bytes; or times, where the schema or `as`
 * says so. Of an array the lowest value counts (descending: the highest). A record without a value
 * is left out.
 */
export interface OrderBy {
  readonly key: string
  readonly direction?: 'asc' | 'desc'
  readonly as?: 'datetime'
  /** The first value, itself included. */
  readonly startFrom?: string | number | bigint
}

/** Components of a sparse vector: u32 indices, each once, and their f32 values. */
export interface SparseVectorInput {
  readonly indices: Uint32Array
  readonly values: Float32Array
}

/** What ranks the hits of a node; exactly one of these. */
export type RankBy =
  | { readonly vector: Float32Array; readonly mmr?: Diversity }
  /** The vector of this record, which is left out of the hits. */
  | { readonly id: string; readonly mmr?: Diversity }
  | { readonly text: string | TextSearch }
  /** Dot product with the sparse vectors of this name; records that share no index are left out. */
  | { readonly sparse: SparseVectorInput; readonly using: string }
  | { readonly recommend: Recommendation }
  /** Of the lists of `prefetch`. */
  | { readonly fusion: Fusion }
  | { readonly orderBy: OrderBy }
  /** By a hash of the seed (a whole number, default 0) and the id: the same at every call. */
  | { readonly sample: { readonly seed?: number } }

/** One ranking; with `prefetch`, of nothing but what those found. */
export interface QueryNode {
  /** Depth and number of nodes: queryDepthMax and queryNodesMax. */
  readonly prefetch?: readonly QueryNode[]
  readonly query: RankBy
  /** Holds for the nodes of `prefetch` too. */
  readonly filter?: unknown
  /** Default 10; k + offset ≤ 10,000. */
  readonly k?: number
  readonly ef?: number
  readonly exact?: boolean
  /** Hits of a lower score are left out. */
  readonly scoreThreshold?: number
  /** Hits left out at the beginning. */
  readonly offset?: number
}

export interface QueryRequest extends QueryNode {
  /** One list of hits for each value of this field, best first; an array counts in each of its. */
  readonly groupBy?: string
  /** Hits of a group; default 3. */
  readonly groupSize?: number
  /** Default k; groups × groupSize ≤ 10,000, groups ≤ 1,000. */
  readonly groups?: number
  /** Version, label, state root, or ISO 8601 time with zone. */
  readonly asOf?: string
  readonly withPayload?: boolean
  readonly withVector?: boolean
  readonly withSource?: boolean
  /** These two as of SearchRequest. */
  readonly offThread?: boolean
  readonly cached?: boolean
  readonly signal?: AbortSignal
}

export interface HitGroup {
  readonly value: FieldValue
  readonly hits: readonly Hit[]
}

export interface QueryResult {
  /** With `groupBy`: those of all groups, one after another. */
  readonly hits: readonly Hit[]
  readonly groups?: readonly HitGroup[]
  readonly plan: SearchPlan
  readonly stateRoot: string
}

export interface CountRequest {
  readonly filter?: unknown
  readonly asOf?: string
  readonly signal?: AbortSignal
}

export interface CountResult {
  readonly count: number
  readonly stateRoot: string
}

export interface FacetRequest extends CountRequest {
  readonly key: string
  /** Values that are named, the most frequent first; default 10, at most 10,000. */
  readonly limit?: number
}

export interface FacetResult {
  readonly key: string
  /** Records a value; ties: booleans, numbers, texts, each in their order. */
  readonly values: readonly { readonly value: FieldValue; readonly count: number }[]
  /** Different values, named or not. */
  readonly distinct: number
  /** Records that were looked at. */
  readonly count: number
  readonly stateRoot: string
}

export interface ScrollRequest {
  readonly filter?: unknown
  /** Records of a page; default 10, at most 10,000. */
  readonly k?: number
  /** From the page before: this one goes on behind it, in the same state. */
  readonly cursor?: string
  /** Default: bytewise order of the ids. */
  readonly orderBy?: OrderBy
  /** State of the first page; the head where absent. Not with `cursor`. */
  readonly asOf?: string
  readonly withPayload?: boolean
  readonly withVector?: boolean
  readonly withSource?: boolean
  readonly signal?: AbortSignal
}

export interface RecordPage {
  readonly records: readonly StoredRecord[]
  /** Absent behind the last page. */
  readonly cursor?: string
  readonly stateRoot: string
}

/** What a collection answers beside `search`. Each sees one state. */
export interface Queries {
  /**
   * Queries built of queries: prefetch, fusion, groups, recommendation, order, sample.
   *
   * @throws USAGE, BAD_INPUT, DIMENSION_MISMATCH, LIMIT, NOT_FOUND
   */
  query(request: QueryRequest): Promise<QueryResult>
  /** How many records pass a filter; exact. */
  count(request?: CountRequest): Promise<CountResult>
  /** How many records hold each value of a field; exact. @throws USAGE, LIMIT, NOT_FOUND */
  facet(request: FacetRequest): Promise<FacetResult>
  /**
   * All records, page by page. Pages never shift: each cursor names the state of the first page.
   *
   * @throws BAD_INPUT for no cursor, USAGE for one of another request, NOT_FOUND where its state is
   *   gone
   */
  scroll(request?: ScrollRequest): Promise<RecordPage>
}
