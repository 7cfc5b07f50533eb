import { type JsonValue, parseJson } from '../core/json.ts'
import type { FieldType } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'

const INTEGER = /^(0|-?[1-9]\d{0,18}|[1-9]\d{19})$/
const FLOAT = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/
const DATETIME = /^[+-]?\d{4,6}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/
/** No f64 needs more significant digits to be told from all others: text that has more is text. */
const FLOAT_DIGITS_MAX = 17

/** Whether a JSON value is of a field's type. Wider integers, decimals and times are texts. */
export function hasType(value: JsonValue, type: FieldType): boolean {
  switch (type) {
    case 'json':
      return true
    case 'string':
      return typeof value === 'string'
    case 'boolean':
      return typeof value === 'boolean'
    case 'integer':
      return typeof value === 'bigint' || Number.isSafeInteger(value)
    case 'float':
      return typeof value === 'bigint' || typeof value === 'number'
    case 'decimal':
      return typeof value === 'bigint' || typeof value === 'number' || isText(value, FLOAT)
    case 'datetime':
      return isText(value, DATETIME)
  }
}

/** The type that a table has for a column: its own entries only, whatever the column is called. */
export const typeIn = (
  table: Readonly<Record<string, FieldType>> | undefined,
  column: string,
): FieldType | undefined =>
  table !== undefined && Object.hasOwn(table, column) ? table[column] : undefined

/** A value's narrowest type. */
export function typeOf(value: JsonValue): FieldType {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return 'integer'
  return typeof value === 'number' ? 'float' : 'json'
}

/** The type of a column that has values of two types. */
export function commonType(a: FieldType | undefined, b: FieldType): FieldType {
  if (a === undefined || a === b) return b
  const numeric = (a === 'integer' && b === 'float') || (a === 'float' && b === 'integer')
  return numeric ? 'float' : 'json'
}

/** A cell's text as a value of some type; undefined where it is no canonical form of one. */
export function parseCell(text: string, type: FieldType): JsonValue | undefined {
  switch (type) {
    case 'string':
      return text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined
    case 'integer':
      return parseInteger(text)
    case 'float':
      return parseFloatExact(text)
    case 'decimal':
      return FLOAT.test(text) ? text : undefined
    case 'datetime':
      return DATETIME.test(text) ? text : undefined
    case 'json':
      return parseJsonCell(text)
  }
}

/** The type that a cell's canonical form shows. */
export function cellType(text: string): 'integer' | 'float' | 'boolean' | 'string' {
  if (text === 'true' || text === 'false') return 'boolean'
  if (parseInteger(text) !== undefined) return 'integer'
  return parseFloatExact(text) === undefined ? 'string' : 'float'
}

function parseInteger(text: string): JsonValue | undefined {
  if (text.length > 20 || !INTEGER.test(text)) return undefined
  if (text.length <= 15) return Number(text)
  const exact = BigInt(text)
  if (exact < -(2n ** 63n) || exact >= 2n ** 64n) return undefined
  const number = Number(exact)
  return Number.isSafeInteger(number) ? number : exact
}

function parseFloatExact(text: string): number | undefined {
  if (!FLOAT.test(text)) return undefined
  const digits = text
    .replace(/[eE].*$/, '')
    .replace(/[-.]/g, '')
    .replace(/^0+/, '')
  if (digits.length > FLOAT_DIGITS_MAX) return undefined
  const number = Number(text)
  if (!Number.isFinite(number)) return undefined
  // A whole number among floats may be a key: it is not rounded.
  const isWhole = /^-?\d+$/.test(text)
  return isWhole && BigInt(text) !== BigInt(number) ? undefined : number
}

function parseJsonCell(text: string): JsonValue | undefined {
  try {
    return parseJson(text)
  } catch (error) {
    if (error instanceof AkidbError) return undefined
    throw error
  }
}

const isText = (value: JsonValue, form: RegExp): boolean =>
  typeof value === 'string' && form.test(value)
