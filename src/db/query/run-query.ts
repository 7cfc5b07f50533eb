import { checkRequest } from '../api/check-call.ts'
import { type CheckedNode, checkQuery } from '../api/check-query.ts'
import type { HitGroup, QueryRequest, QueryResult } from '../api/query-api.ts'
import type { Hit, SearchRequest } from '../api/search-api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { completeHits } from '../search/search-run.ts'
import type { RankedRecord } from '../search/search-vector.ts'
import { underWay } from '../search/under-way.ts'
import { checkGrouping, type Grouping, groupedHits } from './grouped.ts'
import type { QueryContext, RankingContext } from './query-context.ts'
import { runNode } from './run-node.ts'

/**
 * Runs a tree of queries on one pinned state. The same request on the same state gives the same
 * hits, scores and order.
 *
 * @throws USAGE, BAD_INPUT, DIMENSION_MISMATCH, LIMIT, NOT_FOUND
 */
export async function runQuery(core: CollectionCore, request: QueryRequest): Promise<QueryResult> {
  checkRequest('query', request)
  const node = checkQuery(request)
  const grouping = checkGrouping(request)
  const { signal } = request
  return await underWay(core, request, (course) =>
    core.read(request.asOf, async (view) => {
      const context = { core, view, signal, course }
      return await core.answer(view, 'query', request, async () => {
        const result =
          grouping === undefined
            ? await plainResult(context, node, request)
            : await groupedResult(context, { node, grouping, request })
        return { ...result, stateRoot: view.manifest.commit.stateRoot }
      })
    }),
  )
}

async function plainResult(
  context: RankingContext,
  node: CheckedNode,
  request: QueryRequest,
): Promise<Omit<QueryResult, 'stateRoot'>> {
  const { hits, plan } = await runNode(context, node)
  return { hits: await complete(context, hits, request), plan }
}

interface GroupedQuery {
  readonly node: CheckedNode
  readonly grouping: Grouping
  readonly request: QueryRequest
}

async function groupedResult(
  context: RankingContext,
  { node, grouping, request }: GroupedQuery,
): Promise<Omit<QueryResult, 'stateRoot'>> {
  const found = await groupedHits(context, node, grouping)
  const groups: HitGroup[] = []
  for (const { value, hits } of found.groups) {
    groups.push({ value, hits: await complete(context, hits, request) })
  }
  return { hits: groups.flatMap(({ hits }) => hits), groups, plan: found.plan }
}

async function complete(
  { core, view, signal }: QueryContext,
  hits: readonly RankedRecord[],
  { withPayload, withVector, withSource }: QueryRequest,
): Promise<Hit[]> {
  signal?.throwIfAborted()
  const parts: SearchRequest = {
    withPayload: withPayload !== false,
    withVector: withVector === true,
    withSource: withSource === true,
  }
  return await completeHits(core, view, hits, parts)
}
