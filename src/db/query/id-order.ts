import type { IdTable } from '../../format/ids-section.ts'
import type { CandidateRow } from './first-rows.ts'
import type { MatchingRows } from './matching-rows.ts'
import { type QueryContext, turns } from './query-context.ts'

/** One segment's rows on the way through the order of their ids. */
interface Walk {
  readonly ids: IdTable
  readonly rows: MatchingRows['segments'][number]
  place: number
  idBytes: Uint8Array | undefined
}

/**
 * The first `count` matching records by bytewise order of their ids, behind `after`. Reads the ids
 * alone, in the order that each segment keeps.
 */
export async function firstById(
  { signal }: QueryContext,
  matching: MatchingRows,
  { count, after }: { readonly count: number; readonly after: Uint8Array | undefined },
): Promise<CandidateRow<undefined>[]> {
  const turn = turns(signal)
  const walks: Walk[] = []
  for (const rows of matching.segments) {
    const ids = await rows.segment.reader.ids()
    const walk = { ids, rows, place: placeAfter(ids, after), idBytes: undefined }
    await advance(walk, turn)
    walks.push(walk)
  }
  const log = matching.log
    .map(({ id }) => Buffer.from(id, 'utf8'))
    .filter((id) => after === undefined || Buffer.compare(id, after) > 0)
    .sort(Buffer.compare)
  const found: CandidateRow<undefined>[] = []
  while (found.length < count) {
    const next = lowest(walks)
    const logged = log[0]
    if (logged !== undefined && (next === undefined || isLower(logged, next.idBytes))) {
      found.push({ value: undefined, idBytes: logged })
      log.shift()
      continue
    }
    if (next?.idBytes === undefined) break
    const row = next.ids.sorted(next.place)
    const place = { segment: next.rows.number, row }
    found.push({ value: undefined, idBytes: next.idBytes, place })
    next.place++
    await advance(next, turn)
  }
  return found
}

const isLower = (id: Uint8Array, than: Uint8Array | undefined): boolean =>
  than === undefined || Buffer.compare(id, than) < 0

function lowest(walks: readonly Walk[]): Walk | undefined {
  let best: Walk | undefined
  for (const walk of walks) {
    if (walk.idBytes === undefined) continue
    if (best === undefined || isLower(walk.idBytes, best.idBytes)) best = walk
  }
  return best
}

/** To the next row that matches, where it stands already or behind. */
async function advance(walk: Walk, turn: () => Promise<void> | undefined): Promise<void> {
  const { ids, rows } = walk
  for (; walk.place < ids.count; walk.place++) {
    const pause = turn()
    if (pause !== undefined) await pause
    const row = ids.sorted(walk.place)
    if (!rows.rows.has(row)) continue
    walk.idBytes = ids.idBytes(row)
    return
  }
  walk.idBytes = undefined
}

/** First place of the order whose id comes behind `after`. */
function placeAfter(ids: IdTable, after: Uint8Array | undefined): number {
  if (after === undefined) return 0
  let low = 0
  let high = ids.count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (Buffer.compare(ids.idBytes(ids.sorted(middle)), after) <= 0) low = middle + 1
    else high = middle
  }
  return low
}
