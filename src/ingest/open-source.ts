import { AkidbError } from '../errors/errors.ts'
import { FileBytes } from './file-bytes.ts'
import { refuseForeign } from './foreign-format.ts'
import type { InputBytes, InputFormat, ReadOptions, RecordSource } from './records.ts'
import { checkingSparse } from './sparse-check.ts'

/**
 * Opens an input: finds its format (given, by its name, else by its first bytes) and compression
 * (by its first bytes), decides which column is what, and returns what was decided with the
 * records to come.
 *
 * The input stays the caller's to close. Throws BAD_INPUT where the file must be refused as a
 * whole (so may `batches()`, until its end), USAGE where columns are missing, LIMIT.
 */
export async function openSource(input: InputBytes, options: ReadOptions): Promise<RecordSource> {
  return checkingSparse(await openFormat(input, options), options.sparseColumns ?? [])
}

async function openFormat(input: InputBytes, options: ReadOptions): Promise<RecordSource> {
  const named = options.format ?? formatByName(input.name)
  if (input.bytes === 0 && named !== 'jsonl') {
    throw new AkidbError('BAD_INPUT', `${input.name} is empty.`)
  }
  const bytes = await FileBytes.open(input)
  const isParquet = Buffer.from(bytes.head.subarray(0, 4)).toString('latin1') === 'PAR1'
  if (!isParquet) refuseForeign(input.name, await bytes.textHead())
  const format = named ?? (isParquet ? 'parquet' : formatByText(await bytes.textHead()))
  if (format === 'parquet') return await readers.parquet(input, options)
  if (isParquet) {
    throw new AkidbError('BAD_INPUT', `${input.name} is a Parquet file, not ${format}.`, {
      hint: 'Give --format parquet.',
    })
  }
  if (format !== 'csv' && format !== 'jsonl') throw new AkidbError('USAGE', `no format ${format}`)
  const source = await readers[format](bytes, options)
  const claims = /\.(gz|zst)$/i.exec(input.name)?.[1]?.toLowerCase()
  if (claims === undefined || bytes.compression !== undefined) return source
  const note = `${input.name} is not compressed, whatever its name says.`
  return { ...source, plan: { ...source.plan, notes: [...source.plan.notes, note] } }
}

/** Loaded when a file of the format is opened: most commands open none. */
const readers = {
  parquet: async (input: InputBytes, options: ReadOptions): Promise<RecordSource> =>
    await (await import('./parquet/parquet-source.ts')).openParquet(input, options),
  csv: async (bytes: FileBytes, options: ReadOptions): Promise<RecordSource> =>
    await (await import('./csv/csv-source.ts')).openCsv(bytes, options),
  jsonl: async (bytes: FileBytes, options: ReadOptions): Promise<RecordSource> =>
    await (await import('./jsonl/jsonl-source.ts')).openJsonl(bytes, options),
}

function formatByName(name: string): InputFormat | undefined {
  const extension = /\.([a-z]+)(\.(gz|zst))?$/i.exec(name)?.[1]?.toLowerCase()
  if (extension === 'csv' || extension === 'tsv') return 'csv'
  if (extension === 'jsonl' || extension === 'ndjson' || extension === 'json') return 'jsonl'
  if (extension === 'parquet' || extension === 'pq') return 'parquet'
  return undefined
}

/** A text whose first line begins an object or array is JSON lines, any other CSV. */
const formatByText = (head: Uint8Array): InputFormat =>
  /^(\xef\xbb\xbf)?\s*[{[]/.test(Buffer.from(head).toString('latin1')) ? 'jsonl' : 'csv'
