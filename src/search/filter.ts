import { parseInstant } from '../core/instant.ts'
import { fromPlain, type JsonObject, type JsonValue } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'

/** A value that a payload field can equal. */
export type Scalar = string | number | bigint | boolean

/** Bounds of a range; absent ones are open. */
export interface Bounds<T> {
  readonly gt?: T
  readonly gte?: T
  readonly lt?: T
  readonly lte?: T
}

export type Condition =
  | { readonly kind: 'filter'; readonly filter: Filter }
  | { readonly kind: 'match'; readonly key: string; readonly any: readonly Scalar[] }
  | { readonly kind: 'except'; readonly key: string; readonly except: readonly Scalar[] }
  | { readonly kind: 'range'; readonly key: string; readonly bounds: Bounds<number | bigint> }
  /** Nanoseconds since 1970 UTC. */
  | { readonly kind: 'time'; readonly key: string; readonly bounds: Bounds<bigint> }
  | { readonly kind: 'is_null'; readonly key: string }
  | { readonly kind: 'is_empty'; readonly key: string }
  | { readonly kind: 'has_id'; readonly ids: readonly string[] }

/** All of `must`, at least one of `should` where there are any, none of `mustNot`. */
export interface Filter {
  readonly must: readonly Condition[]
  readonly should: readonly Condition[]
  readonly mustNot: readonly Condition[]
}

const CLAUSES = ['must', 'should', 'must_not', 'min_should']
const ABSENT_CONDITIONS = [
  'values_count',
  'geo_radius',
  'geo_bounding_box',
  'geo_polygon',
  'nested',
  'has_vector',
  'slice',
]
const ABSENT_MATCHES = ['text', 'phrase', 'text_any']

/**
 * Reads a filter in the one JSON language (docs/filters.md): Qdrant's form, or the short form of
 * exact matches.
 *
 * @param input parsed JSON, plain or as Maps
 * @throws USAGE for what is no filter, or a condition that this version does not have; LIMIT for
 *   depth or size
 */
export function parseFilter(input: unknown): Filter {
  const count = { conditions: 0 }
  return parseNode(fromPlain(input), 1, count)
}

interface Count {
  conditions: number
}

function parseNode(value: JsonValue, depth: number, count: Count): Filter {
  if (depth > limits.filterDepthMax) throw overLimit('filterDepthMax')
  if (!(value instanceof Map)) throw wrong('a filter is an object', value)
  const node = value as JsonObject
  if (node.has('min_should')) throw absent('min_should')
  const hasClause = CLAUSES.some((clause) => node.has(clause))
  if (!hasClause) return shortForm(node, count)
  for (const key of node.keys()) {
    if (!CLAUSES.includes(key)) throw wrong(`"${key}" beside must, should or must_not`, value)
  }
  const clause = (name: string): Condition[] =>
    listOf(node.get(name)).map((item) => parseCondition(item, depth, count))
  return { must: clause('must'), should: clause('should'), mustNot: clause('must_not') }
}

const listOf = (value: JsonValue | undefined): readonly JsonValue[] => {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [value]
}

function shortForm(node: JsonObject, count: Count): Filter {
  const must: Condition[] = []
  for (const [name, value] of node) {
    countOne(count)
    const key = fieldName(name)
    if (value === null) must.push({ kind: 'is_null', key })
    else
      must.push({ kind: 'match', key, any: scalars(Array.isArray(value) ? value : [value], key) })
  }
  return { must, should: [], mustNot: [] }
}

function parseCondition(value: JsonValue, depth: number, count: Count): Condition {
  countOne(count)
  if (!(value instanceof Map)) throw wrong('a condition is an object', value)
  const node = value as JsonObject
  for (const name of ABSENT_CONDITIONS) if (node.has(name)) throw absent(name)
  if (CLAUSES.some((clause) => node.has(clause))) {
    return { kind: 'filter', filter: parseNode(value, depth + 1, count) }
  }
  if (node.has('has_id')) return { kind: 'has_id', ids: idsOf(only(node, 'has_id')) }
  for (const kind of ['is_null', 'is_empty'] as const) {
    if (node.has(kind)) return { kind, key: keyOf(only(node, kind), kind) }
  }
  if (!node.has('key')) throw wrong('a condition without "key"', value)
  const key = fieldName(node.get('key'))
  if (node.has('match')) return parseMatch(key, pair(node, 'match'))
  if (node.has('range')) return parseRange(key, pair(node, 'range'))
  throw wrong(`a condition on "${key}" with neither match nor range`, value)
}

function countOne(count: Count): void {
  count.conditions++
  if (count.conditions > limits.filterConditionsMax) throw overLimit('filterConditionsMax')
}

function only(node: JsonObject, name: string): JsonValue {
  if (node.size !== 1) throw wrong(`"${name}" stands alone in its condition`, node)
  return node.get(name) as JsonValue
}

function pair(node: JsonObject, name: string): JsonObject {
  const value = node.get(name)
  if (node.size !== 2 || !(value instanceof Map)) {
    throw wrong(`a condition has "key" and "${name}" with an object`, node)
  }
  return value as JsonObject
}

function parseMatch(key: string, match: JsonObject): Condition {
  for (const name of ABSENT_MATCHES) if (match.has(name)) throw absent(`match ${name}`)
  if (match.size !== 1) throw wrong('match has one of value, any, except', match)
  if (match.has('value')) {
    return { kind: 'match', key, any: scalars([match.get('value') as JsonValue], key) }
  }
  if (match.has('any')) return { kind: 'match', key, any: scalars(arrayOf(match, 'any'), key) }
  if (match.has('except')) {
    return { kind: 'except', key, except: scalars(arrayOf(match, 'except'), key) }
  }
  throw wrong('match has one of value, any, except', match)
}

function arrayOf(node: JsonObject, name: string): readonly JsonValue[] {
  const value = node.get(name)
  if (!Array.isArray(value)) throw wrong(`"${name}" is a list`, node)
  return value as readonly JsonValue[]
}

function scalars(values: readonly JsonValue[], key: string): Scalar[] {
  return values.map((value) => {
    if (value === null || typeof value === 'object') {
      throw wrong(`"${key}" is matched by text, numbers or booleans`, value)
    }
    return value
  })
}

const BOUNDS = ['gt', 'gte', 'lt', 'lte']

function parseRange(key: string, range: JsonObject): Condition {
  const entries = [...range].filter(([, value]) => value !== null)
  if (entries.length === 0 || entries.some(([name]) => !BOUNDS.includes(name))) {
    throw wrong('a range has gt, gte, lt or lte', range)
  }
  if (entries.every(([, value]) => typeof value === 'string')) {
    const bounds = entries.map(([name, value]) => [name, instantOf(value as string)] as const)
    return { kind: 'time', key, bounds: Object.fromEntries(bounds) }
  }
  if (entries.every(([, value]) => typeof value === 'number' || typeof value === 'bigint')) {
    return { kind: 'range', key, bounds: Object.fromEntries(entries) }
  }
  throw wrong('the bounds of a range are all numbers or all times', range)
}

function instantOf(text: string): bigint {
  const instant = parseInstant(text)
  if (instant === undefined) throw wrong('a time is ISO 8601 with zone', text)
  return instant
}

const idsOf = (value: JsonValue): string[] =>
  listOf(value).map((id) => {
    if (typeof id === 'string') return id
    if (typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id)
    throw wrong('an id is text or a whole number', id)
  })

const keyOf = (value: JsonValue, kind: string): string => {
  if (value instanceof Map && value.size === 1) return fieldName(value.get('key'))
  if (typeof value === 'string') return fieldName(value)
  throw wrong(`${kind} has {"key": "…"}`, value)
}

function fieldName(value: JsonValue | undefined): string {
  if (typeof value !== 'string' || value === '') throw wrong('"key" is the name of a field', value)
  return value.replaceAll('[]', '')
}

const wrong = (what: string, value: unknown): AkidbError => {
  const shown = value instanceof Map ? [...value.keys()].join(', ') : String(value)
  return new AkidbError('USAGE', `not a filter: ${what} (found ${shown.slice(0, 80)})`, {
    hint: 'See akidb help filters.',
  })
}

const absent = (name: string): AkidbError =>
  new AkidbError('USAGE', `this version has no filter condition ${name}`, {
    hint: 'There are match (value, any, except), range, is_null, is_empty and has_id.',
    details: { condition: name },
  })

const overLimit = (name: 'filterDepthMax' | 'filterConditionsMax'): AkidbError =>
  new AkidbError('LIMIT', `the filter is over ${name} (${limits[name]})`)
