import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildHnswlibIndex, openVerifiedHnswlibFile } from '../../src/ann/hnswlib.ts'
import { searchRanked } from '../../src/ann/ranked-search.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { exactDistance, METRICS } from '../../src/core/metric.ts'
import { clusteredVectors, exactHits, GRAPH, segmentOf } from './reference.ts'

const installed = await import('hnswlib-node').then(
  () => true,
  () => false,
)
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-hnswlib-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe.skipIf(!installed)('hnswlib provider', () => {
  const dimension = 20
  const vectors = clusteredVectors(800, dimension, 90)
  const query = vectors.slice(dimension, 2 * dimension)

  it.each(METRICS)(
    'gives all that are as far as the k-th to an exact search by %s',
    async (metric) => {
      const alike = vectors.slice()
      for (const row of [700, 90, 20, 400])
        alike.copyWithin(row * dimension, dimension, 2 * dimension)
      for (let row = 500; row < 530; row++) alike.copyWithin(row * dimension, 0, dimension)
      const segment = segmentOf(metric, dimension, alike)
      const index = await buildHnswlibIndex(segment, { ...GRAPH, type: 'hnswlib' })
      for (const [near, twins] of [
        [query, [1, 20, 90, 400, 700]],
        [alike.slice(0, dimension), [0, ...Array.from({ length: 30 }, (_, i) => 500 + i)]],
      ] as const) {
        const request = { query: near, k: 10, ef: 1, kind: 'scan-f32', certain: 2 } as const
        const { rows, distances } = searchRanked(index, request)
        // By the dot product others may be nearer than a row is to itself.
        if (metric === 'dot') expect(rows.length).toBeGreaterThanOrEqual(2)
        else expect([...rows].toSorted((a, b) => a - b)).toEqual(twins)
        expect([...distances]).toEqual(
          [...rows].map((row) => exactDistance(metric, near, index.vector(row))),
        )
      }
    },
  )

  it.each(METRICS)(
    'finds most nearest rows by %s and the same ones from its file',
    async (metric) => {
      const segment = segmentOf(metric, dimension, vectors)
      const index = await buildHnswlibIndex(segment, { ...GRAPH, type: 'hnswlib' })
      const request = { query, k: 10, ef: 100, kind: 'graph' } as const
      const hits = index.search(request)
      const exact = new Set(exactHits(segment, vectors, { query, k: 10 }).map(({ row }) => row))
      expect([...hits.rows].filter((row) => exact.has(row)).length).toBeGreaterThanOrEqual(8)
      const path = join(folder, `${metric}.hnsw`)
      index.save(path)
      expect((await openVerifiedHnswlibFile(path, segment)).search(request)).toEqual(hits)
      expect(index.vector(1)).toEqual(query)
    },
  )

  it('returns k allowed rows', async () => {
    const segment = segmentOf('cosine', dimension, vectors)
    const index = await buildHnswlibIndex(segment, { ...GRAPH, type: 'hnswlib' })
    const allowed = Bitset.from(800, [3, 77, 500])
    const { rows } = index.search({ query, k: 10, ef: 10, kind: 'graph', allowed })
    expect([...rows].sort((a, b) => a - b)).toEqual([3, 77, 500])
  })

  it('refuses a file that is missing, short, or of other rows', async () => {
    const segment = segmentOf('l2', dimension, vectors)
    const missing = openVerifiedHnswlibFile(join(folder, 'none'), segment)
    await expect(missing).rejects.toMatchObject({ code: 'INTEGRITY' })
    const short = join(folder, 'short')
    await writeFile(short, Buffer.alloc(10))
    await expect(openVerifiedHnswlibFile(short, segment)).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
    const path = join(folder, 'l2-few.hnsw')
    const few = segmentOf('l2', dimension, vectors.subarray(0, 10 * dimension))
    const index = await buildHnswlibIndex(few, { ...GRAPH, type: 'hnswlib' })
    index.save(path)
    await expect(openVerifiedHnswlibFile(path, segment)).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })
})
