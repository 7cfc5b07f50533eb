import { isUtf8 } from 'node:buffer'
import type { JsonValue } from '../../core/json.ts'
import { JsonReader } from '../../core/json-reader.ts'
import { limits } from '../../core/limits.ts'
import type { FieldType } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { ColumnChoice } from '../column-choice.ts'
import { Flaw } from '../flaw.ts'
import { checkId } from '../id-check.ts'
import type { ReadOptions } from '../records.ts'
import { hasType } from '../type-check.ts'
import { badUtf8At } from '../utf8-check.ts'
import { checkVector, type VectorRule } from '../vector-check.ts'
import { parseVectorText } from '../vector-text.ts'

export interface JsonRow {
  readonly id: string
  readonly vector: Float32Array | undefined
  readonly payload: Map<string, JsonValue>
}

/** Turns the bytes of one line into a checked row. */
export class JsonRowReader {
  readonly #reader = new JsonReader(limits.payloadDepthMax)
  readonly #choice: ColumnChoice
  readonly #rule: VectorRule
  readonly #types: readonly (readonly [string, FieldType])[]
  readonly #only: ReadonlySet<string> | undefined
  readonly #left: readonly string[]
  readonly #keys: { id?: string; vector?: string }
  /** The id of the row read last, also of a refused one, where it could be read. */
  lastId: string | undefined

  constructor(
    choice: ColumnChoice,
    rule: VectorRule,
    options: ReadOptions,
    left: readonly string[],
  ) {
    this.#choice = choice
    this.#rule = rule
    this.#types = Object.entries(options.types ?? {})
    this.#only = options.columns === undefined ? undefined : new Set(choice.payload)
    this.#left = left
    const vector = choice.componentwise ? undefined : choice.vectorColumns[0]
    this.#keys = {
      ...(choice.idColumn === '' ? {} : { id: choice.idColumn }),
      ...(vector === undefined ? {} : { vector }),
    }
  }

  /** `row`: its number, from 0, the id where there is no id column. */
  read(bytes: Buffer | undefined, row: number): JsonRow | Flaw {
    this.lastId = undefined
    if (bytes === undefined) {
      return new Flaw('LIMIT', `The line is longer than ${limits.rowBytesMax} bytes.`)
    }
    if (!isUtf8(bytes)) {
      return new Flaw('BAD_UTF8', 'The line is not UTF-8.', { byte: badUtf8At(bytes) })
    }
    try {
      const record = this.#reader.parseRecord(bytes, this.#keys)
      if (!(record.value instanceof Map)) {
        return new Flaw('NOT_OBJECT', 'The line is JSON, but no object.')
      }
      return this.#check(record.value, record.vector, record.idIsInteger, row)
    } catch (error) {
      if (error instanceof AkidbError) return jsonFlaw(error)
      throw error
    }
  }

  #check(
    members: Map<string, JsonValue>,
    numbers: Float64Array | undefined,
    idIsInteger: boolean | undefined,
    row: number,
  ): JsonRow | Flaw {
    const column = this.#choice.idColumn
    const id =
      column === ''
        ? String(row)
        : idIsInteger === false
          ? new Flaw('BAD_ID', 'The id is a number that is no integer.', { column })
          : checkId(members.get(column), column)
    if (id instanceof Flaw) return id
    this.lastId = id
    members.delete(column)
    const vector = this.#vector(members, numbers)
    if (vector instanceof Flaw) return vector
    for (const name of this.#left) members.delete(name)
    if (this.#only !== undefined) {
      for (const name of members.keys()) if (!this.#only.has(name)) members.delete(name)
    }
    for (const [name, type] of this.#types) {
      const value = members.get(name)
      if (value === undefined || value === null || hasType(value, type)) continue
      return new Flaw('TYPE', `${JSON.stringify(name)} is no ${type}.`, { column: name })
    }
    return { id, vector, payload: members }
  }

  #vector(
    members: Map<string, JsonValue>,
    numbers: Float64Array | undefined,
  ): Float32Array | undefined | Flaw {
    const names = this.#choice.vectorColumns
    const name = names[0]
    if (name === undefined) return undefined
    if (this.#choice.componentwise) return this.#components(members)
    if (numbers !== undefined) return checkVector(numbers, this.#rule)
    const value = members.get(name)
    members.delete(name)
    if (value === undefined || value === null) {
      return new Flaw('NO_VECTOR', 'The vector is missing.', { column: name })
    }
    if (typeof value === 'string' && value.trimStart().startsWith('[')) {
      return parseVectorText(value, this.#rule)
    }
    if (!Array.isArray(value)) {
      return new Flaw('BAD_VECTOR', 'The vector is no array of numbers.', { column: name })
    }
    if (value.length === 0) return new Flaw('NO_VECTOR', 'The vector is empty.', { column: name })
    const at = value.findIndex((item) => typeof item !== 'number' && typeof item !== 'bigint')
    const reason = `Component ${at} of the vector is no number.`
    return new Flaw(value[at] === null ? 'NOT_FINITE' : 'BAD_VECTOR', reason, { column: name })
  }

  #components(members: Map<string, JsonValue>): Float32Array | Flaw {
    const names = this.#choice.vectorColumns
    const values = new Float64Array(names.length)
    for (const [index, name] of names.entries()) {
      const value = members.get(name)
      members.delete(name)
      if (typeof value !== 'number' && typeof value !== 'bigint') {
        const reason = `The component ${JSON.stringify(name)} is no number.`
        return new Flaw(value === undefined ? 'NO_VECTOR' : 'NOT_FINITE', reason, { column: name })
      }
      values[index] = Number(value)
    }
    return checkVector(values, this.#rule)
  }
}

function jsonFlaw(error: AkidbError): Flaw {
  const { reason, byte } = error.details
  const place = typeof byte === 'number' ? { byte } : {}
  if (error.code === 'LIMIT') return new Flaw('LIMIT', error.message, place)
  if (reason === 'TORN') {
    return new Flaw('BAD_JSON', `The line is cut short: ${error.message}`, place)
  }
  return new Flaw(reason === 'DUPLICATE_KEY' ? 'DUPLICATE_KEY' : 'BAD_JSON', error.message, place)
}
