import type { JsonObject, JsonValue } from '../core/json.ts'
import type { Scalar } from './condition.ts'

/** Objects inside each other that a dotted key reaches through. */
export const KEY_DEPTH_MAX = 16

/** What lies under a key, and how many objects it lies in. */
export interface Found {
  readonly value: JsonValue
  readonly depth: number
}

/**
 * Values under a key: "a.b" is field b of object a, and also a field that is called "a.b". Arrays
 * on the way stand for their elements; those at the end are kept.
 *
 * @param depth objects around this one
 */
export function valuesUnder(payload: JsonObject, key: string, depth = 0): readonly Found[] {
  const found: Found[] = []
  walk(payload, key, depth, found)
  return found
}

function walk(node: JsonObject, key: string, depth: number, found: Found[]): void {
  const value = node.get(key)
  if (value !== undefined) found.push({ value, depth })
  if (depth >= KEY_DEPTH_MAX) return
  for (let dot = key.indexOf('.'); dot >= 0; dot = key.indexOf('.', dot + 1)) {
    const child = node.get(key.slice(0, dot))
    for (const item of Array.isArray(child) ? child : [child]) {
      if (item instanceof Map) walk(item, key.slice(dot + 1), depth + 1, found)
    }
  }
}

/** Whether there is nothing in a value: null or []. */
export const isVoid = (value: JsonValue): boolean =>
  value === null || (Array.isArray(value) && value.length === 0)

/** The value itself, or the elements of an array. */
export const itemsOf = (value: JsonValue): readonly JsonValue[] =>
  Array.isArray(value) ? (value as readonly JsonValue[]) : [value]

/** Whether a value can be equal to another. */
export const isScalar = (value: JsonValue): value is Scalar =>
  value !== null && typeof value !== 'object'

/** How many values a value is: none for null, the elements of an array, one for all else. */
export const countOf = (value: JsonValue): number =>
  value === null ? 0 : Array.isArray(value) ? value.length : 1

/** Calls back for every key of a payload with a value of it, in the sense of `valuesUnder`. */
export function forEachField(
  payload: JsonObject,
  visit: (key: string, value: JsonValue) => void,
): void {
  fieldsBelow(payload, { prefix: '', depth: 0, visit })
}

interface Place {
  readonly prefix: string
  readonly depth: number
  readonly visit: (key: string, value: JsonValue) => void
}

function fieldsBelow(node: JsonObject, { prefix, depth, visit }: Place): void {
  for (const [name, value] of node) {
    const key = prefix === '' ? name : prefix + name
    visit(key, value)
    if (depth >= KEY_DEPTH_MAX || typeof value !== 'object' || value === null) continue
    const below = { prefix: `${key}.`, depth: depth + 1, visit }
    if (value instanceof Map) fieldsBelow(value, below)
    else {
      for (const item of value as readonly JsonValue[]) {
        if (item instanceof Map) fieldsBelow(item, below)
      }
    }
  }
}

/**
 * Numbers that are equal have one form: whole numbers within ±(2⁵³−1) as number, −0 as 0, other
 * whole numbers within −2⁶³…2⁶⁴−1 as bigint. A float beyond those stays one: no integer that a
 * payload can hold equals it.
 */
export function canonical(value: Scalar): Scalar {
  if (typeof value === 'bigint') {
    return value >= -MAX_SAFE && value <= MAX_SAFE ? Number(value) : value
  }
  if (typeof value !== 'number') return value
  if (value === 0) return 0
  const wide = Number.isInteger(value) && !Number.isSafeInteger(value)
  return wide && value >= -(2 ** 63) && value < 2 ** 64 ? BigInt(value) : value
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)
