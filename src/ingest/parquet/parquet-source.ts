import type { JsonValue } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { FieldType } from '../../core/schema.ts'
import { BatchBuilder } from '../batch-builder.ts'
import { chooseColumns } from '../column-choice.ts'
import { Flaw } from '../flaw.ts'
import type { IngestBatch, InputBytes, ReadOptions, RecordSource, SourcePlan } from '../records.ts'
import type { VectorRule } from '../vector-check.ts'
import { openParquetFile, type ParquetFile, type RowGroupPlace } from './parquet-file.ts'
import { fieldTypeOf, type ParquetChoice, ParquetRowReader, resolveColumns } from './parquet-row.ts'

/** Rows that are looked at for the first good vector. */
const SAMPLE_ROWS = 1_024
/** Decompressed bytes of rows that are loaded at once, if the footer is to be believed. */
const BLOCK_BYTES = 8 * 1_048_576
const RECORD_BYTES = 256
const VALUE_BYTES = 16

/** Apache Parquet, read page by page, so that memory does not grow with rows or row groups. */
export async function openParquet(input: InputBytes, options: ReadOptions): Promise<RecordSource> {
  const file = await openParquetFile(input)
  const names = file.columns.map((node) => node.name)
  const choice = chooseColumns(names, options)
  const chosen = resolveColumns(file.columns, choice)
  const notes = [...choice.notes]
  const rule: VectorRule = {
    dimension: options.dimension,
    metric: options.metric,
    storage: options.storage,
    column: choice.vectorColumns[0] ?? '',
  }
  if (choice.vectorColumns.length > 0 && rule.dimension === undefined) {
    const row = await findDimension(file, chosen, rule)
    if (row !== undefined) notes.push(`The dimension is ${rule.dimension}, taken from row ${row}.`)
  }
  if (file.groups.every((group) => group.rows === 0)) notes.push('The file holds no rows.')
  const fields = chosen.payload.map((node): [string, FieldType] => [node.name, fieldTypeOf(node)])
  const plan: SourcePlan = {
    format: 'parquet',
    idColumn: choice.idColumn,
    vectorColumns: choice.vectorColumns,
    ...(rule.dimension === undefined ? {} : { dimension: rule.dimension }),
    textColumns: choice.textColumns,
    fields: Object.fromEntries(fields),
    columns: choice.payload,
    notes,
  }
  return {
    plan,
    warnings: new Map(),
    batches: (signal) => readBatches({ file, chosen, rule, options }, signal),
    close: async () => {},
  }
}

interface Work {
  readonly file: ParquetFile
  readonly chosen: ParquetChoice
  readonly rule: VectorRule
  readonly options: ReadOptions
}

async function* readBatches(work: Work, signal?: AbortSignal): AsyncGenerator<IngestBatch> {
  const { file, options } = work
  const skipRows = options.skipRows ?? 0
  const builder = new BatchBuilder(skipRows)
  for (const group of file.groups) {
    if (group.firstRow + group.rows <= skipRows) {
      for (let i = 0; i < group.rows; i++) builder.skip()
      continue
    }
    const reader = openGroup(work, group)
    const blockRows = blockRowsOf(group)
    for (let done = 0; done < group.rows; ) {
      const rows = Math.min(blockRows, group.rows - done)
      await reader.fill(rows)
      for (let i = 0; i < rows; i++) {
        readRow(reader, builder)
        if (!builder.isFull) continue
        signal?.throwIfAborted()
        yield builder.take(file.bytesRead())
      }
      done += rows
      signal?.throwIfAborted()
    }
    // A page is read before it is known that the chunk ends.
    await reader.fill(0)
    reader.expectEnd()
  }
  if (!builder.isEmpty || builder.rowsRead > 0) yield builder.take(file.bytes)
}

function readRow(reader: ParquetRowReader, builder: BatchBuilder): void {
  const position = builder.rowsRead
  const row = reader.read(position)
  if (builder.isSkipping) {
    builder.skip()
  } else if (row instanceof Flaw) {
    builder.refuse(row, {
      row: position,
      ...(reader.lastId === undefined ? {} : { id: reader.lastId }),
    })
  } else {
    const { id, vector, payload } = row
    const bytes = RECORD_BYTES + (vector?.byteLength ?? 0) + sizeOf(payload)
    builder.add(
      vector === undefined ? { id, payload, position } : { id, vector, payload, position },
      bytes,
    )
  }
}

/** The row whose vector set the rule's dimension. */
async function findDimension(
  file: ParquetFile,
  chosen: ParquetChoice,
  rule: VectorRule,
): Promise<number | undefined> {
  const group = file.groups.find((candidate) => candidate.rows > 0)
  if (group === undefined) return undefined
  const only = { ...chosen, id: undefined, payload: [] }
  const reader = openGroup({ file, chosen: only, rule, options: { metric: rule.metric } }, group)
  for (let row = 0; row < Math.min(group.rows, SAMPLE_ROWS); row++) {
    await reader.fill(1)
    if (!(reader.read(row) instanceof Flaw)) return group.firstRow + row
  }
  return undefined
}

function openGroup(work: Work, group: RowGroupPlace): ParquetRowReader {
  const { chosen, file } = work
  const wanted = new Set([
    ...(chosen.id === undefined ? [] : [chosen.id]),
    ...chosen.vectors,
    ...chosen.payload,
  ])
  const leaves = file.openLeaves(group, [...wanted])
  return new ParquetRowReader(chosen, work.rule, work.options.types ?? {}, leaves)
}

function blockRowsOf(group: RowGroupPlace): number {
  const rowBytes = Math.max(1, group.bytes / Math.max(1, group.rows))
  return Math.max(1, Math.min(limits.batchRowsMax, Math.floor(BLOCK_BYTES / rowBytes)))
}

/** An estimate of what a value costs in memory. */
function sizeOf(value: JsonValue): number {
  if (typeof value === 'string') return VALUE_BYTES + value.length
  if (Array.isArray(value))
    return value.reduce((sum: number, item) => sum + sizeOf(item), VALUE_BYTES)
  if (!(value instanceof Map)) return VALUE_BYTES
  let sum = VALUE_BYTES
  for (const member of value.values()) sum += VALUE_BYTES + sizeOf(member)
  return sum
}
