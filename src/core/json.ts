import { isUtf8 } from 'node:buffer'
import { AkidbError } from '../errors/errors.ts'
import { JsonReader } from './json-reader.ts'
import type { JsonValue } from './json-value.ts'
import { limits } from './limits.ts'

export type { JsonObject, JsonValue } from './json-value.ts'
export { isWrittenPlainly, stringifyJson } from './json-writer.ts'

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
  return convert(value, { path: [], depth: 0 })
}

interface Place {
  /** Keys and indexes from the outermost value; the first `depth` of them count. */
  readonly path: (string | number)[]
  depth: number
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
  if (place.depth >= limits.payloadDepthMax) {
    throw new AkidbError('LIMIT', `The value nests deeper than ${limits.payloadDepthMax} levels.`, {
      details: { limit: 'payloadDepthMax', max: limits.payloadDepthMax },
    })
  }
  if (Array.isArray(value)) {
    const items: JsonValue[] = []
    // Holes are refused, which an iteration by the language's own functions may pass over.
    const { length } = value
    for (let i = 0; i < length; i++) items.push(member(value[i], i, place))
    return items
  }
  const members = new Map<string, JsonValue>()
  if (value instanceof Map) {
    for (const [key, item] of value as Map<unknown, unknown>) {
      members.set(keyOf(key, place), member(item, key as string, place))
    }
    return members
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw refused(`an object of class ${value.constructor?.name ?? 'unknown'}`, place)
  }
  const object = value as Readonly<Record<string, unknown>>
  for (const key of Object.keys(object)) {
    members.set(keyOf(key, place), member(object[key], key, place))
  }
  return members
}

function keyOf(key: unknown, place: Place): string {
  if (typeof key === 'string' && key.isWellFormed()) return key
  throw refused('such a key', place)
}

function member(value: unknown, key: string | number, place: Place): JsonValue {
  place.path[place.depth++] = key
  const converted = convert(value, place)
  place.depth--
  return converted
}

function refused(what: string, { path, depth }: Place): AkidbError {
  const shown = ['$', ...path.slice(0, depth)].join('.')
  return new AkidbError('BAD_INPUT', `A payload cannot hold ${what} (at ${shown}).`, {
    hint: 'Use null, booleans, finite numbers, bigints, strings, arrays and plain objects.',
    details: { path: shown },
  })
}
