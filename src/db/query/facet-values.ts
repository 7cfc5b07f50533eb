import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Scalar } from '../../search/field-scalars.ts'
import { parseFilter } from '../../search/filter.ts'
import { compareScalars, scalarKey } from '../../search/scalar-order.ts'
import { checkRequest } from '../api/check-call.ts'
import { checkedCount, over } from '../api/check-query.ts'
import type { FacetRequest, FacetResult } from '../api/query-api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { forEachFieldRow } from './field-column.ts'
import { matchingRows } from './matching-rows.ts'

const DEFAULT_VALUES = 10

/**
 * How many of the matching records hold each value of a field; an array counts once for each of its
 * different values. Exact.
 *
 * @throws LIMIT over facetValuesMax different values
 */
export async function facetValues(
  core: CollectionCore,
  request: FacetRequest,
): Promise<FacetResult> {
  checkRequest('facet', request)
  const { key, asOf, signal } = request
  if (typeof key !== 'string' || key === '') throw new AkidbError('USAGE', 'a facet names a field')
  const limit = checkedCount(request.limit ?? DEFAULT_VALUES, 'limit', 1)
  const filter = request.filter === undefined ? undefined : parseFilter(request.filter)
  return await core.read(asOf, async (view) => {
    const counts = new Map<Scalar, number>()
    const matching = await matchingRows(view, filter, signal)
    await forEachFieldRow({ core, view, signal }, matching, key, ({ values }) => {
      for (const value of distinct(values)) counts.set(value, (counts.get(value) ?? 0) + 1)
      if (counts.size > limits.facetValuesMax) throw over('different values are', 'facetValuesMax')
    })
    const values = [...counts]
      .map(([value, count]) => ({ value, count }))
      .sort((a, b) => b.count - a.count || compareScalars(a.value, b.value))
    return {
      key,
      values: values.slice(0, limit),
      distinct: counts.size,
      count: matching.count,
      stateRoot: view.manifest.commit.stateRoot,
    }
  })
}

const distinct = (values: readonly Scalar[]): Iterable<Scalar> =>
  values.length === 1 ? [scalarKey(values[0] as Scalar)] : new Set(values.map(scalarKey))
