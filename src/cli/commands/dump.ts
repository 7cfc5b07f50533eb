import { AkidbError } from '../../errors/errors.ts'
import type { CollectionInfo } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { DUMP_FORMATS, type DumpFormat, type DumpPlan, planColumns } from '../dump-plan.ts'
import { dumpWriter } from '../dump-rows.ts'
import { escapeLine } from '../escape.ts'
import { humanBytes, plural } from '../human.ts'
import { chosen } from '../option-kinds.ts'
import { createFile, type NewFile } from '../write-file.ts'

interface DumpFlags {
  readonly format?: DumpFormat
  readonly output?: string
  readonly idColumn: string
  readonly vectorColumn: string
  readonly force?: true
}

/** `akidb dump`: every record as a flat row that ingest takes back unchanged. */
export const defineDump = (command: Command, app: App): void => {
  describe(command, {
    summary: 'write all records to a file',
    examples: [
      ['akidb dump docs --format jsonl -o docs.jsonl', 'one JSON object a line'],
      ['akidb dump docs --format parquet -o docs.parquet', 'for other programs'],
      ['akidb dump docs --format csv -o - | head', 'to stdout'],
    ],
    details: 'Rows are flat: the id, the vector, and the fields of the payload.',
    exits: [21, 22, 24, 27],
  })
  command.argument('<collection>', 'its name')
  command.addOption(
    chosen('--format <format>', 'of the output (default: by its name)', DUMP_FORMATS),
  )
  command.option('-o, --output <file|->', 'the file (default: stdout)')
  command.option('--id-column <column>', 'what to call the id', 'id')
  command.option('--vector-column <column>', 'what to call the vector', 'vector')
  command.option('--force', 'replace the file if it exists')
  command.action((name: string, flags: DumpFlags) =>
    app.run(command, (context) => dump(context, name, flags)),
  )
}

async function dump(context: Context, name: string, flags: DumpFlags) {
  const output = flags.output ?? '-'
  const format = flags.format ?? formatOf(output)
  if (output === '-' && format === 'parquet' && context.session.out.isTerminal) {
    throw new AkidbError('USAGE', 'a Parquet file would go to the terminal', {
      hint: 'Use -o <file>.',
    })
  }
  return context.withStore('read', async (store) => {
    const collection = await store.collection(name)
    const info = await collection.info()
    refuseClash(info, flags)
    const columns = { id: flags.idColumn, vector: flags.vectorColumn }
    const vectors = info.dimension !== null
    const scan = (withVector: boolean) => collection.scan({ withVector, signal: context.signal })
    const plan: DumpPlan = {
      columns,
      vectors,
      fields: await planColumns(format, info.schema, () => scan(false)),
    }
    for (const note of plan.fields.notes) context.note(note)
    const file = output === '-' ? undefined : await createFile(output, flags.force === true)
    const target = await dumpTarget(context, file)
    try {
      const writer = await dumpWriter(format, plan, target.write)
      let rows = 0
      for await (const record of scan(true)) {
        if (context.session.out.closed) return undefined
        await writer.add(record)
        rows++
      }
      await writer.finish()
      await file?.finish()
      const result = { collection: name, path: output, format, rows, bytes: target.bytes() }
      const size = humanBytes(target.bytes())
      const text = `wrote ${plural(rows, 'record')} (${size}) to ${escapeLine(output)}`
      return { result, text, work: true, toStderr: output === '-' }
    } finally {
      await file?.discard()
    }
  })
}

const formatOf = (output: string): DumpFormat =>
  DUMP_FORMATS.find((format) => output.toLowerCase().endsWith(`.${format}`)) ?? 'jsonl'

/** Counts what is written, to the file or to stdout. */
const dumpTarget = async (context: Context, file: NewFile | undefined) => {
  let bytes = 0
  return {
    bytes: () => bytes,
    write: async (chunk: string | Uint8Array): Promise<void> => {
      bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.length
      await (file === undefined ? context.session.out.write(chunk) : file.write(chunk))
    },
  }
}

/** A payload field of the id's or vector's name would make two columns of one name. */
const refuseClash = (info: CollectionInfo, flags: DumpFlags): void => {
  const clash = [
    [flags.idColumn, '--id-column'],
    ...(info.dimension === null ? [] : [[flags.vectorColumn, '--vector-column']]),
  ].find(([column]) => column !== undefined && Object.hasOwn(info.schema.fields, column))
  if (clash !== undefined) throw clashError(clash[0] ?? '', clash[1] ?? '')
  if (flags.idColumn === flags.vectorColumn) {
    throw new AkidbError('USAGE', '--id-column and --vector-column have the same name')
  }
}

const clashError = (column: string, flag: string): AkidbError =>
  new AkidbError(
    'USAGE',
    `the payload has a field "${column}", which is also a column of the dump`,
    {
      hint: `Choose another name with ${flag} (there are --id-column and --vector-column).`,
      details: { column },
    },
  )
