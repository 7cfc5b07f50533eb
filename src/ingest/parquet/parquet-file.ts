import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { InputBytes } from '../records.ts'
import { type ColumnMetaData, type FileMetaData, readFooter } from './hyparquet.ts'
import { LeafColumn } from './leaf-column.ts'
import { leafTypeOf } from './leaf-type.ts'
import { PageReader } from './page-reader.ts'
import { type SchemaNode, toSchemaNodes } from './schema-node.ts'
import { checkThriftStruct } from './thrift-check.ts'

/** Bytes that all leaf columns together ask for at once; as many again are read ahead. */
const READ_BYTES_TOTAL = 32 * 1_048_576
const READ_BYTES_MIN = 65_536
const READ_BYTES_MAX = 1_048_576
const TAIL_BYTES = 8

export interface RowGroupPlace {
  readonly rows: number
  /** Number of its first row in the file. */
  readonly firstRow: number
  /** Decompressed, as the footer says: a hint only. */
  readonly bytes: number
  readonly columns: readonly ColumnMetaData[]
}

/** A Parquet file whose footer was read and checked. */
export interface ParquetFile {
  readonly name: string
  readonly bytes: number
  readonly columns: readonly SchemaNode[]
  readonly groups: readonly RowGroupPlace[]
  /** Leaf columns of one row group: those of some top-level columns, by their ordinal. */
  openLeaves(group: RowGroupPlace, columns: readonly SchemaNode[]): Map<number, LeafColumn>
  readonly bytesRead: () => number
}

/** Throws BAD_INPUT where it is no Parquet file, cut short, encrypted, or its footer is broken. */
export async function openParquetFile(input: InputBytes): Promise<ParquetFile> {
  const { readAt, bytes: size, name } = input
  if (readAt === undefined || size === undefined) {
    throw new AkidbError(
      'BAD_INPUT',
      'Parquet cannot be read from a pipe: its directory stands at the end.',
      {
        hint: 'Save it to a file first.',
      },
    )
  }
  const footer = await readFooterBytes(input, { readAt: readAt.bind(input), size })
  const { metadata, root } = parseFooter(footer, name)
  const columns = toSchemaNodes(root)
  const groups = checkGroups(metadata, { columns, name, end: size - footer.length })
  let bytesRead = 0
  const counted = async (offset: number, count: number): Promise<Uint8Array> => {
    bytesRead += count
    return readAt.call(input, offset, count)
  }
  return {
    name,
    bytes: size,
    columns,
    groups,
    openLeaves: (group, wanted) => openLeaves(group, wanted, counted),
    bytesRead: () => Math.min(bytesRead, size),
  }
}

async function readFooterBytes(
  input: InputBytes,
  file: { readAt: (offset: number, bytes: number) => Promise<Uint8Array>; size: number },
): Promise<Uint8Array> {
  const { name } = input
  const { readAt, size } = file
  const head = Buffer.from(await readAt(0, 4)).toString('latin1')
  if (head === 'PARE') throw refused(`${name} is an encrypted Parquet file, which is not supported`)
  if (head !== 'PAR1') throw refused(`${name} is not a Parquet file: it does not begin with PAR1`)
  const tail = Buffer.from(await readAt(Math.max(0, size - TAIL_BYTES), TAIL_BYTES))
  if (size < 12 || tail.toString('latin1', 4) !== 'PAR1') {
    throw refused(`${name} has no PAR1 at its end: it is cut short`)
  }
  const length = tail.readUInt32LE(0)
  if (length > size - 12) {
    throw refused(`${name} is broken: its footer claims ${length} bytes, the file has ${size}`)
  }
  if (length > limits.parquetFooterBytesMax) {
    throw new AkidbError('LIMIT', `The footer of ${name} is ${length} bytes long.`, {
      details: { limit: 'parquetFooterBytesMax', max: limits.parquetFooterBytesMax },
    })
  }
  return readAt(size - TAIL_BYTES - length, length + TAIL_BYTES)
}

function parseFooter(footer: Uint8Array, name: string): ReturnType<typeof readFooter> {
  try {
    checkThriftStruct(footer.subarray(0, footer.length - TAIL_BYTES), 0)
    const parsed = readFooter(footer)
    if (parsed.metadata.schema.length > limits.columnsMax) throw new Error('too many columns')
    return parsed
  } catch (cause) {
    throw refused(`${name} is broken: its footer cannot be read`, cause)
  }
}

function checkGroups(
  metadata: FileMetaData,
  file: { columns: readonly SchemaNode[]; name: string; end: number },
): RowGroupPlace[] {
  const { name, end } = file
  const leaves = file.columns.reduce((sum, node) => sum + node.leafCount, 0)
  let firstRow = 0
  const groups = metadata.row_groups.map((group): RowGroupPlace => {
    const rows = Number(group.num_rows)
    if (!Number.isSafeInteger(rows) || rows < 0 || group.columns.length !== leaves) {
      throw refused(`${name} is broken: a row group does not fit its schema`)
    }
    const columns = group.columns.map((chunk) => {
      const meta = chunk.meta_data
      if (chunk.file_path !== undefined) throw refused(`${name} keeps columns in other files`)
      if (meta === undefined)
        throw refused(`${name} has an encrypted column, which is not supported`)
      const { start, end: chunkEnd } = rangeOf(meta)
      if (rows > 0 && !(start >= 4 && chunkEnd >= start && chunkEnd <= end)) {
        throw refused(`${name} is broken: a column chunk lies outside the file`)
      }
      return meta
    })
    const place = { rows, firstRow, bytes: Number(group.total_byte_size ?? 0), columns }
    firstRow += rows
    return place
  })
  if (BigInt(firstRow) !== BigInt(metadata.num_rows)) {
    throw refused(
      `${name} is broken: its row groups hold ${firstRow} rows, not ${metadata.num_rows}`,
    )
  }
  return groups
}

function openLeaves(
  group: RowGroupPlace,
  wanted: readonly SchemaNode[],
  readAt: (offset: number, bytes: number) => Promise<Uint8Array>,
): Map<number, LeafColumn> {
  const count = wanted.reduce((sum, node) => sum + node.leafCount, 0)
  const share = Math.floor(READ_BYTES_TOTAL / Math.max(count, 1))
  const readBytes = Math.min(READ_BYTES_MAX, Math.max(READ_BYTES_MIN, share))
  const leaves = new Map<number, LeafColumn>()
  const visit = (node: SchemaNode, path: string): void => {
    if (node.children.length > 0) {
      for (const child of node.children) visit(child, `${path}.${child.name}`)
      return
    }
    const meta = group.columns[node.firstLeaf]
    if (meta === undefined || meta.type !== node.element.type) {
      throw refused(`The column ${JSON.stringify(path)} has another type in a row group`)
    }
    const reader = new PageReader({ node, meta, path, ...rangeOf(meta), readBytes, readAt })
    leaves.set(node.firstLeaf, new LeafColumn(reader, leafTypeOf(node.element), node, path))
  }
  for (const node of wanted) visit(node, node.name)
  return leaves
}

function rangeOf(meta: ColumnMetaData): { start: number; end: number } {
  const dictionaryAt = Number(meta.dictionary_page_offset ?? 0n)
  const dataAt = Number(meta.data_page_offset)
  const start = dictionaryAt > 0 ? Math.min(dictionaryAt, dataAt) : dataAt
  return { start, end: start + Number(meta.total_compressed_size) }
}

const refused = (sentence: string, cause?: unknown): AkidbError =>
  new AkidbError('BAD_INPUT', `${sentence}.`, {
    hint: 'Copy the file again from its source, or write it anew.',
    ...(cause === undefined ? {} : { cause }),
  })
