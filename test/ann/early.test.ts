import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { attachIndex, openEarly, openVectorIndex } from '../../src/ann/open-index.ts'
import type {
  OpenIndexStream,
  RowSearch,
  SharedIndex,
  VectorIndex,
} from '../../src/ann/vector-index.ts'
import { limits } from '../../src/core/limits.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import type { Quantization } from '../../src/core/schema.ts'
import { GRAPH, randomVectors, segmentOf } from './reference.ts'
import { type Site, siteOf } from './site.ts'

const ROWS = 1_200
const seed = Date.now() >>> 0

interface StreamedSite extends Site {
  readonly input: OpenIndexStream
}

function site(metric: Metric, dimension: number, form: Quantization, scale?: number): StreamedSite {
  const shape = { rows: ROWS, metric, dimension, form, seed }
  const made = siteOf(scale === undefined ? shape : { ...shape, scale })
  const { segment, parameters, built } = made
  const graph = built.graph === undefined ? {} : { graph: [built.graph] }
  return {
    ...made,
    input: { ...segment, codes: [built.codes], ...graph, parameters, contexts: 2 },
  }
}

const kinds: readonly RowSearch['kind'][] = ['graph', 'scan-int8', 'scan-f32']

const requestsOf = (dimension: number): RowSearch[] =>
  kinds.map((kind, i) => ({ query: randomVectors(dimension, seed + i), k: 10, ef: 50, kind }))

const never = new AbortController().signal

describe(`an index before its rows (seed ${seed})`, () => {
  const cases = METRICS.flatMap((metric) =>
    ([128, 421] as const).flatMap((dimension) =>
      (['int8', 'binary'] as const).map((form) => ({ metric, dimension, form })),
    ),
  ).filter(({ dimension, form }) => form === 'int8' || dimension > 128)

  it.each(cases)(
    'gives the same bits before and after, %o',
    async ({ metric, dimension, form }) => {
      const { vectors, input, memory } = site(metric, dimension, form)
      const { index, addRows } = await openEarly(input)
      expect(index.placement).toBe('disk')
      const [walk] = requestsOf(dimension) as [RowSearch]
      const early = (): unknown => {
        const { rows } = index.candidates(walk)
        const found = rows.slice().sort()
        const values = Float32Array.from(
          [...found].flatMap((row) => [
            ...vectors.subarray(row * dimension, (row + 1) * dimension),
          ]),
        )
        const { evaluated: _evaluated, ...ranked } = index.rescore(
          walk.query,
          found,
          values,
          walk.k,
        )
        return ranked
      }
      const { evaluated: _evaluated, ...expected } = memory.search(walk)
      expect(early()).toEqual(expected)

      const whole = await addRows(never)
      expect(whole.placement).toBe('memory')
      for (const request of requestsOf(dimension)) {
        expect(whole.search(request)).toEqual(memory.search(request))
      }
      expect(whole.vector(7)).toEqual(memory.vector(7))
      // The first is still what it was, and another thread may have either.
      expect(early()).toEqual(expected)
      const other = attachIndex(whole.shared() as SharedIndex, 1)
      expect(other.search(walk)).toEqual(memory.search(walk))
      expect(() => attachIndex(index.shared() as SharedIndex, 1).search(walk)).toThrow(/on disk/)
    },
  )

  it('takes rows that are put in place, of norms beyond float32 sums too', async () => {
    for (const scale of [1, 2 ** 45]) {
      const { vectors, input, memory } = site('dot', 128, 'int8', scale)
      const fill = async (into: Float32Array): Promise<void> => into.set(vectors)
      const { pieces: _pieces, ...shape } = input
      const { addRows } = await openEarly({ ...shape, pieces: [], fill })
      const whole = await addRows(never)
      for (const request of requestsOf(128)) {
        expect(whole.search(request)).toEqual(memory.search(request))
      }
    }
  })

  it('lets others have the thread while rows are measured', async () => {
    let pauses = 0
    const { input } = site('cosine', 1_024, 'int8')
    const { addRows } = await openEarly({ ...input, pause: async () => void pauses++ })
    await addRows(never)
    expect(pauses).toBe(1)
  })

  it('refuses rows that are not finite, too few, or called off', async () => {
    const { vectors, input } = site('l2', 128, 'int8')
    const bad = vectors.slice()
    bad[5 * 128] = Number.NaN
    const open = async (pieces: Float32Array[], signal = never): Promise<VectorIndex> =>
      await (await openEarly({ ...input, pieces })).addRows(signal)
    await expect(open([bad])).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(open([vectors.subarray(128)])).rejects.toMatchObject({ code: 'INTEGRITY' })
    const reason = new Error('no more')
    await expect(open([vectors], AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  it('refuses rows of another norm than their codes name', async () => {
    const { input } = site('dot', 128, 'int8')
    const codes = Uint8Array.from([...((input.codes as Uint8Array[])[0] as Uint8Array)])
    new DataView(codes.buffer).setFloat64(20, 2 ** 70, true)
    const { addRows } = await openEarly({ ...input, codes: [codes] })
    await expect(addRows(never)).rejects.toThrow(/another norm/)
  })

  it('needs codes', async () => {
    const { codes: _codes, ...bare } = site('cosine', 128, 'int8').input
    await expect(openEarly(bare)).rejects.toThrow(/codes are stored/)
  })
})

// More rows than one search may rank again: what it keeps has room for no more.
it.each(['binary', 'pq'] as const)('%s: a very large k stays within its room', (form) => {
  const [rows, dimension] = [limits.searchEfMax + 3_000, form === 'pq' ? 72 : 256]
  const vectors = randomVectors(dimension * rows, seed)
  const segment = segmentOf('cosine', dimension, vectors)
  const parameters = { ...GRAPH, type: 'flat', quantization: form } as const
  const { pieces: _pieces, ...shape } = segment
  const { codes } = buildIndexSync(segment, parameters)
  const memory = openVectorIndex({ ...segment, codes, parameters })
  const disk = openVectorIndex({ ...shape, codes, parameters })
  const query = randomVectors(dimension, seed + 1)
  const kind = form === 'pq' ? 'scan-pq' : 'scan-binary'
  const request = { query, k: limits.searchCountMax, ef: 1, kind } as const
  const found = memory.search(request)
  expect(new Set(found.rows).size).toBe(request.k)
  expect(Math.max(...found.rows)).toBeLessThan(rows)
  expect(Array.from(found.distances)).toEqual(Array.from(found.distances).sort((a, b) => a - b))
  const candidates = disk.candidates(request).rows
  expect(new Set(candidates).size).toBe(candidates.length)
  expect(candidates.length).toBeLessThanOrEqual(limits.searchEfMax)
  // What lies behind the room is as it was: the next search finds the same.
  const exact = { ...request, k: 10, kind: 'scan-f32' } as const
  const [nearest] = memory.search(exact).rows
  expect(found.rows[0]).toBe(nearest)
  expect(memory.search(request)).toEqual(found)
})
