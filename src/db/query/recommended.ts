import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Filter } from '../../search/filter.ts'
import { averageVector, type Examples, recommendScorer } from '../../search/recommend.ts'
import type { CheckedNode } from '../api/check-query.ts'
import type { Recommendation } from '../api/query-api.ts'
import { queryVector } from '../search/search-run.ts'
import { searchByVector } from '../search/search-vector.ts'
import { openRowCursor } from '../segment/row-cursor.ts'
import { vectorSpecOf } from '../segment/view.ts'
import { FirstRows } from './first-rows.ts'
import { matchingRows } from './matching-rows.ts'
import { both, onlyIds, withoutIds } from './narrowed.ts'
import { unscored } from './ordered.ts'
import { type QueryContext, type Ranked, type RankingContext, turns } from './query-context.ts'

/** Components that are compared before the index is asked for candidates instead. */
const SCAN_COMPONENTS_MAX = 2 ** 27
/** Candidates that each positive example brings, in multiples of the hits that are wanted. */
const CANDIDATES_SHARE = 4

interface RecommendQuery {
  readonly node: CheckedNode
  readonly filter: Filter | undefined
  readonly recommend: Recommendation
  readonly count: number
}

/** Records like some and unlike others (see Recommendation). */
export async function recommendedHits(
  context: RankingContext,
  { node, filter, recommend, count }: RecommendQuery,
): Promise<Ranked> {
  const { core, view, signal, course } = context
  const { positive = [], negative = [], strategy = 'average_vector' } = recommend
  const examples = {
    positive: await vectorsOf(context, positive),
    negative: await vectorsOf(context, negative),
  }
  const { metric } = specOf(context)
  const named = [...positive, ...negative].filter((example) => typeof example === 'string')
  const plan = { kind: 'recommend', strategy, ...sizes(examples) }
  if (strategy === 'average_vector') {
    const vector = averageVector(metric, examples)
    const { ef, exact } = node
    const search = { k: count, ef, exact, filter, signal, ...course() }
    const found = await searchByVector(core, view, { vector, search, excluded: named })
    return { hits: found.hits, plan: { ...plan, vector: found.plan } }
  }
  const allowed = both(filter, withoutIds(named))
  const candidates = await candidatesOf(context, { node, filter: allowed, examples, count })
  const scored = await scoreRows(context, {
    filter: both(allowed, candidates === undefined ? undefined : onlyIds(candidates)),
    count,
    score: recommendScorer(metric, strategy, examples),
  })
  return {
    ...scored,
    plan: { ...plan, exact: candidates === undefined, compared: scored.compared },
  }
}

const sizes = ({ positive, negative }: Examples) => ({
  positive: positive.length,
  negative: negative.length,
})

const specOf = ({ core, view }: QueryContext) => {
  const spec = vectorSpecOf(view.manifest.state.schema)
  if (spec !== undefined) return spec
  throw new AkidbError('USAGE', `collection "${core.name}" holds no vectors`)
}

async function vectorsOf(
  { core, view }: QueryContext,
  examples: readonly (string | Float32Array)[],
): Promise<Float32Array[]> {
  const vectors: Float32Array[] = []
  for (const example of examples) {
    const request = typeof example === 'string' ? { id: example } : { vector: example }
    vectors.push((await queryVector(core, view, request)) as Float32Array)
  }
  return vectors
}

interface CandidateQuery {
  readonly node: CheckedNode
  readonly filter: Filter | undefined
  readonly examples: Examples
  readonly count: number
}

/**
 * Ids that may be among the hits: the nearest to each positive example, and to what they have in
 * common. Undefined where all that match are to be compared: few, or nothing to be near to.
 */
async function candidatesOf(
  context: RankingContext,
  { node, filter, examples, count }: CandidateQuery,
): Promise<Set<string> | undefined> {
  const { core, view, signal, course } = context
  const { metric, dimension } = specOf(context)
  const { positive, negative } = examples
  if (node.exact || positive.length === 0) return undefined
  const matching = await matchingRows(view, filter, signal)
  const components = matching.count * (positive.length + negative.length) * dimension
  if (components <= SCAN_COMPONENTS_MAX) return undefined
  const depth = Math.min(limits.searchCountMax, Math.max(node.ef, CANDIDATES_SHARE * count))
  const found = new Set<string>()
  for (const vector of [averageVector(metric, examples), ...positive]) {
    const ef = Math.max(node.ef, depth)
    const search = { k: depth, ef, exact: false, filter, signal, ...course() }
    const { hits } = await searchByVector(core, view, { vector, search, excluded: undefined })
    for (const { id } of hits) found.add(id)
  }
  return found
}

interface ScoreQuery {
  readonly filter: Filter | undefined
  readonly count: number
  readonly score: (vector: Float32Array) => number
}

/** The best records by a score of their vectors, each of them compared. */
async function scoreRows(
  context: QueryContext,
  { filter, count, score }: ScoreQuery,
): Promise<Omit<Ranked, 'plan'> & { readonly compared: number }> {
  const { view, signal } = context
  const spec = specOf(context)
  const matching = await matchingRows(view, filter, signal)
  const first = new FirstRows<number>(count, (a, b) => b - a)
  const turn = turns(signal)
  for (const { number, segment, rows } of matching.segments) {
    const { reader } = segment
    const ids = await reader.ids()
    const vectors = await openRowCursor(reader, spec)
    for (const row of rows) {
      const pause = turn()
      if (pause !== undefined) await pause
      const vector = await vectors.at(row)
      first.offer(score(vector), () => ids.idBytes(row), { segment: number, row })
    }
  }
  for (const { id, vector } of matching.log) {
    if (vector !== undefined) first.offer(score(vector), () => Buffer.from(id, 'utf8'))
  }
  const hits = first.sorted().map((row) => ({ ...unscored(row), score: row.value }))
  return { hits, compared: matching.count }
}
