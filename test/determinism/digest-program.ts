// Ingests a file into a new store, searches it, and prints digests of everything that must be the
// same on every machine. Arguments: store folder, Parquet file, query file, threads.
import { createHash } from 'node:crypto'
import { initStore } from '../../src/db/open/init.ts'
import { openQueries } from '../../src/db/search/query-file.ts'
import { openStore } from '../../src/db/store.ts'

const [url = '', data = '', queries = '', threads = '1'] = process.argv.slice(2)

interface Blobs {
  readonly blobs: readonly { readonly role: string; readonly digest: string }[]
}

/** Digests by role, in the order of segments. */
function rolesOf(segments: readonly Blobs[]): Record<string, string> {
  const roles: Record<string, string> = {}
  for (const { role, digest } of segments.flatMap((segment) => segment.blobs)) {
    roles[role] = [...(roles[role]?.split(' ') ?? []), digest].join(' ')
  }
  return roles
}

/** Ids and the bits of scores and distances. */
function digestOf(hits: readonly { id: string; score: number; distance?: number }[]): string {
  const hash = createHash('sha256')
  for (const { id, score, distance = 0 } of hits) {
    hash.update(`${id}\0`).update(new Uint8Array(Float64Array.of(score, distance).buffer))
  }
  return hash.digest('hex')
}

const FILTERED = { must: [{ key: 'chars', range: { gte: 61 } }] }

await initStore({ url, noKey: true })
const store = await openStore({ url, mode: 'write', threads: Number(threads) })
const docs = store.prospect('docs')
await docs.ingest({ inputs: [data], textColumns: ['text'] })
const { state, commit } = await store.core('docs').head()
const collection = await store.collection('docs')
const source = await openQueries({ path: queries, dimension: 768, text: true })
const answers = { walk: '', exact: '', filtered: '', text: '' }
let asked = 0
for await (const { vector, text } of source.rows) {
  if (vector === undefined || text === undefined || ++asked > 100) continue
  const add = async (kind: keyof typeof answers, request: object): Promise<void> => {
    const { hits } = await collection.search({ ...request, withPayload: false })
    answers[kind] = createHash('sha256').update(answers[kind]).update(digestOf(hits)).digest('hex')
  }
  await add('walk', { vector, ef: 128 })
  await add('exact', { vector, exact: true })
  await add('filtered', { vector, filter: FILTERED })
  await add('text', { text })
}
await store.close()
const { payload = '', ...blobs } = rolesOf(state.segments)
console.log(JSON.stringify({ blobs, answers, payload, stateRoot: commit.stateRoot }))
