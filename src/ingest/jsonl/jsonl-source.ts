import { JsonReader } from '../../core/json-reader.ts'
import { limits } from '../../core/limits.ts'
import type { FieldType } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import { BatchBuilder } from '../batch-builder.ts'
import { type ColumnChoice, chooseColumns } from '../column-choice.ts'
import type { FileBytes } from '../file-bytes.ts'
import { Flaw } from '../flaw.ts'
import type { IngestBatch, ReadOptions, RecordSource, SourcePlan } from '../records.ts'
import { skipBom } from '../text-head.ts'
import { commonType, typeIn, typeOf } from '../type-check.ts'
import type { VectorRule } from '../vector-check.ts'
import { JsonRowReader } from './jsonl-row.ts'
import { type Line, LineSplitter } from './line-splitter.ts'

const SAMPLE_LINES = 1_000
const SAMPLE_BYTES = 8 * 1_048_576
/** A record costs more in memory than its text. */
const RECORD_BYTES = 256

interface Sample {
  readonly lines: readonly Line[]
  /** Every line of the file is in it. */
  readonly whole: boolean
}

/**
 * JSON lines: one object a line, LF or CRLF, UTF-8 with or without a byte order mark; blank lines
 * are no rows.
 */
export async function openJsonl(bytes: FileBytes, options: ReadOptions): Promise<RecordSource> {
  const sample = await takeSample(bytes)
  refuseJson(sample.lines[0])
  const { columns, types, parsed } = surveyKeys(sample)
  const notes: string[] = []
  if (sample.lines.length === 0) notes.push('The file holds no rows.')
  const choice = choose({ columns, whole: sample.whole, parsed }, options)
  const rule: VectorRule = {
    dimension: options.dimension,
    metric: options.metric,
    storage: options.storage,
    column: choice.vectorColumns[0] ?? '',
  }
  const left =
    choice.vectorColumns.length > 0
      ? []
      : columns.filter((name) => name !== choice.idColumn && !choice.payload.includes(name))
  const reader = new JsonRowReader(choice, rule, options, left)
  if (rule.dimension === undefined && choice.vectorColumns.length > 0) {
    const first = sample.lines.find((line) => !(reader.read(line.bytes, 0) instanceof Flaw))
    if (first !== undefined) {
      notes.push(`The dimension is ${rule.dimension}, taken from line ${first.line}.`)
    }
  }
  const fields: [string, FieldType][] = choice.payload.map((name) => [
    name,
    typeIn(options.types, name) ?? typeIn(options.fields, name) ?? types.get(name) ?? 'json',
  ])
  const plan: SourcePlan = {
    format: 'jsonl',
    ...(bytes.compression === undefined ? {} : { compression: bytes.compression }),
    idColumn: choice.idColumn,
    vectorColumns: choice.vectorColumns,
    ...(rule.dimension === undefined ? {} : { dimension: rule.dimension }),
    textColumns: choice.textColumns,
    fields: Object.fromEntries(fields),
    columns: choice.payload,
    notes: [...choice.notes, ...notes],
  }
  return {
    plan,
    warnings: new Map(),
    batches: (signal) => readBatches({ bytes, reader, skipRows: options.skipRows ?? 0 }, signal),
    close: async () => {},
  }
}

async function* readBatches(
  work: { bytes: FileBytes; reader: JsonRowReader; skipRows: number },
  signal?: AbortSignal,
): AsyncGenerator<IngestBatch> {
  const builder = new BatchBuilder(work.skipRows)
  for await (const lines of lineGroups(work.bytes.pieces())) {
    for (const line of lines) {
      if (isBlank(line)) continue
      if (builder.isSkipping) builder.skip()
      else readLine(line, work.reader, builder)
      if (!builder.isFull) continue
      signal?.throwIfAborted()
      yield builder.take(work.bytes.bytesRead)
    }
    signal?.throwIfAborted()
  }
  if (!builder.isEmpty || builder.rowsRead > 0) yield builder.take(work.bytes.bytesRead)
}

function readLine(line: Line, reader: JsonRowReader, builder: BatchBuilder): void {
  const row = reader.read(line.bytes, builder.rowsRead)
  if (row instanceof Flaw) {
    builder.refuse(row, {
      line: line.line,
      byte: line.offset,
      ...(reader.lastId === undefined ? {} : { id: reader.lastId }),
      ...(line.bytes === undefined ? {} : { raw: line.bytes.toString('utf8', 0, 4_096) }),
    })
    return
  }
  const { id, vector, payload } = row
  const bytes = RECORD_BYTES + (line.bytes?.length ?? 0)
  const position = line.line
  builder.add(
    vector === undefined ? { id, payload, position } : { id, vector, payload, position },
    bytes,
  )
}

/** The lines of each piece, the first without a byte order mark. */
async function* lineGroups(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Line[]> {
  let splitter: LineSplitter | undefined
  for await (const { piece, offset } of skipBom(pieces)) {
    splitter ??= new LineSplitter(offset)
    yield splitter.push(piece)
  }
  if (splitter !== undefined) yield splitter.end()
}

async function takeSample(bytes: FileBytes): Promise<Sample> {
  const lines: Line[] = []
  let length = 0
  try {
    for await (const group of lineGroups(bytes.look())) {
      for (const line of group) {
        if (isBlank(line)) continue
        lines.push(line)
        length += line.bytes?.length ?? 0
        if (lines.length >= SAMPLE_LINES || length >= SAMPLE_BYTES) return { lines, whole: false }
      }
    }
  } catch (error) {
    // The look ended in the middle of compressed data.
    if (!bytes.lookCut) throw error
  }
  return { lines, whole: !bytes.lookCut }
}

/** Pretty-printed or one-array JSON would be an error a line; it is one error. */
function refuseJson(first: Line | undefined): void {
  const start = first?.bytes?.toString('latin1', 0, 256).trim() ?? ''
  if (!start.startsWith('[') && start !== '{') return
  throw new AkidbError(
    'BAD_INPUT',
    `This is JSON, not JSON lines: line ${first?.line} begins no object of its own.`,
    {
      hint: 'Write one object a line, for example with: jq -c ".[]" in.json > out.jsonl',
    },
  )
}

function surveyKeys(sample: Sample): {
  columns: string[]
  types: Map<string, FieldType>
  parsed: number
} {
  const reader = new JsonReader(limits.payloadDepthMax)
  const types = new Map<string, FieldType | undefined>()
  let parsed = 0
  for (const { bytes } of sample.lines) {
    try {
      const value = bytes === undefined ? null : reader.parse(bytes)
      if (!(value instanceof Map)) continue
      parsed++
      for (const [key, member] of value) {
        const before = types.get(key)
        if (types.size < limits.columnsMax || types.has(key)) {
          types.set(key, member === null ? before : commonType(before, typeOf(member)))
        }
      }
    } catch (error) {
      if (!(error instanceof AkidbError)) throw error
    }
  }
  const known = [...types].filter((pair): pair is [string, FieldType] => pair[1] !== undefined)
  return { columns: [...types.keys()], types: new Map(known), parsed }
}

function choose(
  survey: { columns: string[]; whole: boolean; parsed: number },
  options: ReadOptions,
): ColumnChoice {
  const { textColumns = [], sparseColumns = [], indexedColumns = [] } = options
  const columns = new Set(survey.columns)
  const absent = indexedColumns.filter((name) => !columns.has(name))
  for (const name of absent) columns.add(name)
  // Keys come and go from line to line: one that the sample lacks may still come. Where no line
  // tells, each is refused for its own reason.
  if (!survey.whole || survey.parsed === 0) {
    for (const name of [...textColumns, ...sparseColumns, ...(options.columns ?? [])]) {
      columns.add(name)
    }
  }
  if (survey.parsed === 0) {
    columns.add(options.idColumn ?? 'id')
    if (options.vectorColumns === undefined) columns.add(options.vectorColumn ?? 'vector')
  }
  const choice = chooseColumns([...columns], options)
  if (survey.whole && survey.parsed > 0) {
    for (const name of absent) {
      choice.notes.push(`No row has ${JSON.stringify(name)}, which the collection indexes.`)
    }
  }
  return choice
}

function isBlank(line: Line): boolean {
  if (line.bytes === undefined) return false
  for (const byte of line.bytes) {
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false
  }
  return true
}
