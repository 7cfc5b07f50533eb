import type { JsonValue } from '../../core/json.ts'
import type { FieldType } from '../../core/schema.ts'
import type { ColumnChoice } from '../column-choice.ts'
import { Flaw } from '../flaw.ts'
import { checkId } from '../id-check.ts'
import { parseCell } from '../type-check.ts'
import { badUtf8At } from '../utf8-check.ts'
import { checkVector, type VectorRule } from '../vector-check.ts'
import { parseVectorText } from '../vector-text.ts'
import type { CsvRow } from './csv-records.ts'

export interface CsvFields {
  readonly names: readonly string[]
  readonly types: ReadonlyMap<string, FieldType>
  /** Columns whose type was demanded: a misfit refuses the row. */
  readonly demanded: ReadonlySet<string>
}

export interface CheckedCsvRow {
  readonly id: string
  readonly vector: Float32Array | undefined
  readonly payload: Map<string, JsonValue>
}

/** Turns the cells of one record into a checked row. */
export class CsvRowReader {
  readonly #choice: ColumnChoice
  readonly #fields: CsvFields
  readonly #rule: VectorRule
  readonly #index: ReadonlyMap<string, number>
  readonly #misfit: () => void
  /** The id of the row read last, also of a refused one, where it could be read. */
  lastId: string | undefined

  /** `misfit` is called for every cell that stays text in a column of another type. */
  constructor(choice: ColumnChoice, fields: CsvFields, rule: VectorRule, misfit: () => void) {
    this.#choice = choice
    this.#fields = fields
    this.#rule = rule
    this.#misfit = misfit
    this.#index = new Map(fields.names.map((name, index) => [name, index]))
  }

  /** `row`: its number, from 0, the id where there is no id column. */
  read(row: CsvRow, rowNumber: number): CheckedCsvRow | Flaw {
    this.lastId = undefined
    const cells = row.cells
    const wanted = this.#fields.names.length
    const { idColumn } = this.#choice
    const idCell = this.#cell(cells, idColumn)
    if (typeof idCell === 'string' && idCell !== '' && isText(idCell)) this.lastId = decode(idCell)
    if (cells.length < wanted || cells.slice(wanted).some((cell) => cell !== null)) {
      return new Flaw('FIELD_COUNT', `The row has ${cells.length} fields, the header ${wanted}.`)
    }
    const badAt = NOT_ASCII.test(row.raw) ? badUtf8At(Buffer.from(row.raw, 'latin1')) : -1
    if (badAt >= 0) return new Flaw('BAD_UTF8', 'The row is not UTF-8.', { byte: badAt })
    const id = idColumn === '' ? String(rowNumber) : checkId(decode(idCell ?? ''), idColumn)
    if (id instanceof Flaw) return id
    this.lastId = id
    const vector = this.#vector(cells)
    if (vector instanceof Flaw) return vector
    const payload = this.#payload(cells)
    return payload instanceof Flaw ? payload : { id, vector, payload }
  }

  #cell(cells: readonly (string | null)[], name: string): string | null | undefined {
    const index = this.#index.get(name)
    return index === undefined ? undefined : cells[index]
  }

  #vector(cells: readonly (string | null)[]): Float32Array | undefined | Flaw {
    const { vectorColumns, componentwise } = this.#choice
    const first = vectorColumns[0]
    if (first === undefined) return undefined
    if (!componentwise) return parseVectorText(this.#cell(cells, first) ?? '', this.#rule)
    const values = new Float64Array(vectorColumns.length)
    for (const [index, column] of vectorColumns.entries()) {
      const text = (this.#cell(cells, column) ?? '').trim()
      const value = COMPONENT.test(text) ? Number(text) : Number.NaN
      if (Number.isNaN(value)) {
        const code = text === '' ? 'NO_VECTOR' : 'NOT_FINITE'
        const shown = JSON.stringify(text.slice(0, 32))
        return new Flaw(code, `The component ${shown} is no number.`, { column })
      }
      values[index] = value
    }
    return checkVector(values, this.#rule)
  }

  #payload(cells: readonly (string | null)[]): Map<string, JsonValue> | Flaw {
    const payload = new Map<string, JsonValue>()
    for (const name of this.#choice.payload) {
      const cell = this.#cell(cells, name)
      if (cell === undefined || cell === null) {
        payload.set(name, null)
        continue
      }
      const text = decode(cell)
      const type = this.#fields.types.get(name) ?? 'string'
      const value = parseCell(text, type)
      if (value !== undefined) {
        payload.set(name, value)
      } else if (this.#fields.demanded.has(name)) {
        const shown = JSON.stringify(text.slice(0, 64))
        return new Flaw('TYPE', `${shown} is no ${type} in canonical form.`, { column: name })
      } else {
        this.#misfit()
        payload.set(name, text)
      }
    }
    return payload
  }
}

const NOT_ASCII = /[\x80-\xff]/
const COMPONENT = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

const isText = (cell: string): boolean =>
  !NOT_ASCII.test(cell) || badUtf8At(Buffer.from(cell, 'latin1')) < 0

/**
 * A field's text from its bytes as characters; what is no UTF-8 becomes U+FFFD (rows are checked
 * before).
 */
export const decode = (cell: string): string =>
  NOT_ASCII.test(cell) ? Buffer.from(cell, 'latin1').toString('utf8') : cell
