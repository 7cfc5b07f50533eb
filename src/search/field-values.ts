import type { JsonObject, JsonValue } from '../core/json.ts'
import type { Scalar } from './filter.ts'

/** What a payload holds under one key. */
export interface FieldValues {
  /** Text, numbers and booleans: the value itself, or the elements of an array. */
  readonly scalars: readonly Scalar[]
  /** The value itself is null. */
  readonly isNull: boolean
  /** Missing, null or []. */
  readonly isEmpty: boolean
}

/** Objects inside each other that a dotted key reaches through. */
export const KEY_DEPTH_MAX = 16

interface Found {
  readonly scalars: Scalar[]
  isNull: boolean
  isEmpty: boolean
}

/**
 * Values under a key: "a.b" is field b of object a, and also a field that is called "a.b". Arrays
 * on the way and at the end stand for their elements.
 */
export function fieldValues(payload: JsonObject, key: string): FieldValues {
  const found: Found = { scalars: [], isNull: false, isEmpty: true }
  walk(payload, key, 0, found)
  return found
}

function walk(node: JsonObject, key: string, depth: number, found: Found): void {
  const whole = node.get(key)
  if (whole !== undefined) take(whole, found)
  if (depth >= KEY_DEPTH_MAX) return
  for (let dot = key.indexOf('.'); dot >= 0; dot = key.indexOf('.', dot + 1)) {
    const child = node.get(key.slice(0, dot))
    for (const item of Array.isArray(child) ? child : [child]) {
      if (item instanceof Map) walk(item, key.slice(dot + 1), depth + 1, found)
    }
  }
}

function take(value: JsonValue, found: Found): void {
  if (value === null) {
    found.isNull = true
    return
  }
  if (Array.isArray(value)) {
    if (value.length > 0) found.isEmpty = false
    for (const item of value as readonly JsonValue[]) {
      if (item !== null && typeof item !== 'object') found.scalars.push(item)
    }
    return
  }
  found.isEmpty = false
  if (typeof value !== 'object') found.scalars.push(value)
}

/** Calls back for every key of a payload with a value of it, in the sense of `fieldValues`. */
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
