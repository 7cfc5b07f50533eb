import { METRICS } from '../../core/metric.ts'
import { FIELD_TYPES, VECTOR_STORAGES, type VectorStorage } from '../../core/schema.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { IngestRequest, Store } from '../../index.ts'
import type { App, Outcome } from '../app.ts'
import { bytesOf } from '../bundle-input.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { indexParameters } from '../index-parameters.ts'
import { ingestFailure, ingestText, previewText } from '../ingest-report.ts'
import { chosen, dryRun, repeated } from '../option-kinds.ts'

interface IngestFlags {
  readonly format?: 'csv' | 'jsonl' | 'parquet'
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly vectorColumns?: string
  readonly textColumn?: readonly string[]
  readonly textPositions?: true
  readonly sparseColumn?: readonly string[]
  readonly columns?: string
  readonly types?: string
  readonly separator?: string
  readonly metric?: 'cosine' | 'dot' | 'l2'
  readonly quantization?: string
  readonly storage?: VectorStorage
  readonly rejects?: string
  readonly again?: true
  /** false with --no-index. */
  readonly index: boolean
  readonly dryRun?: true
}

/** `akidb ingest`: records from files. */
export const defineIngest = (command: Command, app: App): void => {
  describe(command, {
    summary: 'take records from files',
    examples: [
      ['akidb ingest docs papers.parquet', 'the id and vector columns are guessed, and said'],
      [
        'akidb ingest docs papers.csv -n',
        'show columns, guesses and the first rows; change nothing',
      ],
      ['akidb ingest docs a.jsonl --text-column title --text-column body', 'search by words too'],
      ['zcat rows.gz | akidb ingest docs - --format jsonl', 'from stdin'],
    ],
    details: [
      'Makes the collection where it does not exist, never the store. Files are CSV or',
      'JSONL, also in gzip or zstd, or Parquet. A file that was taken before is skipped. See akidb',
      'help ingest.',
    ].join('\n'),
    exits: [20, 21, 22, 23, 24, 26, 27],
  })
  command
    .argument('<collection>', 'its name')
    .argument('<inputs...>', 'files, folders, globs, or - for stdin')
  addColumnOptions(command)
  command.option('--on-bad-row <what>', 'reject: go on; stop: commit nothing (default: reject)')
  command.option('--max-rejects <n|%>', 'more rejected rows than this make exit 20 (default: 0)')
  command.option('--rejects <file>', 'write rejected rows there')
  command.option('--again', 'take files again that were taken before')
  command.option('--no-index', 'build no index now')
  command.addOption(dryRun('taken, with the first rows'))
  command.action((name: string, inputs: string[], flags: IngestFlags) =>
    app.run(command, async (context) => {
      const request = requestOf(context, inputs, flags)
      const asked = { context, name, request, form: flags.quantization }
      return flags.dryRun ? preview(asked) : ingest(asked)
    }),
  )
}

interface Asked {
  readonly context: Context
  readonly name: string
  readonly request: IngestRequest
  /** `--quantization`, where it is given. */
  readonly form: string | undefined
}

const preview = ({ context, name, request, form }: Asked): Promise<Outcome> =>
  context.withStore('read', async (store, engine) => {
    await checkForm(store, name, form)
    const files = await engine.previewIngest(store, name, request)
    return { result: { collection: name, dryRun: true, files }, text: previewText(files) }
  })

const ingest = ({ context, name, request, form }: Asked): Promise<Outcome> =>
  context.withStore('write', async (store, engine) => {
    await checkForm(store, name, form)
    const { partial, ...result } = await context.progress(`ingest ${name}`, (onProgress) =>
      engine.ingest(store, name, { ...request, onProgress }),
    )
    for (const { code, message } of result.warnings) context.warn({ code, message })
    const failure = ingestFailure({ ...result, partial })
    return { result, text: ingestText({ ...result, partial }), work: true, failure }
  })

/**
 * The index of a collection that exists stays as it is: a configuration file may name another for
 * new ones, but an option that would do nothing is refused.
 */
async function checkForm(store: Store, name: string, form: string | undefined): Promise<void> {
  if (form === undefined) return
  const collection = await store.collection(name).catch((error: unknown) => {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    throw error
  })
  const info = await collection?.info()
  const known = info?.index.quantization ?? 'int8'
  if (info === undefined || info.dimension === null || known === form) return
  throw new AkidbError('SCHEMA_MISMATCH', `collection "${name}" has ${known} codes, not ${form}`, {
    hint: `Leave the option out; akidb index build ${name} --quantization ${form} changes them.`,
  })
}

/** Options that say what the columns of an input are. */
const addColumnOptions = (command: Command): void => {
  command.addOption(chosen('--format <format>', 'instead of guessing', ['csv', 'jsonl', 'parquet']))
  command.option('--id-column <column>', 'the id (guessed: id, _id, key, uuid)')
  command.option(
    '--vector-column <column>',
    'the vector (guessed: vector, embedding, embeddings, values)',
  )
  command.option('--vector-columns <glob>', `one column a component, such as 'v*'`)
  command.addOption(repeated('--text-column <column>', 'search this column by words; repeats'))
  command.option('--text-positions', 'of a new collection: store where words stand, for phrases')
  command.addOption(repeated('--sparse-column <column>', 'sparse vectors as JSON; repeats'))
  command.option('--columns <a,b>', 'payload columns to keep (default: all others)')
  command.option('--types <column=type,…>', 'demand types: string, integer, float, boolean, …')
  command.option('--separator <character>', 'of a CSV file, instead of guessing')
  command.addOption(chosen('--metric <metric>', 'of a new collection', METRICS))
  command.option('--quantization <form>', 'of a new collection: codes, int8, binary or pq')
  command.addOption(chosen('--storage <form>', 'of a new collection, not f32', VECTOR_STORAGES))
}

const requestOf = (
  context: Context,
  inputs: readonly string[],
  flags: IngestFlags,
): IngestRequest => {
  const { io } = context.session
  if (inputs.includes('-') && io.stdin.isTTY === true) {
    throw new AkidbError('USAGE', '- would read stdin, which is a terminal')
  }
  const { format, idColumn, vectorColumn, vectorColumns, separator, metric, storage } = flags
  const { textColumn, sparseColumn, columns, types, rejects } = flags
  const maxRejects = context.settings.value('maxRejects')
  return {
    inputs,
    ...(inputs.includes('-') ? { stdin: bytesOf(io.stdin) } : {}),
    ...defined({ format, idColumn, vectorColumn, vectorColumns, separator, metric, storage }),
    ...(textColumn === undefined ? {} : { textColumns: textColumn }),
    ...(flags.textPositions === undefined ? {} : { textPositions: true }),
    ...(sparseColumn === undefined ? {} : { sparseColumns: sparseColumn }),
    ...(columns === undefined ? {} : { columns: splitList(columns) }),
    ...(types === undefined ? {} : { types: parseTypes(types) }),
    ...(rejects === undefined ? {} : { rejectsFile: rejects }),
    ...(typeof maxRejects === 'boolean' || maxRejects === undefined ? {} : { maxRejects }),
    onBadRow: context.settings.text('onBadRow') === 'stop' ? 'stop' : 'reject',
    again: flags.again === true,
    noIndex: flags.index === false,
    index: indexParameters(context.settings),
    onNote: context.note,
    signal: context.signal,
  }
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

const defined = <T extends object>(values: T): Partial<Defined<T>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<
    Defined<T>
  >

const splitList = (text: string): string[] => text.split(',').filter((word) => word !== '')

const parseTypes = (text: string): Record<string, string> => {
  const types: [string, string][] = splitList(text).map((pair) => {
    const at = pair.lastIndexOf('=')
    const type = FIELD_TYPES.find((name) => name === pair.slice(at + 1))
    if (at > 0 && type !== undefined) return [pair.slice(0, at), type]
    throw new AkidbError('USAGE', `--types: "${pair}" is not column=type`, {
      hint: `Types: ${FIELD_TYPES.join(', ')}.`,
    })
  })
  return Object.fromEntries(types)
}
