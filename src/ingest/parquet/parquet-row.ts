import type { JsonValue } from '../../core/json.ts'
import type { FieldType } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { ColumnChoice } from '../column-choice.ts'
import { Flaw } from '../flaw.ts'
import { checkId } from '../id-check.ts'
import { hasType } from '../type-check.ts'
import { checkVector, type VectorRule } from '../vector-check.ts'
import { parseVectorText } from '../vector-text.ts'
import { type ValueReader, valueReader } from './assemble.ts'
import type { LeafColumn } from './leaf-column.ts'
import { leafTypeOf, utf8 } from './leaf-type.ts'
import { type SchemaNode, shapeOf } from './schema-node.ts'

/** What is taken from a file, the columns resolved. */
export interface ParquetChoice {
  readonly choice: ColumnChoice
  readonly id: SchemaNode | undefined
  readonly vectors: readonly SchemaNode[]
  readonly payload: readonly SchemaNode[]
}

export interface ParquetRow {
  readonly id: string
  readonly vector: Float32Array | undefined
  readonly payload: Map<string, JsonValue>
}

/**
 * Finds the nodes of the chosen columns. Throws BAD_INPUT, naming column and type, where one
 * cannot serve.
 */
export function resolveColumns(
  columns: readonly SchemaNode[],
  choice: ColumnChoice,
): ParquetChoice {
  const byName = new Map(columns.map((node) => [node.name, node]))
  const find = (name: string): SchemaNode[] => {
    const node = byName.get(name)
    return node === undefined ? [] : [node]
  }
  const id = byName.get(choice.idColumn)
  const vectors = choice.vectorColumns.flatMap(find)
  const payload = choice.payload.flatMap(find)
  if (id !== undefined && !canBeId(id)) throw unfit(id, 'ids: it must be a text or an integer')
  for (const node of vectors) {
    const fits = choice.componentwise ? numeric(node) : isList(node) || isText(node)
    if (!fits) throw unfit(node, 'vectors: it must be a list of numbers')
  }
  for (const node of payload) checkPayload(node)
  return { choice, id, vectors, payload }
}

/** Its members too: a variant is no struct, and of two members of one name one would be lost. */
function checkPayload(node: SchemaNode): void {
  if (node.element.logical_type?.type === 'VARIANT') throw unfit(node, 'payload')
  const names = new Set<string>()
  for (const child of node.children) {
    if (names.has(child.name)) {
      const [column, twice] = [node.name, child.name].map((name) => JSON.stringify(name))
      throw new AkidbError(
        'BAD_INPUT',
        `In the column ${column} the member ${twice} stands twice.`,
        {
          hint: 'Give every member its own name, or leave the column out with --columns.',
          details: { column: node.name },
        },
      )
    }
    names.add(child.name)
    checkPayload(child)
  }
}

/** Reads the rows of one row group, one after the other. */
export class ParquetRowReader {
  readonly #chosen: ParquetChoice
  readonly #rule: VectorRule
  readonly #types: readonly (readonly [string, FieldType])[]
  readonly #leaves: readonly LeafColumn[]
  readonly #readId: ValueReader | undefined
  readonly #readPayload: readonly (readonly [string, ValueReader])[]
  readonly #vectorLeaves: readonly LeafColumn[]
  /** Whether vectors are lists of numbers, and no text. */
  readonly #isList: boolean
  /** The id of the row read last, also of a refused one, where it could be read. */
  lastId: string | undefined

  constructor(
    chosen: ParquetChoice,
    rule: VectorRule,
    types: Readonly<Record<string, FieldType>>,
    leaves: ReadonlyMap<number, LeafColumn>,
  ) {
    const leaf = (ordinal: number): LeafColumn => {
      const column = leaves.get(ordinal)
      if (column === undefined) throw new Error(`leaf ${ordinal} is not open`)
      return column
    }
    this.#chosen = chosen
    this.#rule = rule
    this.#types = Object.entries(types)
    this.#leaves = [...leaves.values()]
    this.#readId = chosen.id === undefined ? undefined : valueReader(chosen.id, leaf)
    this.#readPayload = chosen.payload.map((node) => [node.name, valueReader(node, leaf)] as const)
    this.#isList = chosen.vectors.some(isList)
    this.#vectorLeaves = chosen.vectors.map((node) => leaf(node.firstLeaf))
  }

  async fill(rows: number): Promise<void> {
    for (const leaf of this.#leaves) await leaf.fill(rows)
  }

  expectEnd(): void {
    for (const leaf of this.#leaves) leaf.expectEnd()
  }

  /**
   * `row`: its number, from 0, the id where there is no id column. Every column moves on, also if
   * one is flawed.
   */
  read(row: number): ParquetRow | Flaw {
    for (const leaf of this.#leaves) leaf.beginRow()
    const { id: idNode, choice } = this.#chosen
    const idValue = this.#readId?.()
    const vector = this.#vector()
    const payload = new Map<string, JsonValue>()
    for (const [name, read] of this.#readPayload) payload.set(name, read())
    const flaw = this.#takeFlaw()
    const id =
      idNode === undefined ? String(row) : checkId(idText(idNode, idValue), choice.idColumn)
    this.lastId = id instanceof Flaw ? undefined : id
    if (id instanceof Flaw) return id
    if (vector instanceof Flaw) return vector
    if (flaw !== undefined) return flaw
    for (const [name, type] of this.#types) {
      const value = payload.get(name)
      if (value === undefined || value === null || hasType(value, type)) continue
      return new Flaw('TYPE', `${JSON.stringify(name)} is no ${type}.`, { column: name })
    }
    return { id, vector, payload }
  }

  #vector(): Float32Array | undefined | Flaw {
    const leaf = this.#vectorLeaves[0]
    const node = this.#chosen.vectors[0]
    if (leaf === undefined || node === undefined) return undefined
    if (this.#chosen.choice.componentwise) return this.#components()
    const column = node.name
    if (!this.#isList) {
      const text = leaf.take()
      return parseVectorText(typeof text === 'string' ? text : '', this.#rule)
    }
    const numbers = leaf.takeList()
    if (numbers === 'null') return new Flaw('NO_VECTOR', 'The vector is missing.', { column })
    if (numbers === 'empty') return new Flaw('NO_VECTOR', 'The vector is empty.', { column })
    if (numbers === 'null inside') {
      return new Flaw('NOT_FINITE', 'A component of the vector is null.', { column })
    }
    return checkVector(numbers as ArrayLike<number>, this.#rule)
  }

  #components(): Float32Array | Flaw {
    const values = new Float64Array(this.#vectorLeaves.length)
    let missing: string | undefined
    for (const [index, leaf] of this.#vectorLeaves.entries()) {
      const numbers = leaf.takeList()
      if (typeof numbers === 'string') missing ??= this.#chosen.vectors[index]?.name
      else values[index] = numbers[0] ?? Number.NaN
    }
    if (missing === undefined) return checkVector(values, this.#rule)
    return new Flaw('NO_VECTOR', 'A component of the vector is null.', { column: missing })
  }

  #takeFlaw(): Flaw | undefined {
    let found: Flaw | undefined
    for (const leaf of this.#leaves) {
      found ??= leaf.flaw
      leaf.flaw = undefined
    }
    return found
  }
}

/** Text that no writer marked as such came as base64. */
function idText(node: SchemaNode, value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value !== 'string' || leafTypeOf(node.element).name !== 'binary') return value
  const text = utf8(Buffer.from(value, 'base64'))
  return text instanceof Flaw ? undefined : text
}

/** The payload type of a column. */
export const fieldTypeOf = (node: SchemaNode): FieldType =>
  node.children.length > 0 || node.isRepeated ? 'json' : leafTypeOf(node.element).field

function canBeId(node: SchemaNode): boolean {
  if (node.children.length > 0 || node.isRepeated) return false
  const { field, name } = leafTypeOf(node.element)
  return field === 'integer' || (field === 'string' && name !== 'time')
}

const numeric = (node: SchemaNode): boolean =>
  node.children.length === 0 && !node.isRepeated && leafTypeOf(node.element).toNumber !== undefined

const isText = (node: SchemaNode): boolean =>
  node.children.length === 0 && !node.isRepeated && leafTypeOf(node.element).name === 'string'

function isList(node: SchemaNode): boolean {
  if (node.children.length === 0) {
    return node.isRepeated && leafTypeOf(node.element).toNumber !== undefined
  }
  const shape = shapeOf(node)
  if (shape.kind !== 'list' || shape.element.children.length > 0) return false
  return shape.element.repetition === 1 && leafTypeOf(shape.element.element).toNumber !== undefined
}

function unfit(node: SchemaNode, use: string): AkidbError {
  const { logical_type: logical, converted_type: converted, type } = node.element
  const own = logical?.type ?? converted ?? type ?? 'group'
  const name = node.children.length === 0 ? `${leafTypeOf(node.element).name} (${own})` : own
  const column = JSON.stringify(node.name)
  return new AkidbError('BAD_INPUT', `The column ${column} of type ${name} cannot hold ${use}.`, {
    hint: 'Name another column, or leave it out with --columns.',
    details: { column: node.name, type: name },
  })
}
