import { float32Of } from '../../core/float32-input.ts'
import { stringifyJson } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { isFiniteVector } from '../../core/metric.ts'
import { AkidbError, DimensionMismatchError } from '../../errors/errors.ts'
import { parseFilter } from '../../search/filter.ts'
import { checkHybridFusion, fuseHybrid, type RankedHit } from '../../search/fusion.ts'
import type { TextSearch } from '../../search/text-query.ts'
import type { Hit, SearchPlan, SearchRequest, SearchResult } from '../api/api.ts'
import { checkRequest } from '../api/check-call.ts'
import { checkText } from '../api/check-query.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { getRecord, payloadAt, sourceAt, vectorAt } from '../collection/records.ts'
import { type View, vectorSpecOf } from '../segment/view.ts'
import { searchByText } from './search-text.ts'
import {
  type CheckedSearch,
  FEW_SEARCHES,
  type RankedRecord,
  searchByVector,
  startVectorSearch,
} from './search-vector.ts'
import { underWay } from './under-way.ts'

export const DEFAULT_K = 10
/** ef where the caller names none. */
export const DEFAULT_EF = 128
/** Hits of each part of a hybrid search: so many times k, and so many at least. */
const HYBRID_DEPTH = 5
const HYBRID_DEPTH_MIN = 50

/**
 * Searches one state by vector, by the vector of a record, by words, or by vector and words.
 *
 * @throws USAGE for a request of neither, DIMENSION_MISMATCH, BAD_INPUT (a query that is not
 *   finite), LIMIT, NOT_FOUND
 */
export async function runSearch(
  core: CollectionCore,
  request: SearchRequest,
): Promise<SearchResult> {
  const search = checkSearch(request)
  return await underWay(core, request, (course) =>
    core.read(request.asOf, (view) =>
      core.answer(view, 'search', request, async () => {
        const ranked = await rankRecords(core, view, request, { ...search, ...course() })
        return await completeResult(core, view, request, ranked)
      }),
    ),
  )
}

/** Hits in their order, without what is fetched for each. */
export interface RankedHits {
  readonly hits: readonly RankedRecord[]
  readonly plan: SearchPlan
}

/** The first half of a search: which records, in which order. @throws as runSearch */
export async function rankRecords(
  core: CollectionCore,
  view: View,
  request: SearchRequest,
  search: CheckedSearch,
): Promise<RankedHits> {
  const vector = await queryVector(core, view, request)
  const { text } = request
  const excluded = request.id === undefined ? undefined : [request.id]
  if (vector !== undefined && text !== undefined) {
    return await hybrid(core, view, { vector, text, search, request, excluded })
  }
  if (vector !== undefined) return await searchByVector(core, view, { vector, search, excluded })
  if (text !== undefined) return await searchByText(core, view, { text, search })
  throw new AkidbError('USAGE', 'a search needs a vector, an id or a text')
}

/** The second half: payloads, vectors and sources of the hits, as asked for. */
export async function completeResult(
  core: CollectionCore,
  view: View,
  request: SearchRequest,
  { hits, plan }: RankedHits,
): Promise<SearchResult> {
  request.signal?.throwIfAborted()
  const complete = await completeHits(core, view, hits, request)
  return { hits: complete, plan, stateRoot: view.manifest.commit.stateRoot }
}

/** What a request asks for, within the limits. @throws USAGE, BAD_INPUT, LIMIT */
export function checkSearch(request: SearchRequest): CheckedSearch {
  checkRequest('search', request)
  const k = request.k ?? DEFAULT_K
  const ef = request.ef ?? Math.max(DEFAULT_EF, 2 * k)
  if (!Number.isSafeInteger(k) || k < 1)
    throw new AkidbError('BAD_INPUT', `k is ${k}; it is at least 1`)
  if (k > limits.searchCountMax) {
    throw new AkidbError('LIMIT', `k ${k} is over searchCountMax (${limits.searchCountMax})`)
  }
  if (!Number.isSafeInteger(ef) || ef < 1)
    throw new AkidbError('BAD_INPUT', `ef is ${ef}; it is at least 1`)
  if (ef > limits.searchEfMax) {
    throw new AkidbError('LIMIT', `ef ${ef} is over searchEfMax (${limits.searchEfMax})`)
  }
  if (request.text !== undefined) checkText(request.text)
  if (request.fusion !== undefined) checkHybridFusion(request.fusion)
  const filter = request.filter === undefined ? undefined : parseFilter(request.filter)
  const filterText = filter === undefined ? undefined : textOf(request.filter)
  return { k, ef, exact: request.exact === true, filter, filterText, signal: request.signal }
}

/** A filter as text; it was read, so that it can be written. */
const textOf = (filter: unknown): string | undefined => {
  try {
    return stringifyJson(filter)
  } catch {
    // Wide integers and the like: such a filter is not kept.
    return undefined
  }
}

export async function queryVector(
  core: CollectionCore,
  view: View,
  request: SearchRequest,
): Promise<Float32Array | undefined> {
  if ((request.vector ?? request.id ?? undefined) === undefined) return undefined
  const spec = vectorSpecOf(view.manifest.state.schema)
  if (spec === undefined) {
    throw new AkidbError('USAGE', `collection "${core.name}" holds no vectors`, {
      hint: 'Search it by text.',
    })
  }
  const given = request.vector ?? (await vectorOf(core, view, request.id as string))
  if (given.length !== spec.dimension) {
    throw new DimensionMismatchError(core.name, spec.dimension, given.length)
  }
  const vector = float32Of(given)
  if (!isFiniteVector(vector)) {
    throw new AkidbError('BAD_INPUT', 'the query vector holds a value that is not finite')
  }
  return vector
}

async function vectorOf(core: CollectionCore, view: View, id: string): Promise<Float32Array> {
  const parts = { payload: false, vector: true, source: false }
  const record = await getRecord(core, view, id, parts)
  if (record?.vector !== undefined) return record.vector
  throw new AkidbError('NOT_FOUND', `collection "${core.name}" has no record "${id}"`, {
    details: { collection: core.name, id },
  })
}

interface HybridQuery {
  readonly vector: Float32Array
  readonly text: string | TextSearch
  readonly search: CheckedSearch
  readonly request: SearchRequest
  readonly excluded: readonly string[] | undefined
}

async function hybrid(
  core: CollectionCore,
  view: View,
  query: HybridQuery,
): Promise<{ hits: RankedRecord[]; plan: SearchPlan }> {
  const { vector, text, search, request, excluded } = query
  const wanted = Math.max(HYBRID_DEPTH_MIN, HYBRID_DEPTH * search.k)
  const depth = Math.min(limits.searchCountMax, wanted)
  const deep = { ...search, k: depth, ef: Math.max(search.ef, depth) }
  // A process that goes on searching has workers walk the vectors while this thread reads words.
  const parallel = search.parallel === true || core.searchCount > FEW_SEARCHES
  const nearest = await startVectorSearch(core, view, {
    vector,
    search: { ...deep, parallel },
    excluded,
  })
  const found = await searchByText(core, view, { text, search: deep })
  const near = await nearest()
  const words = { ...found, hits: found.hits.filter(({ id }) => excluded?.includes(id) !== true) }
  const fusion = request.fusion ?? { kind: 'rrf' }
  const fused: RankedHit[] = fuseHybrid(near.hits, words.hits, fusion)
  const places = new Map([...words.hits, ...near.hits].map((hit) => [hit.id, hit]))
  const hits = fused.slice(0, search.k).map(({ id, score }) => {
    const { place } = places.get(id) as RankedRecord
    return place === undefined ? { id, score } : { id, score, place }
  })
  const plan = { kind: 'hybrid', k: search.k, fusion, depth, vector: near.plan, text: words.plan }
  return { hits, plan }
}

/** The hits with the parts that were asked for. */
export async function completeHits(
  core: CollectionCore,
  view: View,
  hits: readonly RankedRecord[],
  request: SearchRequest,
): Promise<Hit[]> {
  const parts = {
    payload: request.withPayload !== false,
    vector: request.withVector === true,
    source: request.withSource === true,
  }
  const isWanted = parts.payload || parts.vector || parts.source
  const complete: Hit[] = []
  for (const { id, score, distance, place } of hits) {
    const hit: OwnHit = distance === undefined ? { id, score } : { id, score, distance }
    complete.push(hit)
    if (!isWanted) continue
    if (place === undefined) {
      const record = await getRecord(core, view, id, parts)
      if (parts.payload && record !== undefined) hit.payload = record.payload
      if (record?.vector !== undefined) hit.vector = record.vector
      continue
    }
    if (parts.payload) {
      // Most are in memory: a promise for each would take longer than they do.
      const payload = payloadAt(view, place)
      hit.payload = payload instanceof Promise ? await payload : payload
    }
    const vector = parts.vector ? await vectorAt(view, place) : undefined
    if (vector !== undefined) hit.vector = vector
    const source = parts.source ? await sourceAt(core, view, place) : undefined
    if (source !== undefined) hit.source = source
  }
  return complete
}

/** A hit that is being made. */
type OwnHit = { -readonly [Part in keyof Hit]: Hit[Part] }
