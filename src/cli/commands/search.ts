import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { SearchRequest } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { readFilter, readVector } from '../input.ts'
import { chosen, counted, repeated } from '../option-kinds.ts'
import type { SearchFlags } from '../search-flags.ts'
import { auditSearch, searchMany } from '../search-many.ts'
import { printHits } from '../search-report.ts'

/** `akidb search`: the nearest records, by vector, by words, or both. */
export const defineSearch = (command: Command, app: App): void => {
  describe(command, {
    summary: 'find the nearest records',
    examples: [
      ['akidb search docs --text "heat transfer" -k 5', 'by words'],
      ['akidb search docs --vector query.json --with-source', 'by a vector, with file and row'],
      ['akidb search docs --id a17', 'what is like this record'],
      [`akidb search docs --text heat --filter '{"lang":"fi"}'`, 'see akidb help filters'],
      ['akidb search docs --queries queries.parquet --json', 'one line a query'],
    ],
    details: 'Give one of --vector, --id, --text, --queries, or both --vector and --text (hybrid).',
    exits: [21, 23, 24, 26, 27],
  })
  command.argument('<collection>', 'its name')
  command.option('--vector <json|file|->', 'JSON where it begins with [, else a file')
  command.option('--id <id>', 'the vector of this record')
  command.option('--text <words>', 'words')
  command.option('--queries <file>', 'a Parquet, JSONL or CSV file of queries')
  addQueryOptions(command)
  command.addOption(
    counted('-k <n>', 'results (default: 10)', {
      min: 1,
      max: limits.searchCountMax,
      limit: 'searchCountMax',
    }),
  )
  command.addOption(counted('--ef <n>', 'candidates of the walk', { min: 1, max: 100_000 }))
  command.option('--exact', 'compare with every vector')
  command.option('--filter <json|@file>', 'only what matches')
  command.option('--as-of <state>', 'version, label, state root, or time')
  command.option('--with-vector', 'print vectors')
  command.option('--with-source', 'print which file and row each came from')
  command.option('--explain', 'print plan, estimates and actuals')
  command.addOption(chosen('--format <format>', 'output', ['table', 'csv', 'jsonl']))
  command.action((name: string, flags: SearchFlags) =>
    app.run(command, (context) => search(context, name, flags)),
  )
}

const addQueryOptions = (command: Command): void => {
  command.addOption(
    chosen('--use <what>', 'which columns of --queries to use', ['vector', 'text', 'hybrid']),
  )
  command.option('--id-column <column>', 'with --queries: the id (else the number of the row)')
  command.option('--vector-column <column>', 'with --queries: the vector')
  command.option('--vector-columns <glob>', 'with --queries: one column a component')
  command.addOption(repeated('--text-column <column>', 'with --queries: the text (default: text)'))
  command.option('--with-payload', 'with --queries: print payloads, as a single search does')
}

async function search(context: Context, name: string, flags: SearchFlags): Promise<undefined> {
  checkWays(flags)
  const base = await baseRequest(context, flags)
  const vector =
    flags.vector === undefined ? undefined : await readVector(context.session.io, flags.vector)
  return context.withStore('read', async (store, engine) => {
    const collection = await store.collection(name)
    if (flags.queries !== undefined) {
      await searchMany({ context, store, engine, collection, base, flags, path: flags.queries })
      return undefined
    }
    const startedMs = performance.now()
    const result = await collection.search({
      ...base,
      withPayload: true,
      ...(vector === undefined ? {} : { vector }),
      ...(flags.id === undefined ? {} : { id: flags.id }),
      ...(flags.text === undefined ? {} : { text: flags.text }),
    })
    const elapsedMs = Math.round((performance.now() - startedMs) * 1000) / 1000
    const asked = { vector, id: flags.id, text: flags.text, filter: flags.filter, ...restOf(base) }
    await auditSearch(
      { context, store, engine },
      { collection: name, asked, queries: 1, ...result },
    )
    await printHits(context, { collection: name, k: base.k ?? 10, elapsedMs, flags, result })
    return undefined
  })
}

/** The rest of what was asked, for the audit entry. */
const restOf = ({ k, ef, exact, asOf }: SearchRequest) => ({ k, ef, exact, asOf })

const checkWays = (flags: SearchFlags): void => {
  const given = [flags.vector, flags.id, flags.text, flags.queries].filter(
    (way) => way !== undefined,
  )
  const hybrid = given.length === 2 && flags.vector !== undefined && flags.text !== undefined
  if (given.length !== 1 && !hybrid) {
    throw new AkidbError('USAGE', 'say what to search by, once', {
      hint: 'One of --vector, --id, --text, --queries, or both --vector and --text.',
    })
  }
  if (flags.text?.trim() === '') throw new AkidbError('USAGE', '--text holds no words')
  const onlyMany = [
    'use',
    'idColumn',
    'vectorColumn',
    'vectorColumns',
    'textColumn',
    'withPayload',
  ] as const
  const stray = flags.queries === undefined && onlyMany.find((flag) => flags[flag] !== undefined)
  if (stray) {
    const flag = stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new AkidbError('USAGE', `--${flag} goes with --queries only`)
  }
}

const baseRequest = async (context: Context, flags: SearchFlags): Promise<SearchRequest> => ({
  k: flags.k ?? 10,
  signal: context.signal,
  exact: flags.exact === true,
  withVector: flags.withVector === true,
  withSource: flags.withSource === true,
  ...(flags.ef === undefined ? {} : { ef: flags.ef }),
  ...(flags.asOf === undefined ? {} : { asOf: flags.asOf }),
  ...(flags.filter === undefined ? {} : { filter: await readFilter(flags.filter) }),
})
