import { ByteWriter, ParquetWriter, schemaFromColumnData, type Writer } from 'hyparquet-writer'
import type { JsonValue } from '../core/json.ts'
import { stringifyJson } from '../core/json.ts'
import type { StoredRecord } from '../index.ts'
import type { ColumnKind } from './dump-columns.ts'
import { type DumpPlan, type DumpWriter, flatRow, type WriteChunk } from './dump-plan.ts'

/** Rows or bytes of a row group: what is held in memory at once. */
const GROUP_ROWS_MAX = 10_000
const GROUP_BYTES_MAX = 32 * 1024 * 1024

/**
 * Types that the library writes. `wide` and `json` get their meaning in the schema at the end: the
 * text of mixed and nested values is ours, byte for byte, because the library's own JSON would
 * round wide integers.
 */
const PARQUET_TYPES = {
  string: 'STRING',
  integer: 'INT64',
  wide: 'INT64',
  float: 'DOUBLE',
  boolean: 'BOOLEAN',
  json: 'BYTE_ARRAY',
} as const

/** Writes records as Parquet, a row group at a time. The vector is a list of 32-bit floats. */
export function parquetDump(plan: DumpPlan, write: WriteChunk): DumpWriter {
  const buffer = new ByteWriter()
  // The library counts offsets over the whole file; what it holds is handed on after each row
  // group.
  const flush = async (): Promise<void> => {
    const piece = buffer.getBytes().slice()
    buffer.index = 0
    await write(piece)
  }
  const writer: Writer = Object.assign(buffer, { flush, finish: flush })
  const columns = columnsOf(plan)
  const parquet = new ParquetWriter({ writer, schema: schemaOf(plan), codec: 'SNAPPY' })
  let rows: Map<string, unknown>[] = []
  let bytes = 0
  const writeGroup = async (): Promise<void> => {
    if (rows.length === 0) return
    const columnData = columns.map(({ name, convert, encoding }) => ({
      name,
      data: rows.map((row) => convert(row.get(name))),
      ...(encoding === undefined ? {} : { encoding }),
    }))
    await parquet.write({ columnData, rowGroupSize: rows.length })
    rows = []
    bytes = 0
  }
  return {
    async add(record: StoredRecord) {
      rows.push(flatRow(plan, record))
      bytes += 8 * (record.vector?.length ?? 0) + 64 * record.payload.size
      if (rows.length >= GROUP_ROWS_MAX || bytes >= GROUP_BYTES_MAX) await writeGroup()
    },
    async finish() {
      await writeGroup()
      for (const element of parquet.schema) {
        const kind = plan.fields.kinds.get(element.name)
        if (kind === 'wide') element.converted_type = 'UINT_64'
        if (kind === 'json') element.converted_type = 'JSON'
      }
      await parquet.finish()
    },
  }
}

interface ParquetColumn {
  readonly name: string
  readonly convert: (value: unknown) => unknown
  readonly encoding?: 'PLAIN'
}

const columnsOf = ({ columns, vectors, fields }: DumpPlan): ParquetColumn[] => [
  { name: columns.id, convert: (value) => value },
  ...(vectors
    ? [{ name: columns.vector, convert: (value: unknown) => value ?? null, ...FLOATS }]
    : []),
  ...[...fields.kinds].map(([name, kind]) => ({
    name,
    convert: converterOf(kind),
    ...(kind === 'float' ? FLOATS : {}),
  })),
]

/** In the library's dictionaries 0 and −0 are one value. */
const FLOATS = { encoding: 'PLAIN' } as const

const converterOf =
  (kind: ColumnKind) =>
  (value: unknown): unknown => {
    if (value === undefined || value === null) return null
    if (kind === 'json') return new TextEncoder().encode(stringifyJson(value as JsonValue))
    if (kind === 'wide') return BigInt.asIntN(64, BigInt(value as number | bigint))
    if (kind === 'integer') return BigInt(value as number | bigint)
    return kind === 'float' ? Number(value) : value
  }

/** Built by hand for the list of floats, by the library for the rest. */
const schemaOf = ({ columns, vectors, fields }: DumpPlan) => {
  const scalars = [...fields.kinds].map(([name, kind]) => ({
    name,
    data: [],
    type: PARQUET_TYPES[kind],
    nullable: true,
  }))
  const id = { name: columns.id, data: [], type: 'STRING' as const, nullable: false }
  const [root, idElement, ...rest] = schemaFromColumnData({ columnData: [id, ...scalars] })
  if (root === undefined || idElement === undefined) throw new Error('no schema was made')
  const list = [
    { name: columns.vector, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'REQUIRED', type: 'FLOAT' },
  ] as const
  const top = 1 + (vectors ? 1 : 0) + scalars.length
  return [{ ...root, num_children: top }, idElement, ...(vectors ? list : []), ...rest]
}
