import type { Filter } from '../../search/filter.ts'
import { fuse } from '../../search/fusion.ts'
import type { CheckedNode } from '../api/check-query.ts'
import type { Diversity, RankBy } from '../api/query-api.ts'
import type { SearchPlan } from '../api/search-api.ts'
import { queryVector } from '../search/search-run.ts'
import { searchByText } from '../search/search-text.ts'
import { type RankedRecord, searchByVector } from '../search/search-vector.ts'
import { diverseHits } from './diverse.ts'
import { both, onlyIds } from './narrowed.ts'
import { orderedHits } from './ordered.ts'
import type { Ranked, RankingContext } from './query-context.ts'
import { recommendedHits } from './recommended.ts'
import { sampledHits } from './sampled.ts'
import { sparseHits } from './sparse-hits.ts'

/**
 * Ranks one node: its children first, then what they found. A filter holds for all that is below
 * it, so that a node has its k hits wherever that many records match.
 *
 * @param outer what the nodes above ask for
 */
export async function runNode(
  context: RankingContext,
  node: CheckedNode,
  outer?: Filter,
): Promise<Ranked> {
  context.signal?.throwIfAborted()
  const filter = both(outer, node.filter)
  const lists: Ranked[] = []
  for (const child of node.prefetch) lists.push(await runNode(context, child, filter))
  const count = node.offset + node.k
  const found = await ranked(context, { node, filter, lists, count })
  const { offset, scoreThreshold } = node
  const hits = found.hits
    .filter(({ score }) => scoreThreshold === undefined || score >= scoreThreshold)
    .slice(offset, count)
  return { hits, plan: planOf(node, { found, hits, lists }) }
}

const planOf = (
  { k, offset, scoreThreshold }: CheckedNode,
  { found, hits, lists }: { found: Ranked; hits: Ranked['hits']; lists: readonly Ranked[] },
): SearchPlan => ({
  ...found.plan,
  k,
  ...(offset === 0 ? {} : { offset }),
  ...(scoreThreshold === undefined ? {} : { scoreThreshold }),
  found: hits.length,
  ...(lists.length === 0 ? {} : { prefetch: lists.map(({ plan }) => plan) }),
})

interface NodeQuery {
  readonly node: CheckedNode
  readonly filter: Filter | undefined
  readonly lists: readonly Ranked[]
  readonly count: number
}

async function ranked(context: RankingContext, query: NodeQuery): Promise<Ranked> {
  const { node, lists, count } = query
  const ask = node.query
  if ('fusion' in ask) return fused(ask, lists)
  // What the children found passed the filter already.
  const isRescored = node.prefetch.length > 0
  const filter = isRescored ? onlyIds(idsOf(lists)) : query.filter
  const exact = isRescored || node.exact
  if ('recommend' in ask) {
    const checked = { ...node, exact }
    return await recommendedHits(context, { node: checked, filter, ...ask, count })
  }
  if ('orderBy' in ask) return await orderedHits(context, { order: ask.orderBy, filter, count })
  if ('sample' in ask) {
    return await sampledHits(context, { seed: ask.sample.seed ?? 0, filter, count })
  }
  if ('sparse' in ask) return await sparseHits(context, { ...ask, filter, count })
  const { core, view, signal, course } = context
  const search = { k: count, ef: node.ef, exact, filter, signal, ...course() }
  if ('text' in ask) return await searchByText(core, view, { text: ask.text, search })
  const vector = (await queryVector(core, view, vectorOf(ask))) as Float32Array
  const excluded = 'id' in ask ? [ask.id] : undefined
  const { mmr } = ask
  if (mmr === undefined) return await searchByVector(core, view, { vector, search, excluded })
  const k = candidatesOf(mmr, count)
  const deep = { ...search, k, ef: Math.max(search.ef, k) }
  const near = await searchByVector(core, view, { vector, search: deep, excluded })
  const hits = await diverseHits(context, near.hits, { diversity: mmr.diversity, count })
  return { hits, plan: { ...near.plan, mmr: { diversity: mmr.diversity, candidates: k } } }
}

const vectorOf = (ask: Extract<RankBy, { mmr?: Diversity }>) =>
  'id' in ask ? { id: ask.id } : { vector: ask.vector }

/** Nearest records that diverse hits are chosen from, where the caller names no number. */
const CANDIDATES = 100

const candidatesOf = ({ candidates }: Diversity, count: number): number =>
  candidates ?? Math.max(CANDIDATES, count)

function* idsOf(lists: readonly Ranked[]): Iterable<string> {
  for (const { hits } of lists) for (const { id } of hits) yield id
}

function fused(ask: Extract<RankBy, { fusion: unknown }>, lists: readonly Ranked[]): Ranked {
  const places = new Map<string, RankedRecord>()
  for (const { hits } of lists) for (const hit of hits) places.set(hit.id, hit)
  const all = fuse(
    lists.map(({ hits }) => hits),
    ask.fusion,
  )
  const hits = all.map(({ id, score }) => {
    const place = places.get(id)?.place
    return place === undefined ? { id, score } : { id, score, place }
  })
  return { hits, plan: { kind: 'fusion', fusion: { ...ask.fusion } } }
}
