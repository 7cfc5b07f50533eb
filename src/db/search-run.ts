import { limits } from '../core/limits.ts'
import { AkidbError, DimensionMismatchError } from '../errors/errors.ts'
import { parseFilter } from '../search/filter.ts'
import { type RankedHit, reciprocalRank, weightedLinear } from '../search/fusion.ts'
import type { Hit, SearchPlan, SearchRequest, SearchResult } from './api.ts'
import type { CollectionCore } from './collection-core.ts'
import { getRecord } from './records.ts'
import { searchByText } from './search-text.ts'
import { type CheckedSearch, type RankedRecord, searchByVector } from './search-vector.ts'
import { type View, vectorSpecOf } from './view.ts'

export const DEFAULT_K = 10
/** ef where the caller names none. */
export const DEFAULT_EF = 128
/** Hits of each part of a hybrid search, in multiples of k. */
const HYBRID_DEPTH = 5

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
  return await core.read(request.asOf, (view) => searchView(core, view, request, search))
}

async function searchView(
  core: CollectionCore,
  view: View,
  request: SearchRequest,
  search: CheckedSearch,
): Promise<SearchResult> {
  const vector = await queryVector(core, view, request)
  const { text } = request
  let found: { hits: readonly RankedRecord[]; plan: SearchPlan }
  const excluded = request.id === undefined ? undefined : [request.id]
  if (vector !== undefined && text !== undefined) {
    found = await hybrid(core, view, { vector, text, search, request, excluded })
  } else if (vector !== undefined) {
    found = await searchByVector(core, view, { vector, search, excluded })
  } else if (text !== undefined) {
    found = await searchByText(core, view, { text, search })
  } else {
    throw new AkidbError('USAGE', 'a search needs a vector, an id or a text')
  }
  request.signal?.throwIfAborted()
  const hits = await completeHits(core, view, found.hits, request)
  return { hits, plan: found.plan, stateRoot: view.manifest.commit.stateRoot }
}

function checkSearch(request: SearchRequest): CheckedSearch {
  const k = request.k ?? DEFAULT_K
  const ef = request.ef ?? Math.max(DEFAULT_EF, 2 * k)
  if (!Number.isSafeInteger(k) || k < 1)
    throw new AkidbError('USAGE', `k is ${k}; it is at least 1`)
  if (k > limits.searchCountMax) {
    throw new AkidbError('LIMIT', `k ${k} is over searchCountMax (${limits.searchCountMax})`)
  }
  if (!Number.isSafeInteger(ef) || ef < 1)
    throw new AkidbError('USAGE', `ef is ${ef}; it is at least 1`)
  if (ef > limits.searchEfMax) {
    throw new AkidbError('LIMIT', `ef ${ef} is over searchEfMax (${limits.searchEfMax})`)
  }
  const text = request.text ?? ''
  if (Buffer.byteLength(text) > limits.queryTextBytesMax) {
    throw new AkidbError('LIMIT', `a query text is over queryTextBytesMax`)
  }
  checkFusion(request.fusion)
  const filter = request.filter === undefined ? undefined : parseFilter(request.filter)
  return { k, ef, exact: request.exact === true, filter, signal: request.signal }
}

function checkFusion(fusion: SearchRequest['fusion']): void {
  if (fusion?.kind === 'linear' && !(fusion.vectorWeight >= 0 && fusion.vectorWeight <= 1)) {
    throw new AkidbError('USAGE', `vectorWeight is ${fusion.vectorWeight}; it goes from 0 to 1`)
  }
  const k = fusion?.kind === 'rrf' ? fusion.k : undefined
  if (k !== undefined && !(k >= 0 && Number.isFinite(k))) {
    throw new AkidbError('USAGE', `k of the fusion is ${k}; it is at least 0`)
  }
}

async function queryVector(
  core: CollectionCore,
  view: View,
  request: SearchRequest,
): Promise<Float32Array | undefined> {
  if (request.vector === undefined && request.id === undefined) return undefined
  const spec = vectorSpecOf(view.manifest.state.schema)
  if (spec === undefined) {
    throw new AkidbError('USAGE', `collection "${core.name}" holds no vectors`, {
      hint: 'Search it by text.',
    })
  }
  const vector = request.vector ?? (await vectorOf(core, view, request.id as string))
  if (vector.length !== spec.dimension) {
    throw new DimensionMismatchError(core.name, spec.dimension, vector.length)
  }
  if (!vector.every(Number.isFinite)) {
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
  readonly text: string
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
  const depth = Math.min(limits.searchCountMax, Math.max(100, HYBRID_DEPTH * search.k))
  const deep = { ...search, k: depth, ef: Math.max(search.ef, depth) }
  const near = await searchByVector(core, view, { vector, search: deep, excluded })
  const found = await searchByText(core, view, { text, search: deep })
  const words = { ...found, hits: found.hits.filter(({ id }) => excluded?.includes(id) !== true) }
  const fusion = request.fusion ?? { kind: 'rrf' }
  const fused: RankedHit[] =
    fusion.kind === 'rrf'
      ? reciprocalRank([near.hits, words.hits], fusion.k)
      : weightedLinear(near.hits, words.hits, fusion.vectorWeight)
  const places = new Map([...words.hits, ...near.hits].map((hit) => [hit.id, hit]))
  const hits = fused.slice(0, search.k).map(({ id, score }) => {
    const { place } = places.get(id) as RankedRecord
    return place === undefined ? { id, score } : { id, score, place }
  })
  const plan = { kind: 'hybrid', k: search.k, fusion, depth, vector: near.plan, text: words.plan }
  return { hits, plan }
}

/** The hits with the parts that were asked for. */
async function completeHits(
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
  const complete: Hit[] = []
  for (const { id, score, distance } of hits) {
    const found = { id, score, ...(distance === undefined ? {} : { distance }) }
    const wanted = parts.payload || parts.vector || parts.source
    const record = wanted ? await getRecord(core, view, id, parts) : undefined
    complete.push({
      ...found,
      ...(parts.payload && record !== undefined ? { payload: record.payload } : {}),
      ...(record?.vector === undefined ? {} : { vector: record.vector }),
      ...(record?.source === undefined ? {} : { source: record.source }),
    })
  }
  return complete
}
