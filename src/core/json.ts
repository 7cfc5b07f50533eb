import { isUtf8 } from 'node:buffer'
import { AkidbError } from '../errors/errors.ts'
import { isPlainNumber } from './json-number.ts'
import { JsonReader } from './json-reader.ts'
import type { JsonValue } from './json-value.ts'
import { limits } from './limits.ts'

export type { JsonObject, JsonValue } from './json-value.ts'

export interface JsonLimits {
  /**
   * Arrays and objects inside each other; the outermost counts as 1. Default:
   * limits.payloadDepthMax.
   */
  readonly depthMax?: number
}

/**
 * One JSON text (RFC 8259) as a value. White space may surround it, a byte order mark may not.
 *
 * Throws BAD_INPUT with `details.byte` (offset in the UTF-8 form, from 0) for anything that is
 * not JSON, for a duplicate key and for a lone surrogate; LIMIT where it nests deeper than
 * `depthMax`.
 */
export function parseJson(text: string, jsonLimits: JsonLimits = {}): JsonValue {
  if (!text.isWellFormed()) {
    throw new AkidbError('BAD_INPUT', 'The JSON text holds a lone surrogate.', {
      details: { reason: 'BAD_UTF8' },
    })
  }
  return new JsonReader(depthOf(jsonLimits)).parse(Buffer.from(text, 'utf8'))
}

/** The same of UTF-8 bytes, which are checked; BAD_INPUT where they are not UTF-8. */
export function parseJsonBytes(bytes: Uint8Array, jsonLimits: JsonLimits = {}): JsonValue {
  if (!isUtf8(bytes)) {
    throw new AkidbError('BAD_INPUT', 'The JSON text is not UTF-8.', {
      details: { reason: 'BAD_UTF8' },
    })
  }
  return new JsonReader(depthOf(jsonLimits)).parse(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  )
}

const depthOf = (jsonLimits: JsonLimits): number => jsonLimits.depthMax ?? limits.payloadDepthMax

/** Results wrap payloads in a few levels of their own. */
const WRITTEN_DEPTH_MAX = limits.payloadDepthMax * 2

/**
 * A value as compact JSON: null, booleans, finite numbers, bigints, strings, arrays, Maps with
 * string keys and plain objects. Keys keep their order.
 *
 * Floats have the fewest digits that read back to the same f64; −0 stays −0. A number above 2⁵³
 * is a float and is written with an exponent, so that reading gives back a number, not another
 * type. Throws BAD_INPUT for everything else (NaN, Infinity, undefined, functions, other classes,
 * lone surrogates) and LIMIT for nesting deeper than twice limits.payloadDepthMax, so also for a
 * circle.
 */
export function stringifyJson(value: unknown): string {
  return write(value, 0)
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quote(value)
    case 'number':
      return writeNumber(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'bigint':
      return value.toString()
    case 'object':
      return value === null ? 'null' : writeContainer(value, depth + 1)
    default:
      throw unwritable(`a value of type ${typeof value}`)
  }
}

function writeContainer(value: object, depth: number): string {
  if (depth > WRITTEN_DEPTH_MAX) {
    throw new AkidbError('LIMIT', `The value nests deeper than ${WRITTEN_DEPTH_MAX} levels.`, {
      details: { limit: 'payloadDepthMax', max: WRITTEN_DEPTH_MAX },
    })
  }
  if (Array.isArray(value)) {
    // A vector, by the language's own writer: three times as fast.
    if (areWrittenPlainly(value)) return JSON.stringify(value)
    return `[${Array.from(value, (item: unknown) => write(item, depth)).join(',')}]`
  }
  if (value instanceof Map) {
    return writeMembers(value as Map<unknown, unknown>, depth)
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) {
    return writeMembers(Object.entries(value), depth)
  }
  throw unwritable(`an object of class ${value.constructor?.name ?? 'unknown'}`)
}

function writeMembers(members: Iterable<[unknown, unknown]>, depth: number): string {
  let text = ''
  for (const [key, value] of members) {
    if (typeof key !== 'string') throw unwritable('a key that is no string')
    text += `${text === '' ? '' : ','}${quote(key)}:${write(value, depth)}`
  }
  return `{${text}}`
}

/** Whether the language writes it as a number is written here. */
export const isWrittenPlainly = (value: unknown): boolean =>
  isPlainNumber(value) && !Object.is(value, -0)

/** Holes are no numbers, which `every` would pass over. */
function areWrittenPlainly(values: readonly unknown[]): boolean {
  for (let i = 0; i < values.length; i++) if (!isWrittenPlainly(values[i])) return false
  return true
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw unwritable(String(value))
  if (Object.is(value, -0)) return '-0'
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return value.toExponential()
  return String(value)
}

function quote(text: string): string {
  if (!text.isWellFormed()) throw unwritable('a string with a lone surrogate')
  return JSON.stringify(text)
}

const unwritable = (what: string): AkidbError =>
  new AkidbError('BAD_INPUT', `JSON has no form for ${what}.`)

/**
 * A value with plain objects instead of Maps; bigints stay. A key `__proto__` becomes an own
 * property and touches no prototype. Keys that look like array indexes come first, as the
 * language orders them; the Map keeps the order.
 */
export function toPlain(value: JsonValue): unknown {
  if (value instanceof Map) {
    const object: Record<string, unknown> = {}
    for (const [key, member] of value as ReadonlyMap<string, JsonValue>) {
      define(object, key, toPlain(member))
    }
    return object
  }
  return Array.isArray(value) ? value.map(toPlain) : value
}

function define(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  } else {
    object[key] = value
  }
}

/**
 * A value that a program made (null, booleans, finite numbers, bigints, strings, arrays, Maps,
 * plain objects) as a JsonValue; bigints within ±(2⁵³−1) become numbers, those beyond 64 bits
 * their text.
 *
 * Throws BAD_INPUT, naming the path, for everything else; LIMIT for nesting deeper than
 * limits.payloadDepthMax.
 */
export function fromPlain(value: unknown): JsonValue {
  return convert(value, { path: [] })
}

interface Place {
  readonly path: (string | number)[]
}

function convert(value: unknown, place: Place): JsonValue {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'string':
      if (!value.isWellFormed()) throw refused('a string with a lone surrogate', place)
      return value
    case 'number':
      if (!Number.isFinite(value)) throw refused(String(value), place)
      return value
    case 'bigint':
      return convertBigint(value)
    case 'object':
      return value === null ? null : convertContainer(value, place)
    default:
      throw refused(`a value of type ${typeof value}`, place)
  }
}

function convertBigint(value: bigint): JsonValue {
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  return value >= -(2n ** 63n) && value < 2n ** 64n ? value : value.toString()
}

function convertContainer(value: object, place: Place): JsonValue {
  if (place.path.length >= limits.payloadDepthMax) {
    throw new AkidbError('LIMIT', `The value nests deeper than ${limits.payloadDepthMax} levels.`, {
      details: { limit: 'payloadDepthMax', max: limits.payloadDepthMax },
    })
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown, index) => member(item, index, place))
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  const isMap = value instanceof Map
  if (!isMap && prototype !== Object.prototype && prototype !== null) {
    throw refused(`an object of class ${value.constructor?.name ?? 'unknown'}`, place)
  }
  const entries: Iterable<[unknown, unknown]> = isMap
    ? (value as Map<unknown, unknown>)
    : Object.entries(value)
  const members = new Map<string, JsonValue>()
  for (const [key, item] of entries) {
    if (typeof key !== 'string' || !key.isWellFormed()) throw refused('such a key', place)
    members.set(key, member(item, key, place))
  }
  return members
}

function member(value: unknown, key: string | number, place: Place): JsonValue {
  place.path.push(key)
  const converted = convert(value, place)
  place.path.pop()
  return converted
}

function refused(what: string, place: Place): AkidbError {
  const path = ['$', ...place.path].join('.')
  return new AkidbError('BAD_INPUT', `A payload cannot hold ${what} (at ${path}).`, {
    hint: 'Use null, booleans, finite numbers, bigints, strings, arrays and plain objects.',
    details: { path },
  })
}
