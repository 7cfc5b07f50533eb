import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/sources.ts'

/** The page that the format tests compare the code with. */
export const PAGE = readFileSync(join(ROOT, 'docs', 'format.md'), 'utf8')

/** Cells of one row of a table. */
export type Row = readonly string[]

/** Rows of the table under a heading whose first column is called `column`; code marks stay. */
export function tableOf(heading: string, column: string): readonly Row[] {
  const lines = PAGE.split('\n')
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading)
  if (start < 0) throw new Error(`docs/format.md has no heading "${heading}"`)
  const next = lines.findIndex((line, i) => i > start && /^#+ /.test(line))
  const part = lines.slice(start, next < 0 ? undefined : next)
  const head = part.findIndex((line) => cells(line)[0] === column)
  if (head < 0) throw new Error(`"${heading}" has no table of ${column}`)
  const rows: Row[] = []
  for (const line of part.slice(head + 2)) {
    if (!line.startsWith('|')) break
    rows.push(cells(line))
  }
  return rows
}

const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())

/** One field of a byte table. */
export interface ByteField {
  readonly offset: number
  readonly bytes: number
  readonly type: string
  readonly name: string
}

/** A byte table; its fields must lie one behind the other from 0. */
export function byteTable(heading: string): readonly ByteField[] {
  let end = 0
  return tableOf(heading, 'offset').map(([offset, bytes, type = '', name = '']) => {
    const field = { offset: Number(offset), bytes: Number(bytes), type, name }
    if (field.offset !== end) throw new Error(`${heading}: ${name} is not at ${end}`)
    end += field.bytes
    return field
  })
}

export const lengthOf = (fields: readonly ByteField[]): number =>
  fields.reduce((sum, field) => sum + field.bytes, 0)

type Value = string | number | bigint

/** The fields of some bytes as the table says they lie there. */
export function readFields(
  fields: readonly ByteField[],
  bytes: Uint8Array,
): Readonly<Record<string, Value>> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Object.fromEntries(fields.map((field) => [field.name, readField(field, view)]))
}

const WIDTHS: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, f64: 8 }

function readField({ offset, bytes, type, name }: ByteField, view: Buffer): Value {
  const width = WIDTHS[type]
  if (width !== undefined && width !== bytes) throw new Error(`${name}: ${type} of ${bytes} bytes`)
  switch (type) {
    case 'ascii':
      return view.toString('latin1', offset, offset + bytes).replace(/\0+$/, '')
    case 'u8':
      return view.readUInt8(offset)
    case 'u16':
      return view.readUInt16LE(offset)
    case 'u32':
      return view.readUInt32LE(offset)
    case 'i32':
      return view.readInt32LE(offset)
    case 'u64':
      return Number(view.readBigUInt64LE(offset))
    case 'f64':
      return view.readDoubleLE(offset)
    case 'zero':
    case 'digest':
      return view.toString('hex', offset, offset + bytes)
    default:
      throw new Error(`${name}: no type ${type}`)
  }
}
