import { type JsonValue, stringifyJson } from '../core/json.ts'
import type { CollectionInfo, Store } from '../db/api/api.ts'
import { vectorSpecOf } from '../db/segment/view.ts'
import { type Answer, answer, recordTexts } from './answer.ts'
import { type QueryRoutes, queryRoutes } from './query-routes.ts'
import { createBody, searchBody, upsertBody } from './request-shapes.ts'
import type { SearchJournal } from './search-journal.ts'

/** What the routes do with a store. Bodies are parsed JSON; failures are AkidbError. */
export interface Collections extends QueryRoutes {
  create(body: JsonValue): Promise<Answer>
  list(): Promise<Answer>
  show(name: string): Promise<Answer>
  drop(name: string): Promise<Answer>
  upsert(name: string, body: JsonValue): Promise<Answer>
  search(name: string, body: JsonValue, signal: AbortSignal): Promise<Answer>
}

/**
 * The routes' work on an open store; `journal` is told of every search.
 *
 * @param isBusy whether other requests wait: searches then run on worker threads
 */
export function serveCollections(
  store: Store,
  journal: SearchJournal | undefined,
  isBusy: () => boolean = () => false,
): Collections {
  return {
    create: async (body) => {
      const {
        name,
        vector_dim: dimension,
        distance: metric,
        text_fields,
        text_positions,
        sparse_fields,
        quantization,
        storage,
      } = createBody(body)
      const collection = await store.createCollection(name, {
        ...(dimension === undefined ? {} : { dimension }),
        ...(metric === undefined ? {} : { metric }),
        ...(text_fields === undefined ? {} : { textFields: text_fields }),
        ...(text_positions === undefined ? {} : { textPositions: text_positions }),
        ...(quantization === undefined ? {} : { index: { quantization } }),
        ...(storage === undefined ? {} : { storage }),
        ...(sparse_fields === undefined ? {} : { sparseFields: sparse_fields }),
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
      const { top_k, as_of, with_payload, with_vector, fusion, vector_weight, ...same } =
        searchBody(body)
      const collection = await store.collection(name)
      const { hits, plan, stateRoot } = await collection.search({
        ...same,
        ...(top_k === undefined ? {} : { k: top_k }),
        ...(fusion === undefined
          ? {}
          : { fusion: { kind: fusion, vectorWeight: vector_weight ?? 0.5 } }),
        ...(as_of === undefined ? {} : { asOf: as_of }),
        ...(with_payload === undefined ? {} : { withPayload: with_payload }),
        ...(with_vector === undefined ? {} : { withVector: with_vector }),
        offThread: isBusy(),
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
      return { status: 200, json: `{"hits":[${recordTexts(hits).join(',')}],${rest.slice(1)}` }
    },
    ...queryRoutes(store, journal, isBusy),
  }
}

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
  text_positions: info.schema.text.positions === true,
  quantization: info.dimension === null ? null : (info.index.quantization ?? 'int8'),
  storage: info.dimension === null ? null : (vectorSpecOf(info.schema)?.storage ?? 'f32'),
})
