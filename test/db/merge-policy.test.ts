import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import {
  DEAD_SHARE_MAX,
  MERGE_FAN_IN,
  nextCompaction,
  nextMerge,
} from '../../src/db/rebuild/merge-policy.ts'
import type { SegmentEntry } from '../../src/format/manifest.ts'
import { refOf } from '../format/sample-manifest.ts'
import { randomOf, seedOf } from '../search/random.ts'

const segment = (rows: number, dead = 0, payloadBytes = rows): SegmentEntry => ({
  key: 0,
  rows,
  blobs: [refOf('pack')],
  ...(dead === 0 ? {} : { tombstones: { ...refOf('tombstones'), count: dead } }),
  sources: [],
  payloadBytes,
})

const many = (count: number, ...size: [number, number?, number?]): SegmentEntry[] =>
  Array.from({ length: count }, () => segment(...size))

const ROWS_MAX = limits.segmentRowsMax

describe('the merge that a list of segments calls for', () => {
  it('is none for no segment, one, or fewer than the fan-in', () => {
    for (const list of [[], many(1, 10), many(MERGE_FAN_IN - 1, 10)]) {
      expect(nextMerge(list, ROWS_MAX)).toBeUndefined()
    }
  })

  it('takes the first neighbours of one size', () => {
    expect(nextMerge(many(MERGE_FAN_IN, 10), ROWS_MAX)).toEqual({ from: 0, to: MERGE_FAN_IN })
    const list = [segment(1_000_000), ...many(MERGE_FAN_IN, 10)]
    expect(nextMerge(list, ROWS_MAX)).toEqual({ from: 1, to: MERGE_FAN_IN + 1 })
  })

  it('does not rewrite a large segment for a few small ones', () => {
    const list = [segment(100_000), ...many(MERGE_FAN_IN - 1, 10)]
    expect(nextMerge(list, ROWS_MAX)).toBeUndefined()
  })

  it('never makes a segment that is larger than one may be', () => {
    expect(nextMerge(many(MERGE_FAN_IN, 100), 100 * MERGE_FAN_IN - 1)).toBeUndefined()
    expect(nextMerge(many(MERGE_FAN_IN, 100), 100 * MERGE_FAN_IN)).toBeDefined()
    const heavy = many(MERGE_FAN_IN, 10, 0, limits.segmentBytesMax / MERGE_FAN_IN + 1)
    expect(nextMerge(heavy, ROWS_MAX)).toBeUndefined()
  })

  it('rewrites a segment alone above the share of dead rows, not at it', () => {
    const at = 100 * DEAD_SHARE_MAX
    expect(nextMerge([segment(100, at)], ROWS_MAX)).toBeUndefined()
    expect(nextMerge([segment(5), segment(100, at + 1)], ROWS_MAX)).toEqual({ from: 1, to: 2 })
  })

  it('ends: as many merges as there is something to gain, and few segments are left', () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 50; round++) {
      let list: SegmentEntry[] = []
      let written = 0
      let rows = 0
      for (let i = 0; i < 200; i++) {
        const added = random.whole(1, 3_000)
        rows += added
        list = [...list, segment(added, random.whole(0, 3) === 0 ? Math.floor(added / 3) : 0)]
        for (let plan = nextMerge(list, ROWS_MAX); plan; plan = nextMerge(list, ROWS_MAX)) {
          const run = list.slice(plan.from, plan.to)
          const live = run.reduce((sum, one) => sum + one.rows - (one.tombstones?.count ?? 0), 0)
          expect(live).toBeLessThanOrEqual(ROWS_MAX)
          list = [...list.slice(0, plan.from), segment(live), ...list.slice(plan.to)]
          written += live
        }
      }
      expect(list.length).toBeLessThan(60)
      expect(written / rows).toBeLessThan(6)
    }
  })
})

describe('compaction', () => {
  it('takes the longest runs that fit, and leaves single clean segments', () => {
    expect(nextCompaction(many(5, 10), ROWS_MAX)).toEqual({ from: 0, to: 5 })
    expect(nextCompaction(many(5, 10), 20)).toEqual({ from: 0, to: 2 })
    expect(nextCompaction(many(5, 10), 10)).toBeUndefined()
    expect(nextCompaction([segment(10), segment(10, 1)], 10)).toEqual({ from: 1, to: 2 })
    expect(nextCompaction([], ROWS_MAX)).toBeUndefined()
  })
})
