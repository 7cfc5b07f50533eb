import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import type { SegmentEntry } from '../../src/format/manifest.ts'
import { type LargeShape, largeCollection } from '../support/large-collection.ts'
import { tempStore } from '../support/temp-store.ts'

/** A segment with a graph, whose roles have blobs of their own, and a pack. */
const SHAPE: LargeShape = {
  segments: [10_100, 300],
  dimension: 420,
  metric: 'cosine',
  textFields: ['title'],
  seed: 20_261_122,
}
const M8 = { type: 'hnsw', m: 8, efConstruction: 24 } as const

const segmentsOf = async (store: OpenedStore, name: string): Promise<readonly SegmentEntry[]> =>
  (await store.core(name).head()).state.segments

const roleOf = ({ blobs }: SegmentEntry, role: string): string =>
  blobs.find((blob) => blob.role === role)?.digest ?? expect.fail(`no ${role}`)

const blobPath = (url: string, digest: string): string =>
  join(url, 'blobs', '0', digest.slice(0, 2), digest)

describe('an index built anew', { timeout: 60_000 }, () => {
  it('has the bytes of one that was written with the rows, and leaves the rest', async () => {
    const store = await tempStore()
    await largeCollection(store, 'docs', SHAPE)
    await largeCollection(store, 'at-once', { ...SHAPE, index: M8 })
    const docs = await store.collection('docs')
    const before = await segmentsOf(store, 'docs')
    expect((await docs.buildIndex({ again: true })).segments).toBe(2)
    expect(await segmentsOf(store, 'docs')).toEqual(before)

    // Of the large one, what has nothing to do with the index is not even read.
    const [large] = before as [SegmentEntry]
    for (const role of ['ids', 'payload', 'origin', 'fields', 'text']) {
      await rm(blobPath(store.url, roleOf(large, role)))
    }
    const removed = await openStore({ url: store.url, mode: 'write', threads: 2 })
    try {
      const again = await removed.collection('docs')
      // The pack has no graph, and stays as it is.
      expect((await again.buildIndex({ index: M8 })).segments).toBe(1)
      const after = await segmentsOf(removed, 'docs')
      expect(after).toEqual(await segmentsOf(removed, 'at-once'))
      expect(roleOf(after[0] as SegmentEntry, 'graph')).not.toBe(roleOf(large, 'graph'))
      expect(roleOf(after[0] as SegmentEntry, 'vectors')).toBe(roleOf(large, 'vectors'))
    } finally {
      await removed.close()
    }
  })

  it('keeps deletions, stored float16 and a measured recall', async () => {
    const store = await tempStore()
    const shape = { ...SHAPE, segments: [4_200], dimension: 2_080, storage: 'f16' } as const
    await largeCollection(store, 'docs', shape)
    const docs = await store.collection('docs')
    const near = await docs.search({ id: '0-7', k: 3, withPayload: false })
    const gone = near.hits[0]?.id ?? ''
    await docs.delete({ ids: [gone] })
    const exact = await docs.search({ id: '0-7', k: 3, exact: true })
    const index = { ...M8, quantization: 'binary' } as const
    await docs.buildIndex({ index })
    const [entry] = await segmentsOf(store, 'docs')
    expect(entry?.tombstones).toBeDefined()
    expect(entry?.measured).toMatchObject({ form: 'binary' })
    expect((await docs.search({ id: '0-7', k: 3, exact: true })).hits).toEqual(exact.hits)
    expect(exact.hits.map(({ id }) => id)).not.toContain(gone)
    await docs.buildIndex({ index: { ...M8, quantization: 'int8' } })
    expect((await segmentsOf(store, 'docs'))[0]?.measured).toBeUndefined()
    expect((await docs.search({ id: '0-7', k: 3, exact: true })).hits).toEqual(exact.hits)
  })

  it('is not taken where vectors are damaged', async () => {
    const store = await tempStore()
    await largeCollection(store, 'docs', { ...SHAPE, segments: [4_200], dimension: 1_000 })
    await store.close()
    const writer = await openStore({ url: store.url, mode: 'write', threads: 2 })
    try {
      const docs = await writer.collection('docs')
      const before = await writer.core('docs').head()
      const [entry] = before.state.segments as [SegmentEntry]
      const path = blobPath(store.url, roleOf(entry, 'vectors'))
      const bytes = await readFile(path)
      const at = bytes.length >> 1
      bytes[at] = (bytes[at] ?? 0) ^ 1
      await writeFile(path, bytes)
      await expect(docs.buildIndex({ again: true })).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect((await writer.core('docs').head()).digest).toBe(before.digest)
    } finally {
      await writer.close()
    }
  })
})
