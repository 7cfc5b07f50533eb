import { type JsonValue, stringifyJson } from '../core/json.ts'
import type { Store } from '../db/api/api.ts'
import { parseCount, parseFacet, parseQuery, parseScroll } from '../db/query/query-json.ts'
import { type Answer, answer, recordTexts } from './answer.ts'
import type { SearchJournal } from './search-journal.ts'

type Route = (name: string, body: JsonValue, signal: AbortSignal) => Promise<Answer>

/** What is asked of a collection beside a plain search. */
export interface QueryRoutes {
  readonly query: Route
  readonly count: Route
  readonly facet: Route
  readonly scroll: Route
}

/** Of a route whose body alone does not tell what was asked. */
const asked = (route: string, body: JsonValue): string => `{"${route}":${stringifyJson(body)}}`

/**
 * `journal` is told of every query: counts, facets and pages tell of the records too.
 *
 * @param isBusy whether other requests wait: vector searches then run on worker threads
 */
export function queryRoutes(
  store: Store,
  journal: SearchJournal | undefined,
  isBusy: () => boolean,
): QueryRoutes {
  return {
    query: async (name, body, signal) => {
      journal?.check()
      const startMs = performance.now()
      const request = parseQuery(body)
      const collection = await store.collection(name)
      const { hits, groups, plan, stateRoot } = await collection.query({
        ...request,
        offThread: isBusy(),
        signal,
      })
      await journal?.note({ collection: name, stateRoot, query: stringifyJson(body) })
      const idsOf = groups?.map(({ value, hits }) => ({ value, ids: hits.map(({ id }) => id) }))
      const rest = stringifyJson({
        ...(idsOf === undefined ? {} : { groups: idsOf }),
        collection: name,
        state_root: stateRoot,
        plan,
        elapsed_ms: Math.round((performance.now() - startMs) * 1_000) / 1_000,
      })
      return { status: 200, json: `{"hits":[${recordTexts(hits).join(',')}],${rest.slice(1)}` }
    },
    count: async (name, body, signal) => {
      journal?.check()
      const request = parseCount(body)
      const { count, stateRoot } = await (await store.collection(name)).count({
        ...request,
        signal,
      })
      await journal?.note({ collection: name, stateRoot, query: asked('count', body) })
      return answer(200, { count, collection: name, state_root: stateRoot })
    },
    facet: async (name, body, signal) => {
      journal?.check()
      const request = parseFacet(body)
      const collection = await store.collection(name)
      const { stateRoot, ...facet } = await collection.facet({ ...request, signal })
      await journal?.note({ collection: name, stateRoot, query: asked('facet', body) })
      return answer(200, { ...facet, collection: name, state_root: stateRoot })
    },
    scroll: async (name, body, signal) => {
      journal?.check()
      const request = parseScroll(body)
      const collection = await store.collection(name)
      const { records, cursor, stateRoot } = await collection.scroll({ ...request, signal })
      await journal?.note({ collection: name, stateRoot, query: asked('scroll', body) })
      const rest = stringifyJson({
        ...(cursor === undefined ? {} : { cursor }),
        collection: name,
        state_root: stateRoot,
      })
      const texts = recordTexts(records).join(',')
      return { status: 200, json: `{"records":[${texts}],${rest.slice(1)}` }
    },
  }
}
