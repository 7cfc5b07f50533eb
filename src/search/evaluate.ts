import { parseInstant } from '../core/instant.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import {
  type Condition,
  type FieldCondition,
  type Filter,
  type Scalar,
  within,
} from './condition.ts'
import {
  canonical,
  countOf,
  type Found,
  isScalar,
  isVoid,
  itemsOf,
  KEY_DEPTH_MAX,
  valuesUnder,
} from './field-values.ts'
import { areaTest } from './geo-area.ts'
import { geoPoint } from './geo-point.ts'
import { textMatches } from './text-match.ts'

/** What a filter is asked of: a record, or an element of an array in one. */
interface Subject {
  /** Elements have none. */
  readonly id?: string
  readonly payload: JsonObject
  /** Objects around the payload. */
  readonly depth: number
}

/**
 * Whether one record passes a filter: the plain meaning of the language, which the field indexes
 * must agree with.
 */
export function matchesFilter(
  filter: Filter,
  record: { readonly id: string; readonly payload: JsonObject },
): boolean {
  return subjectPasses(filter, { id: record.id, payload: record.payload, depth: 0 })
}

function subjectPasses(filter: Filter, subject: Subject): boolean {
  const passes = (condition: Condition): boolean => conditionHolds(condition, subject)
  const { must, should, mustNot, minShould } = filter
  return (
    must.every(passes) &&
    (should.length === 0 || should.some(passes)) &&
    !mustNot.some(passes) &&
    (minShould === undefined || atLeast(minShould.count, minShould.conditions, passes))
  )
}

function atLeast<T>(count: number, items: readonly T[], passes: (item: T) => boolean): boolean {
  let left = count
  for (const item of items) {
    if (left === 0) break
    if (passes(item)) left--
  }
  return left === 0
}

function conditionHolds(condition: Condition, subject: Subject): boolean {
  if (condition.kind === 'filter') return subjectPasses(condition.filter, subject)
  if (condition.kind === 'has_id') {
    return subject.id !== undefined && namedBy(condition, condition.ids).has(subject.id)
  }
  const found = valuesUnder(subject.payload, condition.key, subject.depth)
  if (condition.kind === 'nested') {
    return found.some((one) => elementPasses(condition.filter, one))
  }
  return fieldHolds(condition, found)
}

function elementPasses(filter: Filter, { value, depth }: Found): boolean {
  if (!Array.isArray(value) || depth >= KEY_DEPTH_MAX) return false
  return value.some(
    (item: JsonValue) =>
      item instanceof Map && subjectPasses(filter, { payload: item, depth: depth + 1 }),
  )
}

function fieldHolds(condition: FieldCondition, found: readonly Found[]): boolean {
  switch (condition.kind) {
    case 'is_null':
      return found.some(({ value }) => value === null)
    case 'is_empty':
      return found.every(({ value }) => isVoid(value))
    case 'count':
      if (found.length === 0) return within(0, condition.bounds)
      return found.some(({ value }) => within(countOf(value), condition.bounds))
    case 'geo': {
      const area = areaTest(condition.area)
      return someItem(found, (item) => {
        const point = geoPoint(item)
        return point !== undefined && area.contains(point.lon, point.lat)
      })
    }
    case 'match': {
      const wanted = namedBy(condition, condition.any)
      return someItem(found, (item) => isScalar(item) && wanted.has(canonical(item)))
    }
    case 'except': {
      const unwanted = namedBy(condition, condition.except)
      return someItem(found, (item) => isScalar(item) && !unwanted.has(canonical(item)))
    }
    case 'text':
      return someItem(
        found,
        (item) => typeof item === 'string' && textMatches(item, condition.mode, condition.tokens),
      )
    case 'range':
      return someItem(found, (item) => isNumber(item) && within(item, condition.bounds))
    case 'time':
      return someItem(found, (item) => {
        const instant = typeof item === 'string' ? parseInstant(item) : undefined
        return instant !== undefined && within(instant, condition.bounds)
      })
  }
}

const someItem = (found: readonly Found[], passes: (item: JsonValue) => boolean): boolean =>
  found.some(({ value }) => itemsOf(value).some(passes))

/** What a condition names, made once for all the records that it is asked about. */
const named = new WeakMap<Condition, ReadonlySet<Scalar>>()

function namedBy(condition: Condition, values: readonly Scalar[]): ReadonlySet<Scalar> {
  const known = named.get(condition) ?? new Set(values.map(canonical))
  named.set(condition, known)
  return known
}

const isNumber = (value: JsonValue): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint'
