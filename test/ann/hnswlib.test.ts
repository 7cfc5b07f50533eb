import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildHnswlibIndex, openVerifiedHnswlibFile } from '../../src/ann/hnswlib.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { METRICS } from '../../src/core/metric.ts'
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
