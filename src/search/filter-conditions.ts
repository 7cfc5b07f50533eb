import { parseInstant } from '../core/instant.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import type { Bounds, Condition, Scalar, TextMode } from './condition.ts'
import { wrong } from './filter-errors.ts'
import { geoArea } from './filter-geo.ts'
import { tokenize } from './tokenizer.ts'

/** What a condition may say of its key. */
export const FIELD_CONDITIONS = [
  'match',
  'range',
  'values_count',
  'geo_radius',
  'geo_bounding_box',
  'geo_polygon',
  'is_null',
  'is_empty',
] as const

type FieldConditionName = (typeof FIELD_CONDITIONS)[number]

/** A condition of this kind on a key. @throws USAGE where its value is none */
export function fieldCondition(kind: FieldConditionName, key: string, value: JsonValue): Condition {
  if (kind === 'is_null' || kind === 'is_empty') {
    if (typeof value !== 'boolean') throw wrong(`"${kind}" beside a key is true or false`, value)
    if (value) return { kind, key }
    return { kind: 'filter', filter: { must: [], should: [], mustNot: [{ kind, key }] } }
  }
  if (!(value instanceof Map)) throw wrong(`"${kind}" is an object`, value)
  const node = value as JsonObject
  if (kind === 'match') return matchCondition(key, node)
  if (kind === 'range') return rangeCondition(key, node)
  if (kind === 'values_count') return countCondition(key, node)
  return { kind: 'geo', key, area: geoArea(kind, node) }
}

const TEXT_MODES: Readonly<Record<string, TextMode>> = {
  text: 'all',
  text_any: 'any',
  phrase: 'phrase',
}
const MATCH_FORM = 'match has one of value, any, except, text, text_any, phrase'

function matchCondition(key: string, match: JsonObject): Condition {
  const [[name, value] = ['', null]] = match
  if (match.size !== 1) throw wrong(MATCH_FORM, match)
  if (name === 'value') return { kind: 'match', key, any: scalars([value], key) }
  if (name === 'any') return { kind: 'match', key, any: scalars(arrayOf(value, name), key) }
  if (name === 'except') return { kind: 'except', key, except: scalars(arrayOf(value, name), key) }
  const mode = Object.hasOwn(TEXT_MODES, name) ? TEXT_MODES[name] : undefined
  if (mode === undefined) throw wrong(MATCH_FORM, match)
  if (typeof value !== 'string') throw wrong(`match "${name}" is text`, value)
  return { kind: 'text', key, mode, tokens: tokenize(value) }
}

function arrayOf(value: JsonValue, name: string): readonly JsonValue[] {
  if (!Array.isArray(value)) throw wrong(`"${name}" is a list`, value)
  return value as readonly JsonValue[]
}

/** @throws USAGE for a value that no field equals */
export function scalars(values: readonly JsonValue[], key: string): Scalar[] {
  return values.map((value) => {
    if (value === null || typeof value === 'object') {
      throw wrong(`"${key}" is matched by text, numbers or booleans`, value)
    }
    return value
  })
}

const BOUNDS = ['gt', 'gte', 'lt', 'lte']

function boundsOf(node: JsonObject, name: string): (readonly [string, JsonValue])[] {
  const entries = [...node].filter(([, value]) => value !== null)
  if (entries.length === 0 || [...node.keys()].some((bound) => !BOUNDS.includes(bound))) {
    throw wrong(`"${name}" has gt, gte, lt or lte`, node)
  }
  return entries
}

function rangeCondition(key: string, range: JsonObject): Condition {
  const entries = boundsOf(range, 'range')
  if (entries.every(([, value]) => typeof value === 'string')) {
    const bounds = entries.map(([name, value]) => [name, instantOf(value as string)] as const)
    return { kind: 'time', key, bounds: Object.fromEntries(bounds) }
  }
  if (entries.every(([, value]) => typeof value === 'number' || typeof value === 'bigint')) {
    return { kind: 'range', key, bounds: Object.fromEntries(entries) }
  }
  throw wrong('the bounds of a range are all numbers or all times', range)
}

function countCondition(key: string, node: JsonObject): Condition {
  const entries = boundsOf(node, 'values_count')
  for (const [, value] of entries) {
    const counts = typeof value === 'bigint' || Number.isInteger(value)
    if (!counts || (value as number | bigint) < 0) {
      throw wrong('the bounds of values_count are whole numbers from 0', value)
    }
  }
  return { kind: 'count', key, bounds: Object.fromEntries(entries) as Bounds<number | bigint> }
}

function instantOf(text: string): bigint {
  const instant = parseInstant(text)
  if (instant === undefined) throw wrong('a time is ISO 8601 with zone', text)
  return instant
}

/** Ids as text. @throws USAGE for what is no id */
export const idsOf = (values: readonly JsonValue[]): string[] =>
  values.map((id) => {
    if (typeof id === 'string') return id
    if (typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id)
    throw wrong('an id is text or a whole number', id)
  })

/** A key without the `[]` that say what goes without saying. @throws USAGE where it is none */
export function fieldName(value: JsonValue | undefined): string {
  if (typeof value !== 'string' || value === '') throw wrong('"key" is the name of a field', value)
  return value.replaceAll('[]', '')
}
