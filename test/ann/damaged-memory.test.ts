import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { Segment } from '../../src/ann/segment.ts'
import type { RowSearch, VectorIndex } from '../../src/ann/vector-index.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import type { Quantization } from '../../src/core/schema.ts'
import { clusteredVectors, GRAPH, randomSource, randomVectors, segmentOf } from './reference.ts'

const ROWS = 600
const seed = Date.now() >>> 0
const FORMS: readonly [Quantization, number][] = [
  ['int8', 67],
  ['binary', 259],
  ['pq', 67],
]

/** Arrays that come from a file, with the lengths that they have. */
const ARRAYS: Readonly<Record<Quantization, readonly string[]>> = {
  int8: ['codes', 'scales', 'biases', 'centre'],
  binary: ['bits', 'bitScales', 'bitBiases', 'mean', 'centre'],
  pq: ['pieces', 'centroids', 'halves', 'centre'],
}

interface Opened {
  readonly index: VectorIndex
  readonly segment: Segment
}

function open(metric: Metric, form: Quantization, dimension: number): Opened {
  const vectors = clusteredVectors(ROWS, dimension, 5)
  const shape = segmentOf(metric, dimension, vectors)
  const parameters = { ...GRAPH, quantization: form }
  const built = buildIndexSync(shape, parameters, { graphRowsMin: 1 })
  const index = openVectorIndex({ ...shape, ...built, parameters })
  const { segment } = index.shared() as { segment: Segment['shared'] }
  return { index, segment: new Segment(segment, 0) }
}

/** From an array to the next one in memory. */
function spanOf(segment: Segment, name: string): [number, number] {
  const from = segment.address(name)
  const { arrays, contexts } = segment.plan
  const starts = [...Object.values(arrays), contexts[0]?.address as number]
  return [from, Math.min(...starts.filter((at) => at > from))]
}

/** Every search that there is; rows must be rows, each once, and no more than asked for. */
function searchAll({ index }: Opened, what: string): void {
  const allowed = new Bitset(ROWS)
  for (let row = 0; row < ROWS; row += 3) allowed.add(row)
  const query = randomVectors(index.dimension, seed)
  for (const kind of ['graph', `scan-${index.form}`, 'scan-f32'] as const) {
    for (const filter of [undefined, allowed]) {
      const request: RowSearch = { query, k: 10, ef: 60, kind, ...(filter && { allowed: filter }) }
      for (const { rows } of [index.search(request), index.candidates(request)]) {
        expect(new Set(rows).size, what).toBe(rows.length)
        expect(
          rows.every((row) => row < ROWS && (filter?.has(row) ?? true)),
          what,
        ).toBe(true)
      }
    }
  }
}

describe.each(METRICS)('damaged memory by %s', (metric) => {
  it.each(FORMS)('gives wrong answers at worst: %s', (form, dimension) => {
    const random = randomSource(seed)
    const opened = open(metric, form, dimension)
    const { segment } = opened
    for (const name of [...ARRAYS[form], 'links0', 'upper', 'vectors', 'factors']) {
      const [from, to] = spanOf(segment, name)
      const kept = segment.u8.slice(from, to)
      const whole = segment.u8.slice()
      for (const fill of ['random', 'ones', 'few', 'nan'] as const) {
        for (let at = from; at < to; at++) {
          if (fill === 'few' && random() < 0.98) continue
          segment.u8[at] = fill === 'ones' ? 255 : Math.floor((random() + 1) * 128)
        }
        if (fill === 'nan') segment.f32.fill(Number.NaN, from / 4, to / 4)
        const what = `${name}, ${fill}, seed ${seed}`
        const before = segment.u8.slice(from, to)
        searchAll(opened, what)
        // Nothing that is searched is written to.
        expect(Buffer.compare(segment.u8.subarray(from, to), before), what).toBe(0)
      }
      segment.u8.set(kept, from)
      const end = segment.plan.contexts[0]?.address as number
      expect(Buffer.compare(segment.u8.subarray(0, end), whole.subarray(0, end))).toBe(0)
    }
    searchAll(opened, 'restored')
  })
})

it('a walk ends whatever the links say', () => {
  const { index, segment } = open('l2', 'int8', 67)
  // Every row links to every other on all levels, itself included.
  for (const name of ['links0', 'upper'] as const) {
    const [from, to] = spanOf(segment, name)
    for (let at = from / 4; at < to / 4; at++) segment.u32[at] = at % ROWS
  }
  const { evaluated } = index.search({
    ...{ query: randomVectors(67, 1), k: 10, ef: 32_768, kind: 'graph' },
  })
  expect(evaluated).toBeLessThan(3 * ROWS + 10_000 * 16)
})
