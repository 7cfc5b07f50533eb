import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CsvError, parse } from 'csv-parse'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { skipBom } from '../text-head.ts'

export interface CsvRow {
  /**
   * One text a field whose characters are the field's bytes (latin1), so that UTF-8 can still be
   * checked; null for an empty field without quotes.
   */
  readonly cells: readonly (string | null)[]
  /** Physical line on which it starts, from 1. */
  readonly line: number
  /** Offset of its first byte. */
  readonly byte: number
  /** The record as it stands in the file, its characters being bytes. */
  readonly raw: string
}

/**
 * The records of CSV text (RFC 4180; LF and CRLF may be mixed; empty lines are no records),
 * `separator` one character.
 *
 * Throws BAD_INPUT, naming the line, where quotes do not fit together; what came before need not
 * have been given out.
 */
export async function* csvRows(
  pieces: AsyncIterable<Uint8Array>,
  separator: string,
): AsyncGenerator<CsvRow> {
  let start = 0
  let lastLine = 0
  let lastByte = 0
  // Called as each record is parsed, so that the lines are known when a later one fails.
  const locate = ({ record, raw, info }: CsvItem): CsvRow => {
    const blank = blankLines(raw, record)
    const line = lastLine + blank.lines + 1
    const byte = start + lastByte + blank.bytes
    lastLine = line + lineEnds(record)
    lastByte = info.bytes
    return { cells: record, line, byte, raw: raw.slice(blank.lines) }
  }
  const parser = parse({
    delimiter: separator,
    encoding: 'latin1',
    record_delimiter: ['\n', '\r\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    info: true,
    raw: true,
    max_record_size: limits.rowBytesMax,
    cast: (value, context) => (value === '' && !context.quoting ? null : value),
    // The package's types know records alone, not those with `info` and `raw`.
    on_record: (item: unknown) => locate(item as CsvItem) as never,
  })
  const bytes = async function* () {
    for await (const { piece, offset } of skipBom(pieces)) {
      if (offset === 3) start = 3
      yield piece
    }
  }
  const pumping = pipeline(Readable.from(bytes(), { highWaterMark: 1 }), parser)
  // The same failure comes out of the loop below.
  pumping.catch(() => {})
  try {
    for await (const row of parser) yield row as CsvRow
    await pumping
  } catch (error) {
    throw error instanceof CsvError ? badCsv(error, lastLine) : error
  }
}

interface CsvItem {
  readonly record: (string | null)[]
  readonly raw: string
  readonly info: { readonly bytes: number }
}

/** Empty lines before a record: `raw` has one character for each, CR standing for CRLF. */
function blankLines(
  raw: string,
  record: readonly (string | null)[],
): { lines: number; bytes: number } {
  const lead = /^[\r\n]*/.exec(raw)?.[0] ?? ''
  // A lone CR at the start of a bare first field belongs to that field.
  const own = /^\r*/.exec(record[0] ?? '')?.[0].length ?? 0
  const lines = raw[lead.length] === '"' ? lead.length : Math.max(0, lead.length - own)
  const returns = lead.slice(0, lines).split('\r').length - 1
  return { lines, bytes: lines + returns }
}

/** Line ends inside quoted fields. */
function lineEnds(record: readonly (string | null)[]): number {
  let count = 0
  for (const cell of record) {
    if (cell === null) continue
    for (let at = cell.indexOf('\n'); at >= 0; at = cell.indexOf('\n', at + 1)) count++
  }
  return count
}

function badCsv(error: CsvError, lastLine: number): AkidbError {
  const why =
    error.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'a quote is opened and never closed'
      : error.code === 'CSV_MAX_RECORD_SIZE'
        ? `a record is longer than ${limits.rowBytesMax} bytes (a quote that never closes?)`
        : 'a quote stands inside a field, or text after the closing quote'
  return new AkidbError(
    'BAD_INPUT',
    `The CSV is broken in the record from line ${lastLine + 1} on: ${why}.`,
    {
      hint: 'Put the whole field in quotes and double every quote inside.',
      details: { line: lastLine + 1 },
      cause: error,
    },
  )
}
