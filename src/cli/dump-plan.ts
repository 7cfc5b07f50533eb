import { AkidbError } from '../errors/errors.ts'
import type { CollectionInfo, StoredRecord } from '../index.ts'
import { type ColumnKind, columnKinds, needsTypes } from './dump-columns.ts'

export const DUMP_FORMATS = ['jsonl', 'csv', 'parquet'] as const
export type DumpFormat = (typeof DUMP_FORMATS)[number]

export interface DumpFields {
  /** Payload fields in the order of their first appearance; empty for JSONL, which needs none. */
  readonly kinds: ReadonlyMap<string, ColumnKind>
  /** Sentences for the operator. */
  readonly notes: readonly string[]
}

/** The columns of a dump: id, vector where there are vectors, payload fields. */
export interface DumpPlan {
  readonly columns: { readonly id: string; readonly vector: string }
  readonly vectors: boolean
  readonly fields: DumpFields
}

/** Takes records one by one. */
export interface DumpWriter {
  add(record: StoredRecord): Promise<void>
  finish(): Promise<void>
}

/** Takes the bytes of the dump in order. */
export type WriteChunk = (chunk: string | Uint8Array) => Promise<void>

/**
 * Reads all payloads once for the formats that must know their columns first. What the collection
 * searches by words, and its sparse vectors, have their columns also where no record has any:
 * ingest asks for them.
 */
export async function planColumns(
  format: DumpFormat,
  schema: CollectionInfo['schema'],
  scan: () => AsyncIterable<StoredRecord>,
): Promise<DumpFields> {
  if (format === 'jsonl') return { kinds: new Map(), notes: [] }
  const { kinds, guessable } = await columnKinds(scan())
  for (const name of schema.text.fields) if (!kinds.has(name)) kinds.set(name, 'string')
  for (const [name, { kind }] of Object.entries(schema.vectors)) {
    if (kind === 'sparse' && !kinds.has(name)) kinds.set(name, 'json')
  }
  if (format === 'parquet') return { kinds, notes: [] }
  const types = needsTypes(kinds, guessable)
  const note = `to take this CSV back unchanged, give ingest --types ${types.join(',')}`
  return { kinds, notes: types.length === 0 ? [] : [note] }
}

/** One record as one flat object: id, vector, then the payload's fields. */
export function flatRow(plan: DumpPlan, record: StoredRecord): Map<string, unknown> {
  const row = new Map<string, unknown>([[plan.columns.id, record.id]])
  if (record.vector !== undefined) row.set(plan.columns.vector, Array.from(record.vector))
  for (const [name, value] of record.payload) {
    if (row.has(name) || (plan.vectors && name === plan.columns.vector)) throw columnTwice(name)
    row.set(name, value)
  }
  return row
}

/** Two columns of one name. */
export const columnTwice = (name: string): AkidbError =>
  new AkidbError('USAGE', `the payload has a field "${name}", which is also a column of the dump`, {
    hint: 'Choose other names with --id-column and --vector-column.',
    details: { column: name },
  })
