import { isUtf8 } from 'node:buffer'
import { type JsonValue, parseJsonBytes } from '../../core/json.ts'
import type { FieldType } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import { Flaw } from '../flaw.ts'
import type { RawValue, SchemaElement } from './hyparquet.ts'
import { dateText, int96Text, type TimeUnit, timestampText, timeText } from './time-text.ts'

/** How the stored values of one leaf column become payload values. */
export interface LeafType {
  readonly field: FieldType
  /** For messages. */
  readonly name: string
  /** Exact; a Flaw where the bytes hold no such value. */
  convert(raw: RawValue): JsonValue | Flaw
  /** As a vector component; absent where the column holds no numbers. */
  readonly toNumber?: (raw: RawValue) => number
}

/**
 * The type of a leaf. Integers, decimals and times keep every digit: decimals and times as text,
 * times with all digits of their unit; bytes without a meaning become base64; NaN and infinities,
 * which JSON lacks, their names.
 */
export function leafTypeOf(element: SchemaElement): LeafType {
  const logical = element.logical_type
  const converted = element.converted_type
  if (logical?.type === 'DECIMAL' || converted === 'DECIMAL') return decimal(element.scale ?? 0)
  switch (element.type) {
    case 'BOOLEAN':
      return { field: 'boolean', name: 'boolean', convert: (raw) => raw === true }
    case 'INT32':
      return int32(element)
    case 'INT64':
      return int64(element)
    case 'INT96':
      return time('timestamp', (raw) => int96Text(BigInt(raw as bigint)), 'datetime')
    case 'FLOAT':
    case 'DOUBLE':
      return {
        field: 'float',
        name: element.type === 'FLOAT' ? 'float' : 'double',
        convert: (raw) => finite(raw as number),
        toNumber: Number,
      }
    default:
      return bytesType(element)
  }
}

function int32(element: SchemaElement): LeafType {
  const { logical_type: logical, converted_type: converted } = element
  if (logical?.type === 'DATE' || converted === 'DATE') {
    return time('date', (raw) => dateText(Number(raw)), 'datetime')
  }
  if (logical?.type === 'TIME' || converted === 'TIME_MILLIS') {
    return time('time', (raw) => timeText(BigInt(raw as number), 'MILLIS'), 'string')
  }
  const unsigned = converted === 'UINT_32' || (logical?.type === 'INTEGER' && !logical.isSigned)
  const value = (raw: RawValue): number => (unsigned ? Number(raw) >>> 0 : Number(raw))
  return { field: 'integer', name: 'int32', convert: value, toNumber: value }
}

function int64(element: SchemaElement): LeafType {
  const { logical_type: logical, converted_type: converted } = element
  if (logical?.type === 'TIMESTAMP') {
    const { unit, isAdjustedToUTC } = logical
    return timestamp(unit, isAdjustedToUTC)
  }
  if (converted === 'TIMESTAMP_MILLIS') return timestamp('MILLIS', true)
  if (converted === 'TIMESTAMP_MICROS') return timestamp('MICROS', true)
  if (logical?.type === 'TIME' || converted === 'TIME_MICROS') {
    const unit = logical?.type === 'TIME' ? logical.unit : 'MICROS'
    return time('time', (raw) => timeText(BigInt(raw as bigint), unit), 'string')
  }
  const unsigned = converted === 'UINT_64' || (logical?.type === 'INTEGER' && !logical.isSigned)
  const exact = (raw: RawValue): bigint =>
    unsigned ? BigInt.asUintN(64, BigInt(raw as bigint)) : BigInt(raw as bigint)
  const convert = (raw: RawValue): JsonValue => {
    const value = exact(raw)
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : value
  }
  return { field: 'integer', name: 'int64', convert, toNumber: (raw) => Number(exact(raw)) }
}

const timestamp = (unit: TimeUnit, isInstant: boolean): LeafType =>
  time('timestamp', (raw) => timestampText(BigInt(raw as bigint), unit, isInstant), 'datetime')

function time(
  name: string,
  text: (raw: RawValue) => string | undefined,
  field: FieldType,
): LeafType {
  const convert = (raw: RawValue): JsonValue | Flaw =>
    text(raw) ?? new Flaw('TYPE', `The ${name} is out of range.`)
  return { field, name, convert }
}

function decimal(scale: number): LeafType {
  const convert = (raw: RawValue): JsonValue => {
    const unscaled = raw instanceof Uint8Array ? signedBigEndian(raw) : BigInt(raw as bigint)
    const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
    const whole = digits.slice(0, digits.length - scale)
    const sign = unscaled < 0n ? '-' : ''
    return scale > 0 ? `${sign}${whole}.${digits.slice(-scale)}` : `${sign}${whole}`
  }
  return { field: 'decimal', name: 'decimal', convert }
}

function signedBigEndian(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  const hex = Buffer.from(bytes).toString('hex')
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`))
}

function bytesType(element: SchemaElement): LeafType {
  const { logical_type: logical, converted_type: converted, type_length: length } = element
  const kind = logical?.type
  if (kind === 'FLOAT16' && length === 2) {
    const toNumber = (raw: RawValue): number => half(raw as Uint8Array)
    return { field: 'float', name: 'float16', convert: (raw) => finite(toNumber(raw)), toNumber }
  }
  if (kind === 'JSON' || converted === 'JSON') {
    return { field: 'json', name: 'json', convert: (raw) => json(raw as Uint8Array) }
  }
  const text = kind === 'STRING' || kind === 'ENUM'
  if (text || converted === 'UTF8' || converted === 'ENUM') {
    return { field: 'string', name: 'string', convert: (raw) => utf8(raw as Uint8Array) }
  }
  if (kind === 'UUID' && length === 16) {
    return { field: 'string', name: 'uuid', convert: (raw) => uuid(raw as Uint8Array) }
  }
  const base64 = (raw: RawValue): string => bufferOf(raw as Uint8Array).toString('base64')
  return { field: 'string', name: 'binary', convert: base64 }
}

/** Bytes as text, also where nothing says that they are (old writers leave the mark out). */
export function utf8(bytes: Uint8Array): string | Flaw {
  return isUtf8(bytes)
    ? bufferOf(bytes).toString('utf8')
    : new Flaw('BAD_UTF8', 'The text is not UTF-8.')
}

/** Text that its writer calls JSON is the value that it says. */
function json(bytes: Uint8Array): JsonValue | Flaw {
  try {
    return parseJsonBytes(bytes)
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    return new Flaw('BAD_JSON', error.message)
  }
}

function uuid(bytes: Uint8Array): string {
  const hex = bufferOf(bytes).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** IEEE 754 binary16, little endian. */
function half(bytes: Uint8Array): number {
  const bits = (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8)
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1_024) * 2 ** (exponent - 15)
}

function finite(value: number): JsonValue {
  if (Number.isFinite(value)) return value
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf'
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
