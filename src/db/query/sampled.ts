import type { Filter } from '../../search/filter.ts'
import { sampleHash } from '../../search/sample-hash.ts'
import { FirstRows } from './first-rows.ts'
import { matchingRows } from './matching-rows.ts'
import { unscored } from './ordered.ts'
import { type QueryContext, type Ranked, turns } from './query-context.ts'

/** Records by the hash of the seed and their id: the same ones in every state that has them. */
export async function sampledHits(
  context: QueryContext,
  { seed, filter, count }: { seed: number; filter: Filter | undefined; count: number },
): Promise<Ranked> {
  const { view, signal } = context
  const matching = await matchingRows(view, filter, signal)
  const first = new FirstRows<number>(count, (a, b) => a - b)
  const turn = turns(signal)
  for (const { number, segment, rows } of matching.segments) {
    const ids = await segment.reader.ids()
    for (const row of rows) {
      const pause = turn()
      if (pause !== undefined) await pause
      const idBytes = ids.idBytes(row)
      first.offer(sampleHash(seed, idBytes), () => idBytes, { segment: number, row })
    }
  }
  for (const { id } of matching.log) {
    const idBytes = Buffer.from(id, 'utf8')
    first.offer(sampleHash(seed, idBytes), () => idBytes)
  }
  const plan = { kind: 'sample', seed, matching: matching.count }
  return { hits: first.sorted().map(unscored), plan }
}
