import { parseInstant } from '../core/instant.ts'
import type { JsonObject } from '../core/json.ts'
import { canonical, fieldValues } from './field-values.ts'
import type { Bounds, Condition, Filter, Scalar } from './filter.ts'

/**
 * Whether one record passes a filter: the plain meaning of the language, which the field indexes
 * must agree with.
 */
export function matchesFilter(
  filter: Filter,
  record: { readonly id: string; readonly payload: JsonObject },
): boolean {
  const passes = (condition: Condition): boolean => matchesCondition(condition, record)
  return (
    filter.must.every(passes) &&
    (filter.should.length === 0 || filter.should.some(passes)) &&
    !filter.mustNot.some(passes)
  )
}

function matchesCondition(
  condition: Condition,
  record: { readonly id: string; readonly payload: JsonObject },
): boolean {
  if (condition.kind === 'filter') return matchesFilter(condition.filter, record)
  if (condition.kind === 'has_id') return namedBy(condition, condition.ids).has(record.id)
  const { scalars, isNull, isEmpty } = fieldValues(record.payload, condition.key)
  switch (condition.kind) {
    case 'is_null':
      return isNull
    case 'is_empty':
      return isEmpty
    case 'match': {
      const wanted = namedBy(condition, condition.any)
      return scalars.some((value) => wanted.has(canonical(value)))
    }
    case 'except': {
      const unwanted = namedBy(condition, condition.except)
      return scalars.some((value) => !unwanted.has(canonical(value)))
    }
    case 'range':
      return scalars.some((value) => isNumber(value) && within(value, condition.bounds))
    case 'time':
      return scalars.some((value) => {
        const instant = typeof value === 'string' ? parseInstant(value) : undefined
        return instant !== undefined && within(instant, condition.bounds)
      })
  }
}

/** What a condition names, made once for all the records that it is asked about. */
const named = new WeakMap<Condition, ReadonlySet<Scalar>>()

function namedBy(condition: Condition, values: readonly Scalar[]): ReadonlySet<Scalar> {
  const known = named.get(condition) ?? new Set(values.map(canonical))
  named.set(condition, known)
  return known
}

const isNumber = (value: Scalar): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint'

/** Exact also between number and bigint: JavaScript compares them by value. */
function within<T extends number | bigint>(value: T, bounds: Bounds<T>): boolean {
  return (
    (bounds.gt === undefined || value > bounds.gt) &&
    (bounds.gte === undefined || value >= bounds.gte) &&
    (bounds.lt === undefined || value < bounds.lt) &&
    (bounds.lte === undefined || value <= bounds.lte)
  )
}
