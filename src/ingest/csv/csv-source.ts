import type { FieldType } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import { BatchBuilder } from '../batch-builder.ts'
import { type ColumnChoice, chooseColumns } from '../column-choice.ts'
import type { FileBytes } from '../file-bytes.ts'
import { Flaw } from '../flaw.ts'
import type { IngestBatch, ReadOptions, RecordSource, SourcePlan } from '../records.ts'
import { typeIn } from '../type-check.ts'
import { badUtf8At } from '../utf8-check.ts'
import type { VectorRule } from '../vector-check.ts'
import { type CsvRow, csvRows } from './csv-records.ts'
import { CsvRowReader, decode } from './csv-row.ts'
import { checkSeparator, guessSeparator } from './csv-separator.ts'
import { ColumnGuess } from './csv-types.ts'

/** A record costs more in memory than its text. */
const RECORD_BYTES = 256

/**
 * CSV with a header line; the separator is given or guessed, the types of columns are guessed,
 * both said.
 */
export async function openCsv(bytes: FileBytes, options: ReadOptions): Promise<RecordSource> {
  const separator =
    options.separator === undefined
      ? guessSeparator(withoutBom(await bytes.textHead()))
      : checkSeparator(options.separator)
  const survey = await takeSurvey(bytes, separator, options)
  const { choice, names, types, rule } = survey
  const warnings = new Map<string, number>()
  const demanded = new Set(Object.keys(options.types ?? {}))
  const misfit = (): void =>
    void warnings.set('TYPE_MISFIT', (warnings.get('TYPE_MISFIT') ?? 0) + 1)
  const reader = new CsvRowReader(choice, { names, types, demanded }, rule, misfit)
  const plan: SourcePlan = {
    format: 'csv',
    ...(bytes.compression === undefined ? {} : { compression: bytes.compression }),
    separator,
    idColumn: choice.idColumn,
    vectorColumns: choice.vectorColumns,
    ...(rule.dimension === undefined ? {} : { dimension: rule.dimension }),
    textColumns: choice.textColumns,
    fields: Object.fromEntries(types),
    columns: choice.payload,
    notes: notesOf(survey, separator, options).concat(
      bytes.lookCut ? ['Types were guessed from the start of the input alone.'] : [],
    ),
  }
  return {
    plan,
    warnings,
    batches: (signal) =>
      readBatches({ bytes, separator, reader, skipRows: options.skipRows ?? 0 }, signal),
    close: async () => {},
  }
}

async function* readBatches(
  work: { bytes: FileBytes; separator: string; reader: CsvRowReader; skipRows: number },
  signal?: AbortSignal,
): AsyncGenerator<IngestBatch> {
  const { bytes, reader } = work
  const builder = new BatchBuilder(work.skipRows)
  let isHeader = true
  for await (const row of csvRows(bytes.pieces(), work.separator)) {
    if (isHeader) {
      isHeader = false
      continue
    }
    if (builder.isSkipping) builder.skip()
    else readRow(row, reader, builder)
    if (!builder.isFull) continue
    signal?.throwIfAborted()
    yield builder.take(bytes.bytesRead)
  }
  signal?.throwIfAborted()
  if (!builder.isEmpty || builder.rowsRead > 0) yield builder.take(bytes.bytesRead)
}

function readRow(row: CsvRow, reader: CsvRowReader, builder: BatchBuilder): void {
  const checked = reader.read(row, builder.rowsRead)
  if (checked instanceof Flaw) {
    builder.refuse(checked, {
      line: row.line,
      byte: row.byte,
      ...(reader.lastId === undefined ? {} : { id: reader.lastId }),
      // A copy: a slice would keep the whole record in memory.
      raw: Buffer.from(row.raw.slice(0, 4_096), 'latin1').toString('utf8'),
    })
    return
  }
  const { id, vector, payload } = checked
  const position = row.line
  const size = RECORD_BYTES + row.raw.length
  builder.add(
    vector === undefined ? { id, payload, position } : { id, vector, payload, position },
    size,
  )
}

interface Survey {
  readonly names: readonly string[]
  readonly choice: ColumnChoice
  readonly types: Map<string, FieldType>
  readonly rule: VectorRule
  /** Line of the row that gave the dimension. */
  readonly dimensionLine: number | undefined
  readonly rows: number
}

/** Reads the header, and rows until every column's type and the dimension are known. */
async function takeSurvey(
  bytes: FileBytes,
  separator: string,
  options: ReadOptions,
): Promise<Survey> {
  let names: readonly string[] | undefined
  let choice: ColumnChoice | undefined
  let rule: VectorRule | undefined
  let probe: CsvRowReader | undefined
  let dimensionLine: number | undefined
  let rows = 0
  const guesses = new Map<string, ColumnGuess>()
  try {
    for await (const row of rowsToLookAt(bytes, separator)) {
      if (names === undefined || choice === undefined) {
        names = headerOf(row)
        choice = chooseColumns(names, options)
        const column = choice.vectorColumns[0] ?? ''
        const { dimension, metric, storage } = options
        rule = { dimension, metric, storage, column }
        const fields = { names, types: new Map(), demanded: new Set<string>() }
        probe = new CsvRowReader(choice, fields, rule, () => {})
        for (const name of choice.payload) guesses.set(name, new ColumnGuess())
        continue
      }
      rows++
      for (const [index, name] of names.entries()) guesses.get(name)?.see(row.cells[index] ?? null)
      if (choice.vectorColumns.length > 0 && rule?.dimension === undefined) {
        if (!(probe?.read(row, 0) instanceof Flaw)) dimensionLine = row.line
      }
      const isKnown = choice.vectorColumns.length === 0 || rule?.dimension !== undefined
      if (isKnown && [...guesses.values()].every((guess) => guess.isDecided)) break
    }
  } catch (error) {
    // The look ended in the middle of a record or of compressed data.
    if (!bytes.lookCut) throw error
  }
  if (names === undefined || choice === undefined || rule === undefined) {
    throw new AkidbError('BAD_INPUT', 'The file is empty: there is no header line.', {
      hint: 'The first line of a CSV file names the columns.',
    })
  }
  const types = new Map<string, FieldType>()
  for (const name of choice.payload) {
    const known = typeIn(options.types, name) ?? typeIn(options.fields, name)
    types.set(name, known ?? guesses.get(name)?.type ?? 'string')
  }
  return { names, choice, types, rule, dimensionLine, rows }
}

/** A look that ends early may cut its last record, which must not decide anything. */
async function* rowsToLookAt(bytes: FileBytes, separator: string): AsyncGenerator<CsvRow> {
  let held: CsvRow | undefined
  for await (const row of csvRows(bytes.look(), separator)) {
    if (held !== undefined) yield held
    held = row
  }
  if (held !== undefined && !bytes.lookCut) yield held
}

function headerOf(row: CsvRow): string[] {
  const raw = Buffer.from(row.raw, 'latin1')
  const bad = badUtf8At(raw)
  if (bad >= 0) {
    throw new AkidbError('BAD_INPUT', `The header is not UTF-8 (byte ${row.byte + bad}).`, {
      hint: 'Convert the file to UTF-8, for example with iconv.',
      details: { byte: row.byte + bad },
    })
  }
  return row.cells.map((cell) => decode(cell ?? ''))
}

function notesOf(survey: Survey, separator: string, options: ReadOptions): string[] {
  const notes = [...survey.choice.notes]
  if (options.separator === undefined && separator !== ',') {
    notes.push(`The separator is taken to be ${JSON.stringify(separator)}.`)
  }
  const guessed = [...survey.types]
    .filter(([name, type]) => {
      return (
        type !== 'string' &&
        typeIn(options.types, name) === undefined &&
        typeIn(options.fields, name) === undefined
      )
    })
    .map(([name, type]) => `${JSON.stringify(name)} ${type}`)
  if (guessed.length > 0) notes.push(`Types by the first cells: ${guessed.join(', ')}.`)
  if (survey.rows === 0) notes.push('The file holds no rows.')
  if (survey.dimensionLine !== undefined) {
    notes.push(
      `The dimension is ${survey.rule.dimension}, taken from line ${survey.dimensionLine}.`,
    )
  }
  return notes
}

const withoutBom = (head: Uint8Array): Uint8Array =>
  head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head
