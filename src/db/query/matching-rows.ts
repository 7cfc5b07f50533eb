import type { Bitset } from '../../core/bitset.ts'
import { matchesFilter } from '../../search/evaluate.ts'
import type { Filter } from '../../search/filter.ts'
import { selectRows } from '../segment/filter-rows.ts'
import type { LogRow } from '../segment/log-rows.ts'
import type { View, ViewSegment } from '../segment/view.ts'

/** Live records of one state that pass a filter. */
export interface MatchingRows {
  readonly segments: readonly {
    readonly number: number
    readonly segment: ViewSegment
    /** Not to be changed. */
    readonly rows: Bitset
    readonly count: number
  }[]
  readonly log: readonly LogRow[]
  readonly count: number
}

/** Exact, from the field indexes where they can tell. */
export async function matchingRows(
  view: View,
  filter: Filter | undefined,
  signal: AbortSignal | undefined,
): Promise<MatchingRows> {
  const segments = []
  let count = 0
  for (const [number, segment] of view.segments.entries()) {
    signal?.throwIfAborted()
    const rows = filter === undefined ? segment.alive : await selectRows(segment, filter)
    const matching = rows.count()
    if (matching > 0) segments.push({ number, segment, rows, count: matching })
    count += matching
  }
  const log = [...(view.log?.rows() ?? [])].filter(
    (row) => filter === undefined || matchesFilter(filter, row),
  )
  return { segments, log, count: count + log.length }
}
