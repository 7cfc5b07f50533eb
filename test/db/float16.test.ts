import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { decodeFloat16, encodeFloat16 } from '../../src/core/float16.ts'
import type { VectorSpec } from '../../src/core/schema.ts'
import type { SearchRequest } from '../../src/db/api/api.ts'
import { SegmentReader } from '../../src/db/segment/segment-reader.ts'
import { vectorSpecOf } from '../../src/db/segment/view.ts'
import { readBlob, writeBlob } from '../../src/db/states/blob-store.ts'
import { createWriterPin } from '../../src/db/states/pins.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import { decodeBlobHead, section } from '../../src/format/blob.ts'
import type { BlobRef, SegmentEntry } from '../../src/format/manifest.ts'
import { decodeState } from '../../src/format/manifest-codec.ts'
import { largeCollection } from '../support/large-collection.ts'
import {
  inputFile,
  jsonLines,
  randomNumbers,
  tempFolder,
  tempStore,
} from '../support/temp-store.ts'
import { pack, twoSites, unpack } from '../transfer/sites.ts'

const SEED = 20_260_411
const DIMENSION = 70

const randomVectors = (count: number, seed = SEED): Float32Array[] => {
  const random = randomNumbers(seed)
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: DIMENSION }, () => random() - 0.45),
  )
}
const rounded = (vector: Float32Array): Float32Array => decodeFloat16(encodeFloat16(vector))

const records = (vectors: readonly Float32Array[]) =>
  vectors.map((vector, i) => ({ id: `r${i}`, vector }))

const jsonOf = (vectors: readonly (Float32Array | readonly number[])[]): string =>
  vectors.map((vector, i) => `${JSON.stringify({ id: `r${i}`, vector: [...vector] })}\n`).join('')

async function ingested(store: OpenedStore, name: string, text: string): Promise<void> {
  const path = await inputFile(await tempFolder(), 'rows.jsonl', text)
  await store.prospect(name).ingest({ inputs: [path], storage: 'f16', metric: 'l2' })
}

async function blobOf(store: OpenedStore, name: string): Promise<BlobRef> {
  const { state } = await store.core(name).head()
  return state.segments[0]?.blobs[0] as BlobRef
}

const blobPath = ({ url }: OpenedStore, { digest }: BlobRef): string =>
  join(url, 'blobs', '0', digest.slice(0, 2), digest)

describe('vectors stored as f16', () => {
  it('come out rounded to the nearest, and take 2 bytes a component', async () => {
    const store = await tempStore()
    const vectors = randomVectors(90)
    await ingested(store, 'docs', jsonOf(vectors))
    const docs = await store.collection('docs')
    const found = await docs.get(['r0', 'r89'], { withVector: true })
    const wanted = [vectors[0], vectors[89]].map((vector) => rounded(vector as Float32Array))
    expect(found.map((record) => record?.vector)).toEqual(wanted)
    expect(wanted[0]).not.toEqual(vectors[0])
    const { sections } = await readBlob(store.environment.store, await blobOf(store, 'docs'))
    const patterns = vectors.flatMap((vector) => [...encodeFloat16(vector)])
    const stored = Uint16Array.from(patterns)
    expect(Buffer.from(sections.get('vec') ?? []).equals(Buffer.from(stored.buffer))).toBe(true)
    const { schema } = await docs.info()
    const spec = { kind: 'dense', dimension: DIMENSION, metric: 'l2', storage: 'f16' }
    expect(schema.vectors).toEqual({ '': spec })
  })

  it('give the same state whatever made them', async () => {
    const roots: string[] = []
    const vectors = randomVectors(300)
    for (const [threads, given] of [
      [1, vectors],
      [2, vectors.map(rounded)],
    ] as const) {
      const made = await tempStore()
      await made.close()
      const store = await openStore({ url: made.url, mode: 'write', threads })
      onTestFinished(() => store.close())
      await ingested(store, 'docs', jsonOf(given))
      roots.push((await blobOf(store, 'docs')).digest)
    }
    expect(roots[1]).toBe(roots[0])
  })

  it('are scored alike in the log, in a segment, merged, and as float32 of the same', async () => {
    const vectors = randomVectors(60)
    const [query] = randomVectors(1, SEED + 1)
    const request: SearchRequest = { vector: query as Float32Array, k: 60, withVector: true }
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: DIMENSION, storage: 'f16' })
    const plain = await store.createCollection('plain', { dimension: DIMENSION })
    await plain.upsert(records(vectors.map(rounded)))
    const wanted = (await plain.search(request)).hits
    await docs.upsert(records(vectors.slice(0, 40)))
    await docs.flush()
    await docs.upsert(records(vectors).slice(40))
    expect((await docs.search(request)).hits).toEqual(wanted)
    await docs.flush()
    expect((await docs.search(request)).hits).toEqual(wanted)
    await docs.compact()
    expect((await docs.search(request)).hits).toEqual(wanted)
    await store.close()
    await using again = await openStore({ url: store.url, mode: 'read' })
    expect((await (await again.collection('docs')).search(request)).hits).toEqual(wanted)
  })

  it('refuse what has no f16 number or no direction', async () => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 2, storage: 'f16' })
    const bad = (...vector: number[]) =>
      docs.upsert([{ id: 'x', vector: Float32Array.from(vector) }])
    await expect(bad(1, -65_520)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(bad(1, Number.NaN)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(bad(1e-8, -1e-8)).rejects.toThrow('no direction')
    await bad(65_519, 1)
    const rejectsFile = join(await tempFolder(), 'rejects.jsonl')
    const rows = jsonOf([
      [1, 2],
      [65_520, 1],
      [1e-9, 0],
      [-65_519, 1],
    ])
    const path = await inputFile(dirname(rejectsFile), 'rows.jsonl', rows)
    const report = await docs.ingest({ inputs: [path], rejectsFile, maxRejects: 2 })
    expect(report).toMatchObject({ inserted: 2, rejected: 2 })
    expect(await jsonLines(rejectsFile)).toMatchObject([
      { id: 'r1', code: 'NOT_FINITE', reason: 'Component 0 (65520) is beyond float16.' },
      { id: 'r2', code: 'ZERO_VECTOR' },
    ])
    const [last] = await docs.get(['r3'], { withVector: true })
    expect(last?.vector).toEqual(Float32Array.of(-65_504, 1))
  })

  it('are chosen once, with a dimension', async () => {
    const store = await tempStore()
    const storage = 'f16'
    await expect(store.createCollection('a', { storage })).rejects.toMatchObject({ code: 'USAGE' })
    const other = { dimension: 2, storage: 'f8' as 'f16' }
    await expect(store.createCollection('a', other)).rejects.toMatchObject({ code: 'USAGE' })
    await store.createCollection('a', { dimension: DIMENSION, metric: 'l2' })
    const again = ingested(store, 'a', jsonOf(randomVectors(2)))
    await expect(again).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      message: expect.stringContaining('collection "a" stores vectors as f32, not f16'),
    })
  })

  it('are told apart from those of a collection that had the name before', async () => {
    const store = await tempStore()
    for (const storage of [undefined, 'f16'] as const) {
      const options = { dimension: 2, ...(storage && { storage }) }
      const docs = await store.createCollection('docs', options)
      const same = { id: 'same', vector: Float32Array.of(1, 0.5) }
      await docs.upsert([same, { id: 'other', vector: Float32Array.of(1, 0.1) }])
      await docs.flush()
      if (storage === undefined) await store.drop('docs')
    }
    const docs = await store.collection('docs')
    const versions: string[] = []
    for await (const { version, inserted } of docs.log()) {
      if (inserted === 2) versions.push(String(version))
    }
    const [after = '', before = ''] = versions
    const { changes } = await docs.diff(before, after)
    expect(changes).toEqual([{ id: 'other', change: 'updated' }])
  })
})

it('rows on disk give the bits of rows in memory, and nearly all that float32 finds', {
  timeout: 60_000,
}, async () => {
  const shape = { segments: [14_000], dimension: 421, metric: 'cosine', seed: SEED } as const
  const made = await tempStore()
  await largeCollection(made, 'docs', { ...shape, storage: 'f16' })
  await largeCollection(made, 'plain', shape)
  const random = randomNumbers(SEED + 2)
  const queries = Array.from({ length: 12 }, () =>
    Float32Array.from({ length: shape.dimension }, () => random() - 0.5),
  )
  const plain = await made.collection('plain')
  let same = 0
  for (const vector of queries) {
    const { hits } = await plain.search({ vector, exact: true })
    const wanted = new Set(hits.map(({ id }) => id))
    const docs = await made.collection('docs')
    const found = await docs.search({ vector, exact: true })
    same += found.hits.filter(({ id }) => wanted.has(id)).length
  }
  expect(same / (10 * queries.length), `seed ${SEED}`).toBeGreaterThan(0.99)
  await made.close()
  const results: unknown[] = []
  for (const [memoryBytes, place] of [
    [1024 ** 3, 'memory'],
    [24 * 1024 ** 2, 'disk'],
  ] as const) {
    await using store = await openStore({ url: made.url, mode: 'write', threads: 2, memoryBytes })
    const docs = await store.collection('docs')
    const found: unknown[] = []
    for (const [i, vector] of queries.entries()) {
      found.push((await docs.search({ vector, k: 30, withVector: true })).hits)
      const filter = { must: { key: 'n', range: { lt: 30 * (i + 1) } } }
      found.push((await docs.search({ vector, exact: true, filter })).hits)
    }
    found.push(await docs.get(['0-0', '0-7000', '0-13999'], { withVector: true }))
    for await (const record of docs.scan({ withVector: true, filter: below(50) })) {
      found.push(record)
    }
    const { segments } = await docs.info()
    expect(segments.map(({ memory }) => memory?.vectors)).toEqual([place])
    expect(segments[0]?.blobs.vectors).toBeLessThan(14_000 * 421 * 2.01)
    expect((await store.check({ readData: true })).problems).toEqual([])
    results.push(found)
  }
  expect(results[1]).toStrictEqual(results[0])
})

const below = (n: number) => ({ must: { key: 'n', range: { lt: n } } })

describe('a collection with f16 vectors', () => {
  it('is refused by versions that do not know them', async () => {
    const store = await tempStore()
    await store.createCollection('docs', { dimension: 2, storage: 'f16' })
    const { state } = await store.core('docs').head()
    expect(state.requires).toEqual(['f16@0.1.0'])
    await store.drop('docs')
    expect((await store.core('docs').manifests.newest())?.state.requires).toEqual(['f16@0.1.0'])
    const silent = Buffer.from(JSON.stringify({ ...state, requires: [] }))
    expect(() => decodeState(silent, 'x')).toThrow('it needs f16@0.1.0 and does not say so')
  })

  it('is repaired: what is built of its rows comes out byte for byte', async () => {
    const store = await tempStore()
    await ingested(store, 'docs', jsonOf(randomVectors(50)))
    const ref = await blobOf(store, 'docs')
    const path = blobPath(store, ref)
    const whole = await readFile(path)
    const codes = decodeBlobHead(whole, ref).sections.get('codes')
    const damaged = Buffer.from(whole)
    const at = (codes?.offset ?? 0) + 100
    damaged[at] = (damaged[at] ?? 0) ^ 1
    await writeFile(path, damaged)
    expect((await store.check({ readData: true })).problems).not.toEqual([])
    expect((await store.repair()).missing).toEqual([])
    expect((await readFile(path)).equals(whole)).toBe(true)
  })

  it('is carried to another store by a bundle', async () => {
    const { from, to, folder } = await twoSites()
    const vectors = randomVectors(40)
    await ingested(from, 'half', jsonOf(vectors))
    const request: SearchRequest = { vector: vectors[3] as Float32Array, withVector: true }
    const wanted = (await (await from.collection('half')).search(request)).hits
    const { path } = await pack(from, folder, 'half', { collections: ['half'] })
    await unpack(to, path)
    expect((await (await to.collection('half')).search(request)).hits).toEqual(wanted)
    expect((await to.check({ readData: true })).problems).toEqual([])
  })

  it('is damaged where a number is infinite, or numbers are of another length', async () => {
    const store = await tempStore()
    await ingested(store, 'docs', jsonOf(randomVectors(50)))
    const { environment } = store
    const { state } = await store.core('docs').head()
    const [entry] = state.segments as [SegmentEntry]
    const [ref] = entry.blobs as [BlobRef]
    const { sections } = await readBlob(environment.store, ref)
    const pin = createWriterPin(environment)
    const opened = async (change: (vectors: Buffer) => Uint8Array): Promise<unknown> => {
      const parts = [...sections].map(([name, bytes]) =>
        section(name, name === 'vec' ? change(Buffer.from(bytes)) : bytes),
      )
      const input = { role: 'pack', records: 50, dimension: DIMENSION, sections: parts } as const
      const blob = await writeBlob(environment.store, pin, input)
      const reader = new SegmentReader(environment.store, { ...entry, blobs: [blob] })
      return await reader.vectorIndex(vectorSpecOf(state.schema) as VectorSpec, state.index)
    }
    await expect(opened((bytes) => bytes)).resolves.toBeDefined()
    const infinite = (bytes: Buffer): Buffer => {
      bytes.writeUInt16LE(0xfc00, 7 * 2)
      return bytes
    }
    await expect(opened(infinite)).rejects.toMatchObject({ code: 'INTEGRITY' })
    const float32 = (bytes: Buffer): Buffer => Buffer.concat([bytes, bytes])
    await expect(opened(float32)).rejects.toThrow('vectors of another length')
    await pin.release()
  })
})
