import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { matchGlob } from './glob.ts'
import type { ReadOptions } from './records.ts'

const ID_NAMES = ['id', '_id', 'key', 'uuid']
const VECTOR_NAMES = ['vector', 'embedding', 'embeddings', 'values']

/** Which column of a file is what. */
export interface ColumnChoice {
  /** "" where the row number is the id. */
  readonly idColumn: string
  /** One column with the whole vector, or one a component in order; empty: no vectors. */
  readonly vectorColumns: readonly string[]
  /** Each vector column is one component. */
  readonly componentwise: boolean
  readonly textColumns: readonly string[]
  /** What goes into the payload, in file order. */
  readonly payload: readonly string[]
  readonly notes: string[]
}

/**
 * Decides by the options, else by the usual names, and says each guess in `notes`.
 *
 * Throws USAGE, naming the columns there are, where an id or both vector and text are missing or
 * an option names a column that is not there; BAD_INPUT where a component's column is missing or
 * a name stands twice.
 */
export function chooseColumns(columns: readonly string[], options: ReadOptions): ColumnChoice {
  checkNames(columns)
  const there = new Set(columns)
  const notes: string[] = []
  const idColumn = chooseId(there, options, notes)
  const { vectorColumns, left } = chooseVector(columns, options, notes)
  const textColumns = options.textColumns ?? []
  const sparse = options.sparseColumns ?? []
  const named = [...textColumns, ...(options.columns ?? []), ...sparse]
  for (const name of named) requireColumn(name, there)
  // A type may be demanded of a column that only some of many files have.
  const indexed = vectorColumns.length + textColumns.length + sparse.length
  if (indexed === 0 && options.vectors !== false) {
    throw new AkidbError('USAGE', `No column holds vectors; there are ${listed(columns)}.`, {
      hint: 'Name one with --vector-column or --vector-columns, or texts with --text-column.',
      details: { columns },
    })
  }
  const taken = new Set([idColumn, ...vectorColumns, ...left])
  const wanted = options.columns === undefined ? undefined : new Set(options.columns)
  for (const name of [...textColumns, ...sparse]) wanted?.add(name)
  const payload = columns.filter((name) => !taken.has(name) && (wanted?.has(name) ?? true))
  return {
    idColumn,
    vectorColumns,
    componentwise: options.vectorColumns !== undefined && vectorColumns.length > 0,
    textColumns,
    payload,
    notes,
  }
}

function checkNames(columns: readonly string[]): void {
  if (columns.length > limits.columnsMax) {
    throw new AkidbError('LIMIT', `The file has more than ${limits.columnsMax} columns.`, {
      details: { limit: 'columnsMax', max: limits.columnsMax },
    })
  }
  const seen = new Set<string>()
  for (const name of columns) {
    if (seen.has(name)) {
      throw new AkidbError('BAD_INPUT', `The column ${JSON.stringify(name)} stands twice.`, {
        hint: 'Give every column its own name.',
        details: { column: name },
      })
    }
    seen.add(name)
  }
}

function chooseId(there: ReadonlySet<string>, options: ReadOptions, notes: string[]): string {
  if (options.idColumn !== undefined) return requireColumn(options.idColumn, there)
  const guess = ID_NAMES.find((name) => there.has(name))
  if (guess !== undefined) {
    notes.push(`The column ${JSON.stringify(guess)} is taken as the id.`)
    return guess
  }
  if (options.idFromRow === true) {
    notes.push('There is no id column: the row number, from 0, is the id.')
    return ''
  }
  throw new AkidbError('USAGE', `No column holds ids; there are ${listed([...there])}.`, {
    hint: 'Name one with --id-column.',
    details: { columns: [...there] },
  })
}

function chooseVector(
  columns: readonly string[],
  options: ReadOptions,
  notes: string[],
): { vectorColumns: readonly string[]; left: readonly string[] } {
  const there = new Set(columns)
  const named = options.vectorColumn
  if (options.vectorColumns !== undefined) {
    return { vectorColumns: orderComponents(columns, options.vectorColumns), left: [] }
  }
  if (named !== undefined) return { vectorColumns: [requireColumn(named, there)], left: [] }
  const guess = VECTOR_NAMES.find((name) => there.has(name))
  if (guess === undefined) return { vectorColumns: [], left: [] }
  if (options.vectors === false) {
    notes.push(`The column ${JSON.stringify(guess)} is left out: there are no vectors here.`)
    return { vectorColumns: [], left: [guess] }
  }
  notes.push(`The column ${JSON.stringify(guess)} is taken as the vector.`)
  return { vectorColumns: [guess], left: [] }
}

/**
 * One column a component, by the last number in its name; they must run from 0 or 1 without a
 * gap.
 */
function orderComponents(columns: readonly string[], glob: string): readonly string[] {
  const found = columns.filter((name) => matchGlob(glob, name))
  const numbered = found.map((name) => ({ name, digits: /(\d+)\D*$/.exec(name)?.[1] }))
  const nameless = numbered.find((column) => column.digits === undefined)
  if (found.length === 0 || nameless !== undefined) {
    const what =
      nameless === undefined
        ? `No column matches ${JSON.stringify(glob)}`
        : `The column ${JSON.stringify(nameless.name)} has no number in its name`
    throw new AkidbError('USAGE', `${what}; there are ${listed(columns)}.`, {
      hint: 'Give --vector-columns a pattern of numbered columns only, such as "v*".',
      details: { columns },
    })
  }
  const sorted = numbered
    .map(({ name, digits }) => ({ name, number: Number(digits) }))
    .sort((a, b) => a.number - b.number)
  const first = Math.min(sorted[0]?.number ?? 0, 1)
  for (const [index, column] of sorted.entries()) {
    const wanted = first + index
    if (column.number === wanted) continue
    const missing = column.name.replace(/\d+(?=\D*$)/, String(wanted))
    const what =
      column.number < wanted
        ? `Two columns have the number ${column.number}`
        : `The column ${missing} is missing`
    throw new AkidbError('BAD_INPUT', `${what} among those that match ${JSON.stringify(glob)}.`, {
      hint: 'A vector needs one column for every component.',
      details: { column: missing },
    })
  }
  return sorted.map((column) => column.name)
}

function requireColumn(name: string, there: ReadonlySet<string>): string {
  if (there.has(name)) return name
  const columns = [...there]
  throw new AkidbError(
    'USAGE',
    `There is no column ${JSON.stringify(name)}; there are ${listed(columns)}.`,
    {
      hint: 'Names are compared exactly, upper and lower case too.',
      details: { columns },
    },
  )
}

function listed(columns: readonly string[]): string {
  if (columns.length === 0) return 'none'
  const shown = columns.slice(0, 20).map((name) => JSON.stringify(name))
  const more = columns.length > 20 ? ` and ${columns.length - 20} more` : ''
  return `${shown.join(', ')}${more}`
}
