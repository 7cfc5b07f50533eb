import { type JsonValue, stringifyJson } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { CollectionInfo, Hit, Store } from '../db/api.ts'
import { AkidbError } from '../errors/errors.ts'
import { createBody, searchBody, upsertBody } from './request-shapes.ts'
import type { SearchJournal } from './search-journal.ts'

/** An answer before it is written: its status and its JSON text. */
export interface Answer {
  readonly status: number
  readonly json: string
}

/** What the routes do with a store. Bodies are parsed JSON; failures are AkidbError. */
export interface Collections {
  create(body: JsonValue): Promise<Answer>
  list(): Promise<Answer>
  show(name: string): Promise<Answer>
  drop(name: string): Promise<Answer>
  upsert(name: string, body: JsonValue): Promise<Answer>
  search(name: string, body: JsonValue, signal: AbortSignal): Promise<Answer>
}

/** Bytes of hits that one answer may hold. */
const ANSWER_BYTES_MAX = limits.serverBodyBytesMax

/** The routes' work on an open store; `journal` is told of every search. */
export function serveCollections(store: Store, journal: SearchJournal | undefined): Collections {
  return {
    create: async (body) => {
      const { name, vector_dim: dimension, distance: metric, text_fields } = createBody(body)
      const collection = await store.createCollection(name, {
        ...(dimension === undefined ? {} : { dimension }),
        ...(metric === undefined ? {} : { metric }),
        ...(text_fields === undefined ? {} : { textFields: text_fields }),
      })
      return answer(201, summary(await collection.info()))
    },
    list: async () => answer(200, { collections: (await store.list()).map(summary) }),
    show: async (name) => answer(200, details(await (await store.collection(name)).info())),
    drop: async (name) => answer(200, { name, rows: (await store.drop(name)).rows }),
    upsert: async (name, body) => {
      const { vectors } = upsertBody(body)
      const collection = await store.collection(name)
      await collection.upsert(vectors)
      return answer(200, { upserted: vectors.length })
    },
    search: async (name, body, signal) => {
      journal?.check()
      const startMs = performance.now()
      const { top_k, as_of, with_payload, with_vector, ...same } = searchBody(body)
      const collection = await store.collection(name)
      const { hits, plan, stateRoot } = await collection.search({
        ...same,
        ...(top_k === undefined ? {} : { k: top_k }),
        ...(as_of === undefined ? {} : { asOf: as_of }),
        ...(with_payload === undefined ? {} : { withPayload: with_payload }),
        ...(with_vector === undefined ? {} : { withVector: with_vector }),
        signal,
      })
      await journal?.note({ collection: name, stateRoot, query: stringifyJson(body) })
      const elapsedMs = Math.round((performance.now() - startMs) * 1_000) / 1_000
      const rest = stringifyJson({
        collection: name,
        state_root: stateRoot,
        plan,
        elapsed_ms: elapsedMs,
      })
      // The hits are texts already, so that their sum is known before it is one text.
      return { status: 200, json: `{"hits":[${hitTexts(hits).join(',')}],${rest.slice(1)}` }
    },
  }
}

const answer = (status: number, value: unknown): Answer => ({ status, json: stringifyJson(value) })

const summary = (info: CollectionInfo): Record<string, unknown> => ({
  name: info.collection,
  vector_dim: info.dimension,
  distance: info.metric,
  text_fields: info.schema.text.fields,
  count: info.count,
  version: info.manifestVersion,
  state_root: info.stateRoot,
})

const details = (info: CollectionInfo): Record<string, unknown> => ({
  ...summary(info),
  bytes: info.bytes,
  segments: info.segments.map(({ rows, deleted, bytes, graph }) => ({
    rows,
    deleted,
    bytes,
    graph,
  })),
  fields: info.schema.fields,
})

/** @throws LIMIT where the hits together are too large to send */
function hitTexts(hits: readonly Hit[]): string[] {
  let bytes = 0
  return hits.map(({ id, score, distance, payload, vector }) => {
    const text = stringifyJson({
      id,
      score,
      ...(distance === undefined ? {} : { distance }),
      ...(payload === undefined ? {} : { payload }),
      ...(vector === undefined ? {} : { vector: Array.from(vector) }),
    })
    bytes += text.length
    if (bytes <= ANSWER_BYTES_MAX) return text
    throw new AkidbError('LIMIT', `the hits are over ${ANSWER_BYTES_MAX} bytes together`, {
      hint: 'Ask for a smaller top_k, or without payload and vector.',
    })
  })
}
