import { Bitset } from '../../core/bitset.ts'
import { matchesFilter } from '../../search/evaluate.ts'
import type { Filter } from '../../search/filter.ts'
import { payloadObject, type ViewSegment } from './view.ts'

/**
 * Live rows of a segment that pass a filter. Where the field index cannot tell (elements of arrays,
 * phrases in long texts, too many keys), the payloads of just those rows decide.
 */
export async function selectRows(segment: ViewSegment, filter: Filter): Promise<Bitset> {
  const { reader, alive } = segment
  const index = await reader.fields()
  const ids = await reader.ids()
  const rowsOfId = (id: string): number[] => ids.rowsOf(Buffer.from(id, 'utf8'))
  const { sure, maybe, exact } = index.select(filter, rowsOfId)
  const rows = sure.and(alive)
  if (exact) return rows
  const open = new Bitset(maybe.length, maybe.words.slice()).and(alive).andNot(rows)
  const result = rows.clone()
  for (const row of open) {
    const payload = payloadObject(await reader.payload(row))
    if (matchesFilter(filter, { id: ids.id(row), payload })) result.add(row)
  }
  return result
}
