import { fromPlain, type JsonObject, type JsonValue } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { Condition, Filter } from './condition.ts'
import { FIELD_CONDITIONS, fieldCondition, fieldName, idsOf, scalars } from './filter-conditions.ts'
import { absent, overLimit, wrong } from './filter-errors.ts'

export type { Filter } from './condition.ts'

const CLAUSES = ['must', 'should', 'must_not', 'min_should']
/** Conditions of Qdrant's that ask for what a collection here does not have. */
const ABSENT_CONDITIONS = ['has_vector', 'slice']

/**
 * Reads a filter in the one JSON language (docs/filters.md): Qdrant's form, or the short form of
 * exact matches.
 *
 * @param input parsed JSON, plain or as Maps
 * @throws USAGE for what is no filter, or a condition that there is not; LIMIT for depth, the
 *   number of conditions or the points of polygons
 */
export function parseFilter(input: unknown): Filter {
  return new FilterReader().filter(fromPlain(input), { depth: 1, nested: false })
}

interface Place {
  /** Filters around this one, itself included. */
  readonly depth: number
  /** Whether it is asked of elements of an array, which have no id. */
  readonly nested: boolean
}

class FilterReader {
  #conditions = 0
  #polygonPoints = 0

  filter(value: JsonValue | undefined, place: Place): Filter {
    if (place.depth > limits.filterDepthMax) throw overLimit('filterDepthMax')
    if (!(value instanceof Map)) throw wrong('a filter is an object', value)
    const node = value as JsonObject
    if (!hasClause(node)) return this.#shortForm(node)
    for (const key of node.keys()) {
      if (CLAUSES.includes(key)) continue
      throw wrong(`"${key}" beside must, should, must_not or min_should`, value)
    }
    const clause = (name: string): Condition[] =>
      listOf(node.get(name)).map((item) => this.#condition(item, place))
    const filter = { must: clause('must'), should: clause('should'), mustNot: clause('must_not') }
    const least = node.get('min_should')
    if (least === undefined || least === null) return filter
    return { ...filter, minShould: this.#minShould(least, place) }
  }

  #minShould(value: JsonValue, place: Place) {
    const form = 'min_should has a list of conditions and min_count, a whole number'
    if (!(value instanceof Map) || value.size !== 2) throw wrong(form, value)
    const node = value as JsonObject
    const conditions = node.get('conditions')
    const count = node.get('min_count')
    const counts = typeof count === 'number' && Number.isSafeInteger(count) && count >= 0
    if (!Array.isArray(conditions) || !counts) throw wrong(form, value)
    return {
      conditions: (conditions as JsonValue[]).map((item) => this.#condition(item, place)),
      count,
    }
  }

  #shortForm(node: JsonObject): Filter {
    const must: Condition[] = []
    for (const [name, value] of node) {
      this.#countOne()
      const key = fieldName(name)
      if (value === null) must.push({ kind: 'is_null', key })
      else {
        must.push({ kind: 'match', key, any: scalars(Array.isArray(value) ? value : [value], key) })
      }
    }
    return { must, should: [], mustNot: [] }
  }

  #condition(value: JsonValue, place: Place): Condition {
    this.#countOne()
    if (!(value instanceof Map)) throw wrong('a condition is an object', value)
    const node = value as JsonObject
    for (const name of ABSENT_CONDITIONS) if (node.has(name)) throw absent(name)
    if (hasClause(node)) {
      return { kind: 'filter', filter: this.filter(node, { ...place, depth: place.depth + 1 }) }
    }
    if (node.has('nested')) return this.#nested(only(node, 'nested'), place)
    if (node.has('has_id')) {
      if (place.nested) throw wrong('has_id inside nested: elements have no id', node)
      return { kind: 'has_id', ids: idsOf(listOf(only(node, 'has_id'))) }
    }
    if (!node.has('key')) {
      for (const kind of ['is_null', 'is_empty'] as const) {
        if (node.has(kind)) return { kind, key: keyOf(only(node, kind), kind) }
      }
      throw wrong('a condition without "key"', value)
    }
    return this.#onField(node)
  }

  #onField(node: JsonObject): Condition {
    const key = fieldName(node.get('key'))
    const kind = FIELD_CONDITIONS.find((name) => node.has(name))
    if (kind === undefined) throw wrong(`a condition on "${key}" that says nothing of it`, node)
    if (node.size !== 2) throw wrong(`a condition has "key" and "${kind}", no more`, node)
    const condition = fieldCondition(kind, key, node.get(kind) as JsonValue)
    // Each word costs as much as a condition.
    if (condition.kind === 'text') for (const _ of condition.tokens.slice(1)) this.#countOne()
    if (condition.kind === 'geo' && condition.area.kind === 'polygon') {
      for (const ring of condition.area.rings) this.#polygonPoints += ring.length
      if (this.#polygonPoints > limits.filterPolygonPointsMax) {
        throw overLimit('filterPolygonPointsMax')
      }
    }
    return condition
  }

  #nested(value: JsonValue, place: Place): Condition {
    const form = 'nested has {"key": "…", "filter": {…}}'
    if (!(value instanceof Map) || value.size !== 2 || !value.has('filter'))
      throw wrong(form, value)
    const node = value as JsonObject
    return {
      kind: 'nested',
      key: fieldName(node.get('key')),
      filter: this.filter(node.get('filter'), { depth: place.depth + 1, nested: true }),
    }
  }

  #countOne(): void {
    this.#conditions++
    if (this.#conditions > limits.filterConditionsMax) throw overLimit('filterConditionsMax')
  }
}

const hasClause = (node: JsonObject): boolean => CLAUSES.some((clause) => node.has(clause))

const listOf = (value: JsonValue | undefined): readonly JsonValue[] => {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [value]
}

function only(node: JsonObject, name: string): JsonValue {
  if (node.size !== 1) throw wrong(`"${name}" stands alone in its condition`, node)
  return node.get(name) as JsonValue
}

const keyOf = (value: JsonValue, kind: string): string => {
  if (value instanceof Map && value.size === 1) return fieldName(value.get('key'))
  if (typeof value === 'string') return fieldName(value)
  throw wrong(`${kind} has {"key": "…"}`, value)
}
