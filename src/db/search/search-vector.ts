import { type RankedRows, searchRanked } from '../../ann/ranked-search.ts'
import type { RowSearch, VectorIndex } from '../../ann/vector-index.ts'
import type { PoolSearch, WorkerPool } from '../../ann/worker-pool.ts'
import type { Bitset } from '../../core/bitset.ts'
import { limits } from '../../core/limits.ts'
import { type Metric, scoreOf } from '../../core/metric.ts'
import type { VectorSpec } from '../../core/schema.ts'
import type { IdTable } from '../../format/ids-section.ts'
import { matchesFilter } from '../../search/evaluate.ts'
import type { Filter } from '../../search/filter.ts'
import { planSegment, type SegmentPlan } from '../../search/planner.ts'
import type { SearchPlan } from '../api/api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { LogRow, LogRows } from '../segment/log-rows.ts'
import { prefetchSegments } from '../segment/prefetch.ts'
import { type Place, type View, type ViewSegment, vectorSpecOf } from '../segment/view.ts'
import { rescoreFromDisk, scanFromDisk } from './search-disk.ts'

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
 * near tie that float64 orders otherwise. An exact search is told where these are too few.
 */
const TIE_SLACK = 8

/** How to search, checked to be in its limits. */
export interface CheckedSearch {
  readonly k: number
  readonly ef: number
  readonly exact: boolean
  readonly filter: Filter | undefined
  /** All that the filter says, as one text; absent where it was not asked for as JSON. */
  readonly filterText?: string | undefined
  readonly signal: AbortSignal | undefined
  /** Whether segments are searched by workers where there are some. */
  readonly parallel?: boolean
  /** Whether it waits for rows that are coming into memory, instead of reading some from disk. */
  readonly whole?: boolean
}

interface VectorQuery {
  readonly vector: Float32Array
  readonly search: CheckedSearch
  /** Ids left out of the hits. */
  readonly excluded: readonly string[] | undefined
}

/** Hits of one kind of search, in their order. */
export interface RankedPart {
  readonly hits: RankedRecord[]
  readonly plan: SearchPlan
}

/**
 * The k nearest live records that the plan finds, an exact one all of them, by float64 distance,
 * ties by bytewise lower id.
 */
export async function searchByVector(
  core: CollectionCore,
  view: View,
  query: VectorQuery,
): Promise<RankedPart> {
  return await (await startVectorSearch(core, view, query))()
}

/**
 * The same in two steps: where workers do it, they have it when the first is done, and the caller
 * may do other things before it calls for the hits.
 */
export async function startVectorSearch(
  core: CollectionCore,
  view: View,
  query: VectorQuery,
): Promise<() => Promise<RankedPart>> {
  const spec = vectorSpecOf(view.manifest.state.schema) as VectorSpec
  const { search } = query
  const work: SegmentWork[] = []
  const parts = search.filter === undefined ? 'vector' : 'vector, filter'
  prefetchSegments(core.environment.store, view, parts)
  for (const [number, segment] of view.segments.entries()) {
    search.signal?.throwIfAborted()
    work.push(await prepare(core, view, { spec, number, segment, query }))
  }
  const searched = searchSegments(core, work, search)
  // Its failure is the second step's.
  searched.catch(() => undefined)
  return async () => {
    const found = await finishOnDisk(work, await searched, spec, search)
    return merged(core, view, { spec, query, work, found })
  }
}

interface FoundParts {
  readonly spec: VectorSpec
  readonly query: VectorQuery
  readonly work: readonly SegmentWork[]
  readonly found: readonly (RankedRows | undefined)[]
}

/** What the segments and the log gave, as one list. */
function merged(core: CollectionCore, view: View, parts: FoundParts): RankedPart {
  const { spec, query, work, found } = parts
  const { k, ef, exact } = query.search
  const nearest = new NearestCandidates(k)
  for (const [at, { ids, number }] of work.entries()) {
    const ranked = found[at]
    if (ids === undefined || ranked === undefined) continue
    for (let i = 0; i < ranked.rows.length; i++) {
      const place = { segment: number, row: ranked.rows[i] as number }
      nearest.add({ ids, distance: ranked.distances[i] as number, place })
    }
  }
  if (view.log !== undefined) {
    for (const candidate of searchLog(core, view.log, spec, query)) nearest.add(candidate)
  }
  const segments = work.map((each, at) => explained(each, found[at]))
  const shape = { metric: spec.metric, dimension: query.vector.length, k, ef, exact }
  return {
    hits: nearest.sorted().map((candidate) => hitOf(spec.metric, candidate)),
    plan: { kind: 'vector', ...shape, segments },
  }
}

/** A row that may be a hit: of a segment, or of the write-ahead log with its id. */
interface Candidate {
  readonly distance: number
  readonly ids?: IdTable
  readonly place?: Place
  readonly id?: string
}

const byDistance = (a: Candidate, b: Candidate): number =>
  a.distance - b.distance || Buffer.compare(idBytesOf(a), idBytesOf(b))

/** Ids are looked at where distances are equal, and of hits. */
const idBytesOf = ({ ids, place, id }: Candidate): Uint8Array =>
  ids === undefined || place === undefined ? Buffer.from(id ?? '', 'utf8') : ids.idBytes(place.row)

/** Candidates beyond twice k that are kept before they are cut. */
const CANDIDATES_SLACK = 4_096

/** The k nearest candidates; of rows that are alike there may be as many as the collection has. */
class NearestCandidates {
  readonly #k: number
  #candidates: Candidate[] = []
  /** The last of the k nearest, once there were enough to cut. */
  #worst: Candidate | undefined

  constructor(k: number) {
    this.#k = k
  }

  add(candidate: Candidate): void {
    if (this.#worst !== undefined && byDistance(candidate, this.#worst) > 0) return
    this.#candidates.push(candidate)
    if (this.#candidates.length < 2 * this.#k + CANDIDATES_SLACK) return
    this.#candidates = this.sorted()
    this.#worst = this.#candidates.at(-1)
  }

  sorted(): Candidate[] {
    return this.#candidates.sort(byDistance).slice(0, this.#k)
  }
}

function hitOf(metric: Metric, candidate: Candidate): RankedRecord {
  const { ids, place, distance } = candidate
  const score = scoreOf(metric, distance)
  // −0 is reported as 0.
  const same = { score, distance: distance + 0 }
  if (ids === undefined || place === undefined) return { id: candidate.id ?? '', ...same }
  return { id: ids.id(place.row), ...same, place }
}

interface SegmentQuery {
  readonly spec: VectorSpec
  readonly number: number
  readonly segment: ViewSegment
  readonly query: VectorQuery
}

/** How one segment is to be searched. Without an index nothing of it matches. */
interface SegmentWork {
  readonly number: number
  readonly segment: ViewSegment
  readonly plan: SegmentPlan
  readonly matching: number
  readonly estimate: number
  readonly ids?: IdTable
  readonly index?: VectorIndex
  readonly request?: RowSearch
}

async function prepare(
  core: CollectionCore,
  view: View,
  { spec, number, segment, query }: SegmentQuery,
): Promise<SegmentWork> {
  const { search, vector } = query
  const { reader } = segment
  const { allowed, matching, estimate } = await allowedRows(core, segment, query)
  const opened =
    matching === 0 ? undefined : await core.memory.index(view, number, search.whole === true)
  const k = Math.min(matching, search.k + TIE_SLACK, limits.searchCountMax)
  const plan = planSegment({
    matching,
    rows: segment.entry.rows,
    dimension: spec.dimension,
    k,
    ef: search.ef,
    hasGraph: opened?.hasGraph ?? false,
    form: opened?.form ?? 'int8',
    exact: search.exact,
  })
  // Who compares every row waits until all are in memory, where they are to be.
  const isEarly = opened?.placement === 'disk' && reader.placement === 'memory'
  const index =
    isEarly && plan.kind === 'scan-f32' ? await core.memory.index(view, number, true) : opened
  const work = { number, segment, plan, matching, estimate }
  if (index === undefined || plan.kind === 'none') return work
  const request = {
    query: vector,
    k,
    ef: plan.ef,
    kind: plan.kind,
    ...(plan.kind === 'scan-f32' ? { certain: Math.min(matching, search.k) } : {}),
    ...(allowed === undefined ? {} : { allowed }),
  }
  return { ...work, ids: await reader.ids(), index, request }
}

interface Allowed {
  /** Absent where every row of the segment may be returned. Shared: not to be changed. */
  readonly allowed?: Bitset
  readonly matching: number
  readonly estimate: number
}

async function allowedRows(
  core: CollectionCore,
  segment: ViewSegment,
  { search, excluded }: VectorQuery,
): Promise<Allowed> {
  const { filter, filterText } = search
  const { live, alive, entry } = segment
  if (filter === undefined && excluded === undefined) {
    const all = { matching: live, estimate: live }
    return live === entry.rows ? all : { ...all, allowed: alive }
  }
  const selected =
    filter === undefined
      ? { rows: alive, count: live, estimate: live }
      : await core.filters.select(segment, filter, filterText)
  const { estimate } = selected
  if (excluded === undefined) return { allowed: selected.rows, matching: selected.count, estimate }
  const allowed = selected.rows.clone()
  const ids = await segment.reader.ids()
  for (const id of excluded) {
    for (const row of ids.rowsOf(Buffer.from(id, 'utf8'))) allowed.remove(row)
  }
  return { allowed, matching: allowed.count(), estimate }
}

/** A search that is planned to take longer leaves the calling thread, where workers run. */
const LONG_SEARCH_NS = 1_000_000
/** One that takes longer than this waits for a worker to start. */
const WORTH_A_START_NS = 50_000_000
/** Searches after which a process is taken for one that goes on searching. */
export const FEW_SEARCHES = 3

/** All segments, by workers where that is worth a message to them. The results are the same. */
async function searchSegments(
  core: CollectionCore,
  work: readonly SegmentWork[],
  search: CheckedSearch,
): Promise<(RankedRows | undefined)[]> {
  const workers = workersFor(core, work, search.parallel === true)
  if (workers === undefined) {
    return work.map((each) => {
      const { index, request } = each
      search.signal?.throwIfAborted()
      if (index === undefined || request === undefined || isReadWhole(each)) return undefined
      return searchRanked(index, request)
    })
  }
  const { signal } = search
  return await Promise.all(
    work.map((each) => {
      const { index, request, plan } = each
      if (index === undefined || request === undefined || isReadWhole(each)) return undefined
      const task: PoolSearch = { index, request, costNs: costOf(plan), signal }
      return workers.search(task)
    }),
  )
}

/** The workers, where they are to do this search; starts them where later ones gain by it. */
function workersFor(
  core: CollectionCore,
  work: readonly SegmentWork[],
  parallel: boolean,
): WorkerPool | undefined {
  const workers = core.environment.workers?.()
  if (workers === undefined) return undefined
  const costNs = work.reduce((sum, { plan }) => sum + costOf(plan), 0)
  const isMany = parallel && workers.threads > 1
  const isLong = costNs >= LONG_SEARCH_NS
  if (!isMany && !isLong) return undefined
  if (workers.ready || costNs >= WORTH_A_START_NS) return workers
  if (isMany || core.searchCount > FEW_SEARCHES) workers.warm()
  return undefined
}

/** An exact search of rows that are on disk reads them all; no worker can. */
const isReadWhole = ({ index, request }: SegmentWork): boolean =>
  index?.placement === 'disk' && request?.kind === 'scan-f32'

/** Ranks what was found in segments whose rows are on disk by the vectors themselves. */
async function finishOnDisk(
  work: readonly SegmentWork[],
  found: readonly (RankedRows | undefined)[],
  spec: VectorSpec,
  { signal }: CheckedSearch,
): Promise<readonly (RankedRows | undefined)[]> {
  if (!work.some(({ index }) => index?.placement === 'disk')) return found
  return await Promise.all(
    work.map(async (each, at) => {
      const { index, request, segment } = each
      const coarse = found[at]
      if (index?.placement !== 'disk' || request === undefined) return coarse
      const rows = await segment.reader.vectorRows(spec)
      const search = { index, rows, request, signal }
      return coarse === undefined
        ? await scanFromDisk(search)
        : await rescoreFromDisk(search, coarse)
    }),
  )
}

const costOf = ({ kind, estimatedNs }: SegmentPlan): number =>
  kind === 'none' ? 0 : (estimatedNs[kind] ?? 0)

const explained = (work: SegmentWork, ranked: RankedRows | undefined): unknown => {
  const { plan, segment, matching, estimate } = work
  const { rows } = segment.entry
  if (ranked === undefined) return { ...plan, rows, matching, estimate }
  const { evaluated } = ranked
  const found = ranked.rows.length
  return { ...plan, rows, live: segment.live, estimate, matching, evaluated, found }
}

function searchLog(
  core: CollectionCore,
  log: LogRows,
  spec: VectorSpec,
  { vector, search, excluded }: VectorQuery,
): Candidate[] {
  const { k, filter } = search
  const allows = ({ id, payload }: LogRow): boolean =>
    excluded?.includes(id) !== true &&
    (filter === undefined || matchesFilter(filter, { id, payload }))
  const near = core.logVectors.nearest(log, { spec, vector, k, allows })
  return near.map(({ row, distance }) => ({ id: row.id, distance }))
}
