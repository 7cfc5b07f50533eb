import { parseFilter } from '../../search/filter.ts'
import type { CountRequest, CountResult } from '../api/query-api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { matchingRows } from './matching-rows.ts'

/** How many records pass a filter; exact, from the field indexes where they can tell. */
export async function countRecords(
  core: CollectionCore,
  { filter, asOf, signal }: CountRequest,
): Promise<CountResult> {
  const parsed = filter === undefined ? undefined : parseFilter(filter)
  return await core.read(asOf, async (view) => {
    const { count } = await matchingRows(view, parsed, signal)
    return { count, stateRoot: view.manifest.commit.stateRoot }
  })
}
