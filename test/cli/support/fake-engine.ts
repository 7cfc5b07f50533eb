import type { Engine } from '../../../src/cli/engine.ts'
import type { JsonObject } from '../../../src/core/json.ts'
import type {
  BatchSearch,
  Collection,
  CollectionInfo,
  Store,
  StoredRecord,
} from '../../../src/db/api/api.ts'
import { AkidbError } from '../../../src/errors/errors.ts'

export const ROOT = 'ab'.repeat(32)

/** What the fake was asked for: name of the function and its argument. */
export interface Call {
  readonly name: string
  readonly request: unknown
}

export interface FakeEngine {
  readonly engine: Engine
  readonly calls: Call[]
  readonly last: (name: string) => Record<string, unknown>
}

export interface FakeParts {
  readonly engine?: Partial<Engine>
  readonly store?: Partial<Store>
  readonly collection?: Partial<Collection>
  readonly records?: readonly StoredRecord[]
  readonly info?: Partial<CollectionInfo>
}

/**
 * An engine whose every function is replaceable; one that was not replaced fails the test that
 * calls it.
 */
export function fakeEngine(parts: FakeParts = {}): FakeEngine {
  const calls: Call[] = []
  const records = parts.records ?? RECORDS
  const collection: Collection = recording('collection', calls, {
    name: 'docs',
    id: 'c1',
    info: async () => ({ ...INFO, ...parts.info }),
    get: async (ids: readonly string[]) => ids.map((id) => records.find((one) => one.id === id)),
    async *scan() {
      yield* records
    },
    delete: async () => ({ deleted: 2 }),
    search: async () => ({
      hits: [{ id: 'a', score: 0.5, distance: 0.5, payload: payload({ title: 'x' }) }],
      plan: { kind: 'scan', segments: [{ rows: 2 }] },
      stateRoot: ROOT,
    }),
    // One search a query, so that tests see what each asks for.
    async *searchBatch(requests: AsyncIterable<BatchSearch>) {
      for await (const request of requests) yield await collection.search(request)
    },
    snapshots: { list: async () => [] },
    query: async () => ({ hits: [], plan: { kind: 'sample' }, stateRoot: ROOT }),
    ...parts.collection,
  }) as unknown as Collection
  const store = recording('store', calls, {
    id: 's1',
    url: '/store',
    mode: 'read',
    stateFolder: '/store/local',
    warm: () => undefined,
    collection: async (name: string) => {
      if (name === 'docs') return collection
      throw new AkidbError('NOT_FOUND', `there is no collection "${name}"`)
    },
    list: async () => [{ ...INFO, ...parts.info }],
    close: async () => undefined,
    ...parts.store,
  }) as unknown as Store
  const engine = recording('engine', calls, {
    openStore: async () => store,
    auditSearch: async () => undefined,
    ...parts.engine,
  }) as unknown as Engine
  const last = (name: string): Record<string, unknown> => {
    const call = calls.findLast((one) => one.name === name)
    if (call === undefined) throw new Error(`${name} was not called`)
    return call.request as Record<string, unknown>
  }
  return { engine, calls, last }
}

/** Notes every call; what is not there is an error that names it. */
const recording = (owner: string, calls: Call[], members: object): object =>
  new Proxy(members, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') {
        if (member !== undefined || typeof name === 'symbol' || name === 'then') return member
        throw new Error(`the fake has no ${owner}.${name}`)
      }
      return (...args: readonly unknown[]) => {
        // The request proper is the last object; a store or name may come before it.
        calls.push({ name: String(name), request: args.at(-1) })
        return (member as (...all: readonly unknown[]) => unknown).apply(target, [...args])
      }
    },
  })

export const payload = (fields: Readonly<Record<string, unknown>>): JsonObject =>
  new Map(Object.entries(fields)) as JsonObject

export const RECORDS: readonly StoredRecord[] = [
  {
    id: 'a',
    vector: Float32Array.of(1, 0.5),
    payload: payload({ title: 'first', year: 1962, wide: 2n ** 60n, tags: ['x', null] }),
    source: { file: 'a.csv', sha256: 'cd'.repeat(32), row: 17 },
  },
  { id: 'b', vector: Float32Array.of(0, -0.25), payload: payload({ title: '', year: 2.5 }) },
]

export const INFO: CollectionInfo = {
  collection: 'docs',
  dimension: 2,
  metric: 'cosine',
  count: 2,
  manifestVersion: 3,
  stateRoot: ROOT,
  segments: [{ rows: 2, deleted: 0, bytes: 100, graph: false, blobs: { pack: 100 } }],
  sources: [{ name: 'a.csv', sha256: 'cd'.repeat(32), rows: 2, rejected: 0 }],
  schema: {
    vectors: { '': { kind: 'dense', dimension: 2, metric: 'cosine' } },
    fields: { title: 'string', year: 'integer' },
    text: { fields: ['title'], tokenizer: 'plain/1' },
  },
  index: { type: 'hnsw', m: 16, efConstruction: 200 },
  bytes: 100,
}
