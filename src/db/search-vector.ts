import type { VectorIndex } from '../ann/vector-index.ts'
import type { Bitset } from '../core/bitset.ts'
import { limits } from '../core/limits.ts'
import { distanceFrom, type Metric, scoreOf } from '../core/metric.ts'
import type { VectorSpec } from '../core/schema.ts'
import { matchesFilter } from '../search/evaluate.ts'
import type { Filter } from '../search/filter.ts'
import { planSegment, type SegmentPlan } from '../search/planner.ts'
import type { SearchPlan } from './api.ts'
import type { CollectionCore } from './collection-core.ts'
import { selectRows } from './filter-rows.ts'
import { type Place, type View, type ViewSegment, vectorSpecOf } from './view.ts'

/** A hit before its payload is fetched. */
export interface RankedRecord {
  readonly id: string
  readonly score: number
  readonly distance?: number
  /** Absent for a row of the write-ahead log. */
  readonly place?: Place
}

/**
 * Candidates asked of a segment beyond k: the kernel ranks in float32, and the k-th place may be a
 * near tie that float64 orders otherwise.
 */
const TIE_SLACK = 8

/** How to search, checked to be in its limits. */
export interface CheckedSearch {
  readonly k: number
  readonly ef: number
  readonly exact: boolean
  readonly filter: Filter | undefined
  readonly signal: AbortSignal | undefined
}

interface VectorQuery {
  readonly vector: Float32Array
  readonly search: CheckedSearch
  /** Ids left out of the hits. */
  readonly excluded: readonly string[] | undefined
}

/** The k nearest live records, by float64 distance, ties by bytewise lower id. */
export async function searchByVector(
  core: CollectionCore,
  view: View,
  query: VectorQuery,
): Promise<{ hits: RankedRecord[]; plan: SearchPlan }> {
  const spec = vectorSpecOf(view.manifest.state.schema) as VectorSpec
  const { search, vector } = query
  const candidates: Candidate[] = []
  const segments: unknown[] = []
  for (const [number, segment] of view.segments.entries()) {
    search.signal?.throwIfAborted()
    const found = await searchSegment(core, view, { spec, number, segment, query })
    candidates.push(...found.candidates)
    segments.push(found.explain)
  }
  candidates.push(...searchLog(view, spec.metric, query))
  candidates.sort((a, b) => a.distance - b.distance || Buffer.compare(a.idBytes, b.idBytes))
  const hits = candidates.slice(0, search.k).map(({ idBytes, distance, place }) => ({
    id: Buffer.from(idBytes).toString('utf8'),
    score: scoreOf(spec.metric, distance),
    distance: reportedDistance(spec.metric, distance),
    ...(place === undefined ? {} : { place }),
  }))
  const { k, ef, exact } = search
  const plan = {
    kind: 'vector',
    metric: spec.metric,
    dimension: vector.length,
    k,
    ef,
    exact,
    segments,
  }
  return { hits, plan }
}

/** Distances as the contract gives them; −0 is 0. */
const reportedDistance = (_metric: Metric, distance: number): number => distance + 0

interface Candidate {
  readonly idBytes: Uint8Array
  readonly distance: number
  readonly place?: Place
}

interface SegmentQuery {
  readonly spec: VectorSpec
  readonly number: number
  readonly segment: ViewSegment
  readonly query: VectorQuery
}

async function searchSegment(
  core: CollectionCore,
  view: View,
  { spec, number, segment, query }: SegmentQuery,
): Promise<{ candidates: Candidate[]; explain: unknown }> {
  const { search, vector } = query
  const allowed = await allowedRows(segment, query)
  const matching = allowed?.count() ?? segment.live
  const { estimate } = await estimateRows(segment, search)
  const index =
    matching === 0
      ? undefined
      : await segment.reader.vectorIndex(spec, view.manifest.state.index, core.foreign)
  const plan = planSegment({
    matching,
    rows: segment.entry.rows,
    dimension: spec.dimension,
    k: search.k,
    ef: search.ef,
    hasGraph: index?.hasGraph ?? false,
    exact: search.exact,
  })
  if (index === undefined || plan.kind === 'none') {
    return { candidates: [], explain: { ...plan, rows: segment.entry.rows, matching, estimate } }
  }
  const hits = index.search({
    query: vector,
    k: Math.min(matching, search.k + TIE_SLACK, limits.searchCountMax),
    ef: search.ef,
    kind: plan.kind,
    ...(allowed === undefined ? {} : { allowed }),
  })
  const candidates = await rank(index, segment, hits.rows, { spec, number, vector })
  return { candidates, explain: explained(plan, segment, { matching, estimate, hits }) }
}

const explained = (
  plan: SegmentPlan,
  segment: ViewSegment,
  actual: { matching: number; estimate: number; hits: { evaluated: number; rows: Uint32Array } },
): unknown => ({
  ...plan,
  rows: segment.entry.rows,
  live: segment.live,
  estimate: actual.estimate,
  matching: actual.matching,
  evaluated: actual.hits.evaluated,
  found: actual.hits.rows.length,
})

/** Undefined where every row of the segment may be returned. */
async function allowedRows(
  segment: ViewSegment,
  { search, excluded }: VectorQuery,
): Promise<Bitset | undefined> {
  const { filter } = search
  if (filter === undefined && excluded === undefined && segment.live === segment.entry.rows) {
    return undefined
  }
  const rows = filter === undefined ? segment.alive.clone() : await selectRows(segment, filter)
  for (const id of excluded ?? []) {
    for (const row of (await segment.reader.ids()).rowsOf(Buffer.from(id, 'utf8'))) rows.remove(row)
  }
  return rows
}

async function estimateRows(
  segment: ViewSegment,
  search: CheckedSearch,
): Promise<{ estimate: number }> {
  if (search.filter === undefined) return { estimate: segment.live }
  const index = await segment.reader.fields()
  return { estimate: index.estimate(search.filter) }
}

/** Exact float64 distances of the rows that the kernel found. */
async function rank(
  index: VectorIndex,
  segment: ViewSegment,
  rows: Uint32Array,
  query: { spec: VectorSpec; number: number; vector: Float32Array },
): Promise<Candidate[]> {
  const ids = await segment.reader.ids()
  const distance = distanceFrom(query.spec.metric, query.vector)
  return Array.from(rows, (row) => ({
    idBytes: ids.idBytes(row),
    distance: distance(index.vector(row)),
    place: { segment: query.number, row },
  }))
}

/** Rows of the write-ahead log are few: all are scanned. */
function searchLog(view: View, metric: Metric, query: VectorQuery): Candidate[] {
  const candidates: Candidate[] = []
  const distance = distanceFrom(metric, query.vector)
  for (const { id, vector, payload } of view.log?.rows() ?? []) {
    if (vector === undefined || query.excluded?.includes(id) === true) continue
    const { filter } = query.search
    if (filter !== undefined && !matchesFilter(filter, { id, payload })) continue
    candidates.push({ idBytes: Buffer.from(id, 'utf8'), distance: distance(vector) })
  }
  return candidates
}
