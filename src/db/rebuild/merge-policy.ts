import { limits } from '../../core/limits.ts'
import type { SegmentEntry } from '../../format/manifest.ts'

/** Segments of one size class that are merged into one. */
export const MERGE_FAN_IN = 8
/** Rows of the smallest class; each class is MERGE_FAN_IN times the one below. */
const CLASS_ROWS = 1_024
/** Share of dead rows above which a segment is rewritten alone. */
export const DEAD_SHARE_MAX = 0.25

/** A run of neighbouring segments to be replaced by one. */
export interface MergePlan {
  /** Positions [from, to) in the state's list. */
  readonly from: number
  readonly to: number
}

const liveRows = (segment: SegmentEntry): number => segment.rows - (segment.tombstones?.count ?? 0)

/** Size class of a segment by its live rows. */
const classOf = (segment: SegmentEntry): number => {
  let size = CLASS_ROWS
  let rank = 0
  for (; liveRows(segment) > size; size *= MERGE_FAN_IN) rank++
  return rank
}

const fits = (run: readonly SegmentEntry[], rowsMax: number): boolean =>
  run.reduce((sum, segment) => sum + liveRows(segment), 0) <= rowsMax &&
  run.reduce((sum, segment) => sum + segment.payloadBytes, 0) <= limits.segmentBytesMax

/**
 * The merge that a list of segments calls for: a pure function of the list, so that two machines
 * merge alike. First a run of MERGE_FAN_IN neighbours of one class or below, then a segment with
 * too many dead rows.
 *
 * @param rowsMax rows of a full segment of this dimension
 */
export function nextMerge(
  segments: readonly SegmentEntry[],
  rowsMax: number,
): MergePlan | undefined {
  for (let from = 0; from + MERGE_FAN_IN <= segments.length; from++) {
    const run = segments.slice(from, from + MERGE_FAN_IN)
    const rank = Math.max(...run.map(classOf))
    const similar = run.filter((segment) => classOf(segment) === rank).length
    if (similar * 2 >= MERGE_FAN_IN && fits(run, rowsMax)) return { from, to: from + MERGE_FAN_IN }
  }
  const at = segments.findIndex(
    (segment) => (segment.tombstones?.count ?? 0) > segment.rows * DEAD_SHARE_MAX,
  )
  return at < 0 ? undefined : { from: at, to: at + 1 }
}

/**
 * What `compact` does: the longest runs that fit one segment, left to right; single clean segments
 * stay.
 */
export function nextCompaction(
  segments: readonly SegmentEntry[],
  rowsMax: number,
): MergePlan | undefined {
  for (let from = 0; from < segments.length; from++) {
    let to = from + 1
    while (to < segments.length && fits(segments.slice(from, to + 1), rowsMax)) to++
    const dirty = segments[from]?.tombstones !== undefined
    if (to - from > 1 || dirty) return { from, to }
  }
  return undefined
}

/**
 * What `push` does before it seals: the small segments at the end become one, so that what is
 * locked for years is not a heap of crumbs. Larger segments stay as they are.
 */
export function nextTail(
  segments: readonly SegmentEntry[],
  rowsMax: number,
): MergePlan | undefined {
  let from = segments.length
  while (from > 0 && isSmall(segments[from - 1]) && fits(segments.slice(from - 1), rowsMax)) from--
  return segments.length - from > 1 ? { from, to: segments.length } : undefined
}

const isSmall = (segment: SegmentEntry | undefined): boolean =>
  segment !== undefined &&
  segment.blobs.reduce((sum, blob) => sum + blob.bytes, 0) < limits.packBytesMax
