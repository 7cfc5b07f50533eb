import { type JsonObject, type JsonValue, stringifyJson } from '../core/json.ts'
import type { StoredRecord } from '../index.ts'
import type { ColumnKind } from './dump-columns.ts'
import {
  columnTwice,
  type DumpFormat,
  type DumpPlan,
  type DumpWriter,
  flatRow,
  type WriteChunk,
} from './dump-plan.ts'
import { csvLine } from './table.ts'

/** Text is handed on in pieces of about this size. */
const PIECE_BYTES = 64 * 1024

/** Writes records in one format, in the order in which they are added. */
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

async function csvDump(plan: DumpPlan, write: WriteChunk): Promise<DumpWriter> {
  const { columns, vectors, fields } = plan
  for (const name of fields.kinds.keys()) {
    if (name === columns.id || (vectors && name === columns.vector)) throw columnTwice(name)
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
