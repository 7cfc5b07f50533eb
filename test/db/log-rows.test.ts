import { describe, expect, it } from 'vitest'
import { exactDistance } from '../../src/core/metric.ts'
import { type LogRow, LogRows } from '../../src/db/segment/log-rows.ts'
import { LogVectors } from '../../src/db/segment/log-vectors.ts'
import { randomOf, seedOf } from '../search/random.ts'

const row = (id: string, vector?: Float32Array): LogRow => ({ id, vector, payload: new Map() })

/** What a moment of the log says, in its order. */
const told = (rows: LogRows): unknown => ({
  rows: [...rows.rows()],
  touched: [...rows.touchedIds()],
  live: rows.live,
  count: rows.touched,
  changes: rows.changes,
})

describe('rows of the log', () => {
  const random = randomOf(seedOf())

  it('say what a map of the newest words says, at every moment that was kept', () => {
    for (let run = 0; run < 20; run++) {
      const rows = new LogRows()
      const model = new Map<string, LogRow | undefined>()
      const moments: { readonly rows: LogRows; readonly told: unknown }[] = []
      for (let change = 0; change < 200; change++) {
        const id = `r${random.whole(0, 29)}`
        const next = random.whole(0, 9) < 3 ? undefined : row(id)
        // Again at the end: the order is that of the newest changes.
        model.delete(id)
        model.set(id, next)
        if (next === undefined) rows.remove(id)
        else rows.put(next)
        if (random.whole(0, 9) > 0) continue
        const moment = rows.snapshot()
        const live = [...model.values()].filter((each) => each !== undefined)
        expect(told(moment)).toEqual({
          rows: live,
          touched: [...model.keys()],
          live: live.length,
          count: model.size,
          changes: change + 1,
        })
        for (const [known, value] of model) {
          expect(moment.has(known)).toBe(true)
          expect(moment.get(known)).toBe(value)
        }
        moments.push({ rows: moment, told: told(moment) })
      }
      for (const moment of moments) expect(told(moment.rows)).toEqual(moment.told)
    }
  })

  it('name the ids that changed since a mark, up to the moment', () => {
    const rows = new LogRows()
    rows.put(row('a'))
    const mark = rows.changes
    rows.remove('a')
    rows.put(row('b'))
    const moment = rows.snapshot()
    rows.put(row('c'))
    expect(moment.changedSince(mark)).toEqual(['a', 'b'])
    expect(rows.changedSince(mark)).toEqual(['a', 'b', 'c'])
    expect([moment.has('c'), moment.get('c'), moment.has('nobody')]).toEqual([
      false,
      undefined,
      false,
    ])
  })

  it('of a moment take no changes once there are later ones', () => {
    const rows = new LogRows()
    const moment = rows.snapshot()
    rows.put(row('a'))
    expect(() => moment.put(row('b'))).toThrow('takes no changes')
  })
})

describe('vectors of the log', () => {
  const random = randomOf(seedOf())
  const vector = (dimension: number): Float32Array =>
    Float32Array.from({ length: dimension }, () => random.whole(-1e6, 1e6) / 1e6)

  it.each(['cosine', 'dot', 'l2'] as const)('are ranked as all of them are: %s', (metric) => {
    const vectors = new LogVectors()
    // Few and short ones, which are compared one by one, and many, which the kernel scans.
    for (const [dimension, ids] of [
      [3, 40],
      [40, 700],
      [128, 400],
    ] as const) {
      const spec = { kind: 'dense', dimension, metric } as const
      const rows = new LogRows()
      for (let round = 0; round < 6; round++) {
        for (let change = 0; change < ids; change++) {
          const id = `r${random.whole(0, ids - 1)}`
          if (random.whole(0, 9) === 0) rows.remove(id)
          else rows.put(row(id, random.whole(0, 19) === 0 ? undefined : vector(dimension)))
        }
        const moment = rows.snapshot()
        rows.put(row('later', vector(dimension)))
        const query = vector(dimension)
        const k = random.whole(1, 20)
        const allows = ({ id }: LogRow): boolean => id.length % 2 === round % 2
        const wanted = [...moment.rows()]
          .flatMap((each) => {
            if (each.vector === undefined || !allows(each)) return []
            return [{ id: each.id, distance: exactDistance(metric, query, each.vector) }]
          })
          .sort((a, b) => a.distance - b.distance)
          .slice(0, k)
        const found = vectors
          .nearest(moment, { spec, vector: query, k, allows })
          .sort((a, b) => a.distance - b.distance)
          .slice(0, k)
          .map((each) => ({ id: each.row.id, distance: each.distance }))
        expect(found).toEqual(wanted)
      }
    }
  })

  it('bring all that are as far as the last, so that their ids decide', () => {
    const vectors = new LogVectors()
    const rows = new LogRows()
    const same = vector(128)
    for (let i = 0; i < 400; i++) rows.put(row(`r${i}`, same))
    const spec = { kind: 'dense', dimension: 128, metric: 'cosine' } as const
    const query = { spec, vector: vector(128), k: 5, allows: () => true }
    expect(vectors.nearest(rows.snapshot(), query)).toHaveLength(400)
  })

  it('near each other beyond what float32 tells apart are told apart', () => {
    const vectors = new LogVectors()
    const rows = new LogRows()
    const base = vector(128)
    for (let i = 0; i < 600; i++) {
      const near = base.slice()
      near[i % 128] = (near[i % 128] as number) + i * 1e-6
      rows.put(row(`r${i}`, near))
    }
    const spec = { kind: 'dense', dimension: 128, metric: 'cosine' } as const
    const wanted = [...rows.rows()]
      .map((each) => exactDistance('cosine', base, each.vector as Float32Array))
      .sort((a, b) => a - b)
      .slice(0, 10)
    const query = { spec, vector: base, k: 10, allows: () => true }
    const found = vectors.nearest(rows.snapshot(), query).map(({ distance }) => distance)
    expect(found.sort((a, b) => a - b).slice(0, 10)).toEqual(wanted)
  })

  it('are answered for every k that a search may have', () => {
    const vectors = new LogVectors()
    const rows = new LogRows()
    for (let i = 0; i < 10_100; i++) rows.put(row(`r${i}`, vector(8)))
    const spec = { kind: 'dense', dimension: 8, metric: 'l2' } as const
    for (const k of [9_990, 9_995, 10_000]) {
      const query = { spec, vector: vector(8), k, allows: () => true }
      expect(vectors.nearest(rows.snapshot(), query).length).toBeGreaterThanOrEqual(k)
    }
  })

  it('of huge and tiny norms beside each other are ranked too', () => {
    const vectors = new LogVectors()
    const rows = new LogRows()
    const scaled = (by: number): Float32Array => vector(128).map((component) => component * by)
    for (let i = 0; i < 300; i++) rows.put(row(`r${i}`, scaled(1)))
    const spec = { kind: 'dense', dimension: 128, metric: 'l2' } as const
    const query = { spec, vector: scaled(1e-30), k: 3, allows: () => true }
    vectors.nearest(rows.snapshot(), query)
    rows.put(row('huge', scaled(1e37)))
    rows.put(row('tiny', scaled(1e-37)))
    const found = vectors.nearest(rows.snapshot(), query)
    expect(found.sort((a, b) => a.distance - b.distance)[0]?.row.id).toBe('tiny')
  })
})
