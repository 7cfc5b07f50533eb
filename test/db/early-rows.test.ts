import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import type { VectorSpec } from '../../src/core/schema.ts'
import type { Hit } from '../../src/db/api/api.ts'
import type { SegmentReader } from '../../src/db/segment/segment-reader.ts'
import { vectorSpecOf } from '../../src/db/segment/view.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { blobKey } from '../../src/format/blob.ts'
import { clustered, largeCollection } from '../support/large-collection.ts'
import { tempStore } from '../support/temp-store.ts'

const SEED = 20_261_121
/** 17 MB of float32 rows: just more than a first search waits for. */
const SHAPE = { segments: [10_100], dimension: 421, metric: 'cosine', seed: SEED } as const

interface Site {
  readonly store: OpenedStore
  readonly reader: SegmentReader
  readonly open: (whole?: boolean) => ReturnType<SegmentReader['vectorIndex']>
  /** File of the vectors. */
  readonly path: string
}

async function site(): Promise<Site> {
  const store = await tempStore()
  await largeCollection(store, 'docs', SHAPE)
  const core = store.core('docs')
  const { state } = await core.head()
  const [entry] = state.segments
  if (entry === undefined) throw new Error('no segment')
  const reader = core.reader(entry)
  const spec = vectorSpecOf(state.schema) as VectorSpec
  const open = (whole = false) => reader.vectorIndex(spec, state.index, { whole })
  const digest = entry.blobs.find(({ role }) => role === 'vectors')?.digest ?? ''
  return { store, reader, open, path: join(store.url, blobKey(digest)) }
}

it('the first search does not wait for the rows; later ones have them', async () => {
  const { store, reader, open } = await site()
  const docs = await store.collection('docs')
  const vector = clustered(SHAPE.dimension, SEED + 1)()
  const first = await docs.search({ vector })
  expect(reader.placement).toBe('memory')
  // That this asks again is what brings them.
  expect((await open()).placement).toBe('disk')
  const whole = await open(true)
  expect(whole.placement).toBe('memory')
  expect(await open()).toBe(whole)
  const second = await docs.search({ vector })
  expect(second.hits).toStrictEqual(first.hits)
  await store.close()
})

it('who compares every row, and a batch, have them at once', async () => {
  const { store, open } = await site()
  const docs = await store.collection('docs')
  const vector = clustered(SHAPE.dimension, SEED + 2)()
  const exact = await docs.search({ vector, exact: true })
  expect((await open()).placement).toBe('memory')
  store
    .core('docs')
    .reader((await store.core('docs').head()).state.segments[0] as never)
    .close()
  const batch = docs.searchBatch([{ vector, exact: true }], { preload: true })
  for await (const { hits } of batch) expect(hits).toEqual(exact.hits)
  expect((await open()).placement).toBe('memory')
  await store.close()
})

type Docs = Awaited<ReturnType<OpenedStore['collection']>>
type Ask = (docs: Docs, vectors: readonly Float32Array[]) => Promise<(readonly Hit[])[]>

const each =
  (ask: (docs: Docs, vector: Float32Array) => Promise<{ readonly hits: readonly Hit[] }>): Ask =>
  (docs, vectors) =>
    Promise.all(vectors.map(async (vector) => (await ask(docs, vector)).hits))

const anew = { cached: false } as const
const WAYS: Readonly<Record<string, Ask>> = {
  searches: each((docs, vector) => docs.search({ vector, ...anew })),
  queries: each((docs, vector) => docs.query({ query: { vector }, ...anew })),
  examples: each((docs, vector) =>
    docs.query({ query: { recommend: { positive: [vector] } }, ...anew }),
  ),
  batch: async (docs, vectors) => {
    const found: (readonly Hit[])[] = []
    for await (const { hits } of docs.searchBatch(vectors.map((vector) => ({ vector })))) {
      found.push(hits)
    }
    return found
  },
}

it('of many at once few read from disk what comes into memory anyway', async () => {
  const { store, reader } = await site()
  const docs = await store.collection('docs')
  const opened = vi.spyOn(store.core('docs').memory, 'index')
  const next = clustered(SHAPE.dimension, SEED + 4)
  const vectors = Array.from({ length: 40 }, next)
  // A worker that answers this runs: a batch takes one query at a time before.
  await store.core('docs').environment.workers?.().digests(new Uint8Array(1), 1)
  for (const [what, ask] of Object.entries(WAYS)) {
    reader.forgetIndex()
    opened.mockClear()
    const found = await ask(docs, vectors)
    const early = opened.mock.calls.filter(([, , whole]) => whole !== true)
    expect(opened, what).toHaveBeenCalledTimes(40)
    expect(early.length, what).toBeLessThanOrEqual(4)
    for (const [i, vector] of vectors.entries()) {
      expect((await ask(docs, [vector]))[0], what).toEqual(found[i])
    }
  }
  await store.close()
})

it('a batch opens vectors ahead where it is told, at once or later', async () => {
  const { store, reader } = await site()
  const docs = await store.collection('docs')
  const opens = async (preload: boolean | Promise<boolean>): Promise<boolean> => {
    for await (const _ of docs.searchBatch([], { preload })) expect.fail('an answer')
    const isOpen = reader.placement !== undefined
    reader.forgetIndex()
    return isOpen
  }
  expect(await opens(true)).toBe(true)
  expect(await opens(false)).toBe(false)
  expect(await opens(Promise.resolve(true))).toBe(true)
  expect(await opens(Promise.resolve(false))).toBe(false)
  expect(await opens(Promise.reject(new Error('no file')))).toBe(false)
  await store.close()
})

it('rows that turn out damaged are refused, and taken once they are mended', async () => {
  const { store, open, path } = await site()
  const sound = await readFile(path)
  const damaged = Uint8Array.from(sound)
  const middle = sound.length >> 1
  damaged[middle] = (sound[middle] as number) ^ 1
  await writeFile(path, damaged)
  expect((await open()).placement).toBe('disk')
  await expect(open(true)).rejects.toMatchObject({ code: 'INTEGRITY' })
  // Not again without its rows: who asks next is told as well.
  await expect(open()).rejects.toMatchObject({ code: 'INTEGRITY' })
  await writeFile(path, sound)
  expect((await open()).placement).toBe('memory')
  await store.close()
})

it('what could not be read no longer counts as memory in use', async () => {
  const { store, path } = await site()
  const sound = await readFile(path)
  const docs = await store.collection('docs')
  const vector = clustered(SHAPE.dimension, SEED + 3)()
  await docs.search({ vector })
  const { memory } = store.environment
  expect(memory?.used).toBeGreaterThan(SHAPE.dimension * 4 * 10_100)
  await writeFile(
    path,
    sound.map((byte) => byte ^ 1),
  )
  await expect(docs.search({ vector, exact: true })).rejects.toMatchObject({ code: 'INTEGRITY' })
  expect(memory?.used).toBe(0)
  await writeFile(path, sound)
  expect((await docs.search({ vector, exact: true })).hits).toHaveLength(10)
  await store.close()
})

it('is let go of while its rows come', async () => {
  const { store, reader, open } = await site()
  const early = await open()
  await open()
  reader.forgetIndex()
  expect(reader.placement).toBeUndefined()
  const again = await open()
  expect(again).not.toBe(early)
  expect(again.placement).toBe('disk')
  // Who waits for the rows has them, though others let go meanwhile.
  const waiting = open(true)
  await Promise.resolve()
  reader.forgetIndex()
  expect((await waiting).placement).toBe('memory')
  await store.close()
})
