import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openStore } from '../../src/index.ts'
import { inputFile, opened, randomNumbers, tempFolder, tempStore } from '../support/temp-store.ts'

const installed = await import('hnswlib-node').then(
  () => true,
  () => false,
)
const ROWS = 3_000
const DIMENSION = 6
const SEED = 41
const HNSWLIB = { type: 'hnswlib', m: 12, efConstruction: 80 } as const

/** A store with a collection of random vectors that is to be searched by hnswlib. */
async function hnswlibStore() {
  const random = randomNumbers(SEED)
  const vector = (): number[] =>
    Array.from({ length: DIMENSION }, () => Math.fround(random() - 0.5))
  const text = Array.from(
    { length: ROWS },
    (_, n) => `${JSON.stringify({ id: `r${n}`, vector: vector(), tag: n % 2 ? 'odd' : 'even' })}\n`,
  )
  const store = await tempStore()
  const file = await inputFile(await tempFolder(), 'rows.jsonl', text.join(''))
  await store.prospect('docs').ingest({ inputs: [file] })
  const docs = await store.collection('docs')
  await docs.buildIndex({ index: HNSWLIB })
  const query = Float32Array.from(vector())
  return { store, docs, query, cache: join(store.stateFolder, 'cache', 'hnswlib') }
}

const idsIn = ({ hits }: { readonly hits: readonly { readonly id: string }[] }): string[] =>
  hits.map(({ id }) => id)

/** The one graph in the cache. */
async function graphIn(cache: string): Promise<string> {
  const names = (await readdir(cache)).sort()
  expect(names).toHaveLength(2)
  expect(names[1]).toBe(`${names[0]}.sha256`)
  return join(cache, names[0] ?? '')
}

describe.skipIf(!installed)('an index of type hnswlib', () => {
  it('finds most of the nearest, with and without a filter, and no dead rows', async () => {
    const { docs, query } = await hnswlibStore()
    expect(await docs.indexStatus()).toMatchObject([
      { rows: ROWS, type: 'hnswlib', graph: false, m: 12, efConstruction: 80 },
    ])
    for (const filter of [undefined, { tag: 'odd' }]) {
      const request = { vector: query, k: 10, ef: 20, ...(filter && { filter }) }
      const near = await docs.search(request)
      const exact = idsIn(await docs.search({ ...request, exact: true }))
      const common = idsIn(near).filter((id) => exact.includes(id))
      expect(near.hits).toHaveLength(10)
      if (filter === undefined) expect(JSON.stringify(near.plan)).toContain('"kind":"graph"')
      expect(common.length, `seed ${SEED}`).toBeGreaterThanOrEqual(8)
    }
    const [nearest = ''] = idsIn(await docs.search({ vector: query, k: 1, ef: 20 }))
    await docs.delete({ ids: [nearest] })
    expect(idsIn(await docs.search({ vector: query, k: 10, ef: 20 }))).not.toContain(nearest)
  })

  it('measures its recall', async () => {
    const { docs } = await hnswlibStore()
    const { recall } = await docs.recall({ k: 5, ef: 20, samples: 20 })
    expect(recall, `seed ${SEED}`).toBeGreaterThan(0.8)
  })

  it('is kept in the cache alone, and loaded from there', async () => {
    const { store, docs, query, cache } = await hnswlibStore()
    const hits = idsIn(await docs.search({ vector: query, k: 10 }))
    const path = await graphIn(cache)
    const [segment] = (await store.core('docs').head()).state.segments
    expect(segment?.blobs.map(({ role }) => role)).not.toContain('graph')
    expect((await store.check({ readData: true })).problems).toEqual([])
    const before = new Date(2_000)
    await utimes(path, before, before)
    await store.close()
    const again = await (await opened(store.url)).collection('docs')
    expect(idsIn(await again.search({ vector: query, k: 10 }))).toEqual(hits)
    expect((await stat(path)).mtimeMs).toBe(before.getTime())
  })

  it('is built anew where its file is damaged, or its digest is gone', async () => {
    const { store, docs, query, cache } = await hnswlibStore()
    const hits = idsIn(await docs.search({ vector: query, k: 10 }))
    const path = await graphIn(cache)
    const sound = await readFile(path)
    await store.close()
    for (const damage of [
      () => writeFile(path, sound.subarray(0, 100)),
      () => writeFile(path, Buffer.concat([sound.subarray(0, -1), Buffer.from([1, 2])])),
      () => writeFile(`${path}.sha256`, ''),
    ]) {
      await damage()
      await using next = await openStore({ url: store.url, mode: 'write' })
      const found = await (await next.collection('docs')).search({ vector: query, k: 10 })
      expect(idsIn(found)).toEqual(hits)
      expect(await readFile(path)).toEqual(sound)
    }
  })
})

describe.runIf(!installed)('an index of type hnswlib without hnswlib-node', () => {
  it('says that the package is missing', async () => {
    const { docs, query } = await hnswlibStore()
    await expect(docs.search({ vector: query, k: 1 })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })
})
