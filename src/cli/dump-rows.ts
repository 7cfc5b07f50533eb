import { type JsonObject, type JsonValue, stringifyJson } from '../core/json.ts'
import type { StoredRecord } from '../db/api.ts'
import { AkidbError } from '../errors/errors.ts'
import { type ColumnKind, columnKinds, needsTypes } from './dump-columns.ts'
import { csvLine } from './table.ts'

export const DUMP_FORMATS = ['jsonl', 'csv', 'parquet'] as const
export type DumpFormat = (typeof DUMP_FORMATS)[number]

/** Text is handed on in pieces of about this size. */
const PIECE_BYTES = 64 * 1024

export interface DumpFields {
  /** Payload fields in the order of their first appearance; empty for JSONL, which needs none. */
  readonly kinds: ReadonlyMap<string, ColumnKind>
  /** Sentences for the operator. */
  readonly notes: readonly string[]
}

export interface DumpPlan {
  readonly columns: { readonly id: string; readonly vector: string }
  readonly vectors: boolean
  readonly fields: DumpFields
}

export interface DumpWriter {
  add(record: StoredRecord): Promise<void>
  finish(): Promise<void>
}

export type WriteChunk = (chunk: string | Uint8Array) => Promise<void>

/** Reads all payloads once for the formats that must know their columns first. */
export async function planColumns(
  format: DumpFormat,
  scan: () => AsyncIterable<StoredRecord>,
): Promise<DumpFields> {
  if (format === 'jsonl') return { kinds: new Map(), notes: [] }
  const { kinds, guessable } = await columnKinds(scan())
  if (format === 'parquet') return { kinds, notes: [] }
  const types = needsTypes(kinds, guessable)
  const note = `to take this CSV back unchanged, give ingest --types ${types.join(',')}`
  return { kinds, notes: types.length === 0 ? [] : [note] }
}

export async function dumpWriter(
  format: DumpFormat,
  plan: DumpPlan,
  write: WriteChunk,
): Promise<DumpWriter> {
  if (format === 'parquet') {
    const { parquetDump } = await import('./dump-parquet.ts')
    return parquetDump(plan, write)
  }
  if (format === 'csv') return csvDump(plan, write)
  return buffered(write, (record) => `${stringifyJson(flatRow(plan, record))}\n`)
}

/** One record as one flat object: id, vector, then the payload's fields. */
export function flatRow(plan: DumpPlan, record: StoredRecord): Map<string, unknown> {
  const row = new Map<string, unknown>([[plan.columns.id, record.id]])
  if (record.vector !== undefined) row.set(plan.columns.vector, Array.from(record.vector))
  for (const [name, value] of record.payload) {
    if (row.has(name) || (plan.vectors && name === plan.columns.vector)) throw clash(name)
    row.set(name, value)
  }
  return row
}

const clash = (name: string): AkidbError =>
  new AkidbError('USAGE', `the payload has a field "${name}", which is also a column of the dump`, {
    hint: 'Choose other names with --id-column and --vector-column.',
    details: { column: name },
  })

async function csvDump(plan: DumpPlan, write: WriteChunk): Promise<DumpWriter> {
  const { columns, vectors, fields } = plan
  for (const name of fields.kinds.keys()) {
    if (name === columns.id || (vectors && name === columns.vector)) throw clash(name)
  }
  const names = [columns.id, ...(vectors ? [columns.vector] : []), ...fields.kinds.keys()]
  await write(csvLine(names))
  return buffered(write, (record) => {
    const vector = record.vector === undefined ? '' : stringifyJson(Array.from(record.vector))
    const cells = [csvText(record.id), ...(vectors ? [quoted(vector)] : [])]
    for (const [name, kind] of fields.kinds) cells.push(csvCell(record.payload, name, kind))
    return `${cells.join(',')}\n`
  })
}

/**
 * Null and missing are an empty cell; an empty text is quoted, since an unquoted empty cell is
 * null.
 */
const csvCell = (payload: JsonObject, name: string, kind: ColumnKind): string => {
  const value: JsonValue | undefined = payload.get(name)
  if (value === undefined || value === null) return ''
  if (kind === 'json') return quoted(stringifyJson(value))
  return typeof value === 'string' ? csvText(value) : stringifyJson(value)
}

const csvText = (text: string): string =>
  text === '' || text !== text.trim() || /[",\r\n]/.test(text) ? quoted(text) : text

const quoted = (text: string): string => (text === '' ? '""' : `"${text.replaceAll('"', '""')}"`)

/** Gathers lines into larger pieces. */
const buffered = (write: WriteChunk, lineOf: (record: StoredRecord) => string): DumpWriter => {
  let pending = ''
  return {
    async add(record) {
      pending += lineOf(record)
      if (pending.length < PIECE_BYTES) return
      const piece = pending
      pending = ''
      await write(piece)
    },
    finish: async () => {
      if (pending !== '') await write(pending)
    },
  }
}
