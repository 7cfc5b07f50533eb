import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { graphLevels } from '../../src/ann/levels.ts'
import {
  attachIndex,
  checkCodesAndLinks,
  openVectorIndex,
  openVectorIndexStream,
} from '../../src/ann/open-index.ts'
import { planSegment } from '../../src/ann/segment-plan.ts'
import type {
  OpenIndexInput,
  RowHits,
  RowSearch,
  SharedIndex,
  VectorIndex,
} from '../../src/ann/vector-index.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import type { Quantization } from '../../src/core/schema.ts'
import { GRAPH, randomSource, randomVectors, segmentOf } from './reference.ts'
import { type Site, siteOf } from './site.ts'

const ROWS = 1_200
const seed = Date.now() >>> 0

interface DiskSite extends Site {
  readonly disk: VectorIndex
  readonly onDisk: OpenIndexInput
}

function site(metric: Metric, dimension: number, form: Quantization, scale = 1): DiskSite {
  const made = siteOf({ rows: ROWS, metric, dimension, form, scale, seed })
  const { pieces: _pieces, ...shape } = made.segment
  const onDisk = { ...shape, ...made.built, parameters: made.parameters }
  return { ...made, disk: openVectorIndex(onDisk), onDisk }
}

/** The rows' vectors, as they would be read from a file. */
function rowsOf(vectors: Float32Array, rows: Uint32Array, dimension: number): Float32Array {
  const all = new Float32Array(rows.length * dimension)
  for (const [i, row] of rows.entries()) {
    all.set(vectors.subarray(row * dimension, (row + 1) * dimension), i * dimension)
  }
  return all
}

function twoSteps(index: VectorIndex, vectors: Float32Array, request: RowSearch): RowHits {
  const { rows } = index.candidates(request)
  const values = rowsOf(vectors, rows, index.dimension)
  return index.rescore(request.query, rows, values, request.k)
}

function* filters(): Generator<Bitset | undefined> {
  yield undefined
  const random = randomSource(seed + 1)
  for (const share of [1, 0.4, 0.05, 0.01, 0]) {
    const allowed = new Bitset(ROWS)
    for (let row = 0; row < ROWS; row++) if ((random() + 1) / 2 < share) allowed.add(row)
    yield allowed
  }
}

describe.each(METRICS)('rows on disk by %s', (metric) => {
  it.each([
    ['int8', 65],
    ['int8', 131],
    ['binary', 259],
    ['pq', 67],
    ['pq', 130],
  ] as const)('give the bits of rows in memory: %s, dimension %i', (form, dimension) => {
    const { vectors, memory, disk } = site(metric, dimension, form)
    expect([memory.placement, disk.placement]).toEqual(['memory', 'disk'])
    for (const allowed of filters()) {
      for (const kind of ['graph', `scan-${form}`] as const) {
        for (const [k, ef, over] of [
          [10, 60, undefined],
          [1, 1, 1],
          [25, 10, 40],
          [300, 300, undefined],
          [2_000, 100, undefined],
        ] as const) {
          const query = randomVectors(dimension, seed + k + ef)
          const request: RowSearch = {
            ...{ query, k, ef, kind },
            ...(allowed === undefined ? {} : { allowed }),
            ...(over === undefined ? {} : { over }),
          }
          const { rows, distances } = memory.search(request)
          const what = `seed ${seed}, ${kind}, k ${k}, ${allowed?.count()} rows`
          for (const index of [disk, memory]) {
            const found = twoSteps(index, vectors, request)
            expect([...found.rows], what).toEqual([...rows])
            expect([...found.distances], what).toEqual([...distances])
          }
        }
      }
    }
  })

  it('give the same bits where norms are beyond what float32 sums hold', () => {
    for (const scale of [1e-30, 1e25]) {
      const { vectors, memory, disk } = site(metric, 70, 'int8', scale)
      for (const queryScale of [1e-20, 1, 1e30]) {
        const query = randomVectors(70, seed).map((v) => v * queryScale)
        for (const kind of ['graph', 'scan-int8'] as const) {
          const request = { query, k: 10, ef: 40, kind }
          const { evaluated: _, ...expected } = memory.search(request)
          expect(twoSteps(disk, vectors, request), `seed ${seed}`).toMatchObject(expected)
        }
      }
    }
  })
})

describe('opening', () => {
  const { vectors, built, onDisk, memory, disk } = site('l2', 80, 'int8')
  const request = { query: randomVectors(80, 5), k: 10, ef: 50, kind: 'graph' } as const

  it('without rows takes their memory off', () => {
    const rows = ROWS * 80 * 4
    expect(memory.memoryBytes - disk.memoryBytes).toBeGreaterThan(0.95 * rows)
  })

  it.each([1, 7, 31, 32, 33, 1_000])(
    'takes codes and links in pieces of %i bytes',
    async (size) => {
      function* cut(bytes: Uint8Array): Generator<Uint8Array> {
        for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
      }
      async function* later(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
        yield* cut(bytes)
      }
      const graph = built.graph as Uint8Array
      const expected = disk.candidates(request)
      const pieces = { codes: cut(built.codes), graph: cut(graph) }
      expect(openVectorIndex({ ...onDisk, ...pieces }).candidates(request)).toEqual(expected)
      const streams = { ...onDisk, codes: later(built.codes), graph: later(graph) }
      expect((await openVectorIndexStream(streams)).candidates(request)).toEqual(expected)
      const rows = { ...streams, pieces: [vectors], codes: later(built.codes), graph: later(graph) }
      expect((await openVectorIndexStream(rows)).search(request)).toEqual(memory.search(request))
    },
  )

  it('without rows needs codes, and rows too long to be walked in float32', () => {
    const { codes: _codes, ...bare } = onDisk
    expect(() => openVectorIndex(bare)).toThrow(/stay on disk only/)
    const short = segmentOf('dot', 64, randomVectors(64 * 10, 1))
    const { pieces: _pieces, ...shape } = short
    const codes = buildIndexSync(short, GRAPH).codes
    expect(() => openVectorIndex({ ...shape, codes, parameters: GRAPH })).toThrow(/stay on disk/)
  })

  it('leaves what needs rows to who has them', () => {
    expect(() => disk.search(request)).toThrow(/on disk/)
    expect(() => disk.vector(0)).toThrow(/on disk/)
    expect(() => disk.candidates({ ...request, kind: 'scan-f32' })).toThrow(/on disk/)
  })
})

describe('ranking rows again', () => {
  const dimension = 70
  const { vectors, disk, memory } = site('cosine', dimension, 'int8')
  const query = randomVectors(dimension, 9)

  it('ranks all rows as an exact scan does, in whatever order they come', () => {
    const all = Uint32Array.from({ length: ROWS }, (_, row) => (row * 7 + 3) % ROWS)
    const exact = memory.search({ query, k: ROWS, ef: 1, kind: 'scan-f32' })
    expect(disk.rescore(query, all, rowsOf(vectors, all, dimension))).toEqual(exact)
  })

  it('refuses what does not fit', () => {
    const rows = Uint32Array.of(3)
    const values = vectors.slice(0, dimension)
    expect(disk.rescore(query, new Uint32Array(0), new Float32Array(0)).rows.length).toBe(0)
    expect(() => disk.rescore(query, rows, values.slice(1))).toThrow(/components/)
    expect(() => disk.rescore(query, Uint32Array.of(ROWS), values)).toThrow(RangeError)
    const many = new Uint32Array(ROWS + 1)
    const tooMany = new Float32Array(many.length * dimension)
    expect(() => disk.rescore(query, many, tooMany)).toThrow(RangeError)
    expect(() => disk.rescore(values.slice(1), rows, values)).toThrow(
      expect.objectContaining({ code: 'DIMENSION_MISMATCH' }),
    )
    values[4] = Number.NaN
    expect(() => disk.rescore(query, rows, values)).toThrow(
      expect.objectContaining({ code: 'INTEGRITY', message: expect.stringContaining('row 3 ') }),
    )
  })
})

describe('contexts', () => {
  const { built, vectors, memory } = site('cosine', 80, 'int8')
  const input = { ...segmentOf('cosine', 80, vectors), ...built, parameters: GRAPH }

  it('search one memory without getting into each other’s way', () => {
    const first = openVectorIndex({ ...input, contexts: 3 })
    const shared = first.shared() as SharedIndex
    expect(shared.contexts).toBe(3)
    const indexes = [first, attachIndex(shared, 1), attachIndex(shared, 2)]
    for (let i = 0; i < 30; i++) {
      const index = indexes[i % 3] as VectorIndex
      const kind = i % 2 === 0 ? 'graph' : 'scan-int8'
      const request = { query: randomVectors(80, seed + i), k: 10, ef: 40, kind } as const
      expect(index.search(request), `seed ${seed}`).toEqual(memory.search(request))
    }
    expect(indexes.map(({ placement, form, hasGraph }) => [placement, form, hasGraph])).toEqual(
      Array.from({ length: 3 }, () => ['memory', 'int8', true]),
    )
    first.close()
    expect(indexes[1]?.search({ ...request, query: randomVectors(80, 1) }).rows.length).toBe(10)
  })

  it('are as many as were asked for', () => {
    const shared = openVectorIndex({ ...input, contexts: 2 }).shared() as SharedIndex
    for (const context of [-1, 2, 0.5]) {
      expect(() => attachIndex(shared, context)).toThrow(RangeError)
    }
    for (const contexts of [0, 65, 1.5]) {
      expect(() => openVectorIndex({ ...input, contexts })).toThrow(/searchThreadsMax/)
    }
  })

  const request = { k: 10, ef: 50, kind: 'graph' } as const
})

it('a million rows of 768 components take little more than their codes and links', () => {
  const m = 16
  const rows = 1_000_000
  const { upperWords } = graphLevels(rows, m)
  const graph = { m, efConstruction: 200, upperWords, build: false }
  const shape = { rows, dimension: 768, metric: 'cosine', codes: 'stored', contexts: 1 } as const
  const bytesOf = (form: Quantization): number =>
    planSegment({ ...shape, form, onDisk: true, graph }).bytes
  const links = rows * (2 * m + 1) * 4 + upperWords * 4
  expect(bytesOf('int8')).toBeLessThan(1.02 * (rows * (768 + 20) + links))
  expect(bytesOf('binary')).toBeLessThan(1.02 * (rows * (96 + 24) + links))
  expect(bytesOf('pq')).toBeLessThan(1.02 * (rows * (96 + 16) + links))
})

async function* asStream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 10_007) yield bytes.subarray(at, at + 10_007)
}

/** What is said of some codes and links: the message, or that they are fine. */
async function verdict(work: () => unknown): Promise<string> {
  try {
    await work()
    return 'fine'
  } catch (error) {
    return (error as Error).message
  }
}

describe.each(METRICS)('codes and links by %s that are only checked', (metric) => {
  it.each(['int8', 'binary', 'pq'] as const)('as %s are refused as by an opening', async (form) => {
    const { onDisk, built } = site(metric, form === 'binary' ? 260 : 70, form)
    const random = randomSource(seed + 2)
    const found = new Set<string>()
    for (let trial = 0; trial < 60; trial++) {
      const codes = built.codes.slice(0, trial === 0 ? built.codes.length - 1 : undefined)
      const graph = (built.graph as Uint8Array).slice()
      const damaged = trial % 3 === 2 ? graph : codes
      // The first bytes, with the header and the scales, are where most of it is found.
      const reach = trial % 2 === 0 ? 500 : damaged.length
      const at = Math.floor(((random() + 1) / 2) * Math.min(reach, damaged.length))
      if (trial > 1) damaged[at] = (damaged[at] as number) ^ 0xff
      const parts = { ...onDisk, codes, graph }
      const opened = await verdict(() => openVectorIndex(parts))
      const streams = { ...onDisk, codes: asStream(codes), graph: asStream(graph) }
      expect(await verdict(() => checkCodesAndLinks(streams)), `seed ${seed}`).toBe(opened)
      found.add(opened)
    }
    expect(found).toContain('fine')
    expect(found.size).toBeGreaterThan(2)
  })
})

it('rows that others read and refuse while codes are still coming refuse the whole', async () => {
  const { vectors, built } = site('cosine', 128, 'int8')
  const segment = segmentOf('cosine', 128, vectors)
  const turn = (): Promise<void> => new Promise((go) => setImmediate(go))
  const slowly = async function* (bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 20_000) {
      for (let i = 0; i < 5; i++) await turn()
      yield bytes.subarray(at, at + 20_000)
    }
  }
  const opening = openVectorIndexStream({
    ...segment,
    parameters: GRAPH,
    codes: slowly(built.codes),
    ...(built.graph === undefined ? {} : { graph: slowly(built.graph) }),
    fill: async () => {
      await turn()
      throw new Error('a damaged chunk')
    },
  })
  await expect(opening).rejects.toThrow('a damaged chunk')
  // What is put in place is searched as what came in pieces.
  const filled = await openVectorIndexStream({
    ...segment,
    parameters: GRAPH,
    codes: slowly(built.codes),
    ...(built.graph === undefined ? {} : { graph: slowly(built.graph) }),
    fill: async (into) => {
      for (let i = 0; i < 40; i++) await turn()
      into.set(vectors)
    },
  })
  const query = vectors.slice(0, 128)
  const request = { query, k: 10, ef: 64, kind: 'graph' } as const
  const memory = openVectorIndex({ ...segment, ...built, parameters: GRAPH })
  expect(filled.search(request)).toEqual(memory.search(request))
})
