import { escapeLine } from './escape.ts'

/** Longer cells are cut, so that a row stays one line on a usual terminal. */
const CELL_LENGTH_MAX = 60

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Rows under titles, in columns; data is escaped and cut. No rows: the titles alone. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cut(escapeLine(cell))))
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...cells.map((row) => [...(row[i] ?? '')].length)),
  )
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, i) => pad(row[i] ?? '', widths[i] ?? 0, align === 'right'))
      .join('  ')
      .trimEnd()
  return [columns.map(({ title }) => title), ...cells].map(line).join('\n')
}

/** Names and values, one a line, the values in one column. Undefined and null ones are left out. */
export function fields(
  entries: readonly (readonly [string, string | number | boolean | null | undefined])[],
): string {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null)
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown
    .map(([name, value]) => `${name.padEnd(width)}  ${escapeLine(String(value))}`)
    .join('\n')
}

/** Cells as one line of CSV (RFC 4180, but ended by a line feed alone). */
export const csvLine = (cells: readonly string[]): string => `${cells.map(csvCell).join(',')}\n`

const csvCell = (cell: string): string =>
  /[",\r\n]/.test(cell) || cell !== cell.trim() ? `"${cell.replaceAll('"', '""')}"` : cell

const cut = (cell: string): string => {
  const characters = [...cell]
  return characters.length <= CELL_LENGTH_MAX
    ? cell
    : `${characters.slice(0, CELL_LENGTH_MAX - 1).join('')}…`
}

const pad = (cell: string, width: number, right: boolean): string => {
  const gap = ' '.repeat(Math.max(0, width - [...cell].length))
  return right ? gap + cell : cell + gap
}
