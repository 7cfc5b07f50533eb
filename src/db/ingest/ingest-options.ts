import { checkQuantization } from '../../ann/quantization.ts'
import { sha256Hex } from '../../core/digest.ts'
import type { Metric } from '../../core/metric.ts'
import {
  denseSpec,
  FIELD_TYPES,
  type FieldType,
  type IndexParameters,
  type Schema,
  sparseFieldsOf,
} from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { ReadOptions, SourcePlan } from '../../ingest/records.ts'
import type { IngestRequest } from '../api/api.ts'
import { indexOf, textSpecOf } from '../collection/lifecycle.ts'
import { sparseSpecs } from '../segment/sparse-fields.ts'
import { vectorSpecOf } from '../segment/view.ts'

/** What a collection holds: one that exists, or that the first files of a run call for. */
export interface KnownSchema {
  readonly name: string
  readonly schema: Schema
}

/**
 * What of a request decides how a file is read, given the collection where it is known.
 *
 * @throws SCHEMA_MISMATCH, USAGE
 */
export function readOptionsOf(request: IngestRequest, known: KnownSchema | undefined): ReadOptions {
  const spec = known === undefined ? undefined : vectorSpecOf(known.schema)
  const dimension = spec?.dimension ?? request.dimension
  const textColumns = request.textColumns ?? known?.schema.text.fields
  const sparse = known === undefined ? request.sparseColumns : sparseFieldsOf(known.schema)
  const types = request.types === undefined ? undefined : checkedTypes(request.types)
  return definedOnly({
    format: request.format,
    idColumn: request.idColumn,
    vectorColumn: request.vectorColumn,
    vectorColumns: request.vectorColumns,
    textColumns,
    sparseColumns: sparse,
    indexedColumns: known === undefined ? undefined : indexedColumnsOf(request, known),
    columns: request.columns,
    types,
    separator: request.separator,
    dimension,
    vectors: known === undefined ? undefined : spec !== undefined,
    metric: metricOf(request, known),
    storage: known === undefined ? request.storage : spec?.storage,
    fields: known?.schema.fields,
  })
}

const indexedColumnsOf = (request: IngestRequest, { schema }: KnownSchema): readonly string[] => [
  ...schema.text.fields.filter((field) => request.textColumns?.includes(field) !== true),
  ...sparseFieldsOf(schema).filter((field) => request.sparseColumns?.includes(field) !== true),
]

/**
 * @throws SCHEMA_MISMATCH where the collection has another metric, storage, text fields, places of
 *   words or dimension than was asked for
 */
function metricOf(request: IngestRequest, known: KnownSchema | undefined): Metric {
  if (known === undefined) return request.metric ?? 'cosine'
  const { name, schema } = known
  const spec = vectorSpecOf(schema)
  if (request.metric !== undefined && spec !== undefined && request.metric !== spec.metric) {
    throw mismatch(name, `measures by ${spec.metric}, not ${request.metric}`)
  }
  if (request.storage !== undefined && spec !== undefined && request.storage !== spec.storage) {
    throw mismatch(name, `stores vectors as ${spec.storage ?? 'f32'}, not ${request.storage}`)
  }
  if (request.dimension !== undefined && request.dimension !== (spec?.dimension ?? 0)) {
    throw mismatch(name, `has dimension ${spec?.dimension ?? 0}, not ${request.dimension}`)
  }
  const unknown = request.textColumns?.filter((field) => !schema.text.fields.includes(field)) ?? []
  if (unknown.length > 0) {
    throw mismatch(
      name,
      `has no text index over ${unknown.map((field) => `"${field}"`).join(', ')}`,
    )
  }
  if (request.textPositions === true && schema.text.positions !== true) {
    throw mismatch(name, 'stores no positions of words')
  }
  const strange =
    request.sparseColumns?.filter((field) => schema.vectors[field] === undefined) ?? []
  if (strange.length > 0) {
    throw mismatch(name, `has no sparse vectors in ${strange.map((f) => `"${f}"`).join(', ')}`)
  }
  return spec?.metric ?? 'cosine'
}

const mismatch = (name: string, what: string): AkidbError =>
  new AkidbError('SCHEMA_MISMATCH', `collection "${name}" ${what}`, {
    hint: 'Leave the option out, or ingest into a new collection.',
  })

function checkedTypes(types: Readonly<Record<string, string>>): Record<string, FieldType> {
  const result: Record<string, FieldType> = Object.create(null)
  for (const [column, type] of Object.entries(types)) {
    if (!(FIELD_TYPES as readonly string[]).includes(type)) {
      throw new AkidbError('USAGE', `"${type}" is no type of a column`, {
        hint: `The types are ${FIELD_TYPES.join(', ')}.`,
      })
    }
    result[column] = type as FieldType
  }
  return result
}

/** SHA-256 of the options that change rows, values or index; never threads, memory or output. */
export function optionsDigest(request: IngestRequest): string {
  const chosen = {
    format: request.format,
    idColumn: request.idColumn,
    vectorColumn: request.vectorColumn,
    vectorColumns: request.vectorColumns,
    textColumns: request.textColumns,
    sparseColumns: request.sparseColumns,
    columns: request.columns,
    types: request.types,
    separator: request.separator,
    noIndex: request.noIndex === true ? true : undefined,
  }
  return sha256Hex(Buffer.from(JSON.stringify(chosen)))
}

/**
 * Schema with the fields of a file: the known one, whose fields keep their types, or the one that
 * the first file calls for.
 */
export function schemaFor(
  plan: SourcePlan,
  known: Schema | undefined,
  request: Pick<IngestRequest, 'metric' | 'storage' | 'sparseColumns' | 'textPositions'>,
): Schema {
  const fields: Record<string, FieldType> = Object.create(null)
  Object.assign(fields, known?.fields)
  for (const [name, type] of Object.entries(plan.fields)) fields[name] ??= type
  if (known !== undefined) return { ...known, fields }
  const { dimension } = plan
  return {
    vectors: {
      ...(dimension === undefined ? {} : { '': denseSpec(dimension, request) }),
      ...sparseSpecs(request.sparseColumns),
    },
    fields,
    text: textSpecOf(plan.textColumns, request.textPositions),
  }
}

/** @throws SCHEMA_MISMATCH where a collection has vectors, and a file no column for them */
export function checkVectors(
  plan: SourcePlan,
  known: { readonly name: string; readonly schema: Schema } | undefined,
): void {
  const spec = known === undefined ? undefined : vectorSpecOf(known.schema)
  if (known === undefined || spec === undefined || plan.vectorColumns.length > 0) return
  const message = `collection "${known.name}" has ${spec.dimension}-d vectors, this file has none`
  throw new AkidbError('SCHEMA_MISMATCH', message, {
    hint: 'Name its column with --vector-column, or ingest it into a collection of text alone.',
  })
}

export const indexFor = (request: IngestRequest, head: Manifest | undefined) =>
  head === undefined ? indexOf(request.index) : head.state.index

/** @throws USAGE where a new collection's index is of a form that its vectors are too short for */
export function checkIndex(index: IndexParameters, schema: Schema): void {
  const spec = vectorSpecOf(schema)
  if (spec !== undefined) checkQuantization(index.quantization ?? 'int8', spec.dimension)
}

/** How many rejects make a run partial: a count, or a share of the rows as "5%". */
export function rejectsAllowed(maxRejects: number | string | undefined, rows: number): number {
  if (maxRejects === undefined) return 0
  const share = /^(\d+(?:\.\d+)?)%$/.exec(String(maxRejects))?.[1]
  const count = share === undefined ? Number(maxRejects) : (rows * Number(share)) / 100
  if (Number.isFinite(count) && count >= 0) return count
  throw new AkidbError('USAGE', `"${maxRejects}" is neither a count nor a share like 5%`)
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

function definedOnly<T extends object>(value: T): Defined<T> {
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined)
  return Object.fromEntries(entries) as Defined<T>
}
