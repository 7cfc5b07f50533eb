import { expect } from 'vitest'
import { type JsonObject, type JsonValue, parseJson, stringifyJson } from '../../src/core/json.ts'
import type { Collection, SearchRequest } from '../../src/db/api/api.ts'
import type { Fetch } from '../../src/server/app.ts'
import { send } from './support.ts'

/**
 * A collection that is asked over HTTP where there is a request for it, and directly where there is
 * none. Every request is sent twice, since the second may be answered from memory.
 */
export function httpCollection(fetch: Fetch, docs: Collection): Collection {
  const post = async (route: string, request: object): Promise<JsonObject> => {
    const text = stringifyJson(bodyOf(request))
    const path = `/collections/docs/${route}`
    const [first, second] = [
      await send(fetch, ['POST', path], text),
      await send(fetch, ['POST', path], text),
    ]
    if (first.status !== 200) throw new Error(`${route} ${text}: ${first.text}`)
    expect(withoutTimes(second.text)).toBe(withoutTimes(first.text))
    return parseJson(first.text) as JsonObject
  }
  const search = async ({ fusion, ...request }: SearchRequest) => {
    if (request.id !== undefined)
      return await docs.search({ ...request, ...(fusion && { fusion }) })
    const { kind, vectorWeight } = fusion ?? {}
    const weight = vectorWeight === undefined ? {} : { vectorWeight }
    const how = kind === undefined ? {} : { fusion: kind, ...weight }
    return { hits: recordsOf(await post('search', { ...request, ...how }), 'hits') }
  }
  return {
    get: docs.get.bind(docs),
    scan: docs.scan.bind(docs),
    diff: docs.diff.bind(docs),
    search,
    async *searchBatch(requests: Iterable<SearchRequest>, state: object) {
      for (const request of requests) yield await search({ ...request, ...state })
    },
    count: async (request: object) => plain(await post('count', request)),
    facet: async (request: object) => {
      const found = await post('facet', request)
      return { ...plain(found), values: (found.get('values') as JsonObject[]).map(plain) }
    },
    query: async (request: object) => {
      const found = await post('query', request)
      const hits = recordsOf(found, 'hits')
      const byId = new Map(hits.map((hit) => [hit.id, hit]))
      const groups = (found.get('groups') as JsonObject[] | undefined)?.map((group) => ({
        value: group.get('value'),
        hits: (group.get('ids') as string[]).map((id) => byId.get(id)),
      }))
      return { hits, groups }
    },
    scroll: async (request: object) => {
      const found = await post('scroll', request)
      return { records: recordsOf(found, 'records'), cursor: found.get('cursor') }
    },
  } as unknown as Collection
}

/** A request of the library in the words of the server. */
function bodyOf(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array)
  if (Array.isArray(value)) return value.map(bodyOf)
  if (typeof value !== 'object' || value === null) return value
  const given = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(
    given.map(([name, member]) => {
      if (name === 'filter') return [name, member]
      if (name === 'k') return ['top_k', bodyOf(member)]
      return [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), bodyOf(member)]
    }),
  )
}

const plain = (object: JsonObject): Record<string, JsonValue> => Object.fromEntries(object)

const recordsOf = (answer: JsonObject, list: 'hits' | 'records') =>
  (answer.get(list) as JsonObject[]).map(plain)

const withoutTimes = (text: string): string => text.replace(/"plan":.*$/s, '')
