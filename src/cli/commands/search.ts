import type { JsonValue } from '../../core/json.ts'
import type { Collection, QueryRequest, QueryResult, SearchRequest } from '../../index.ts'
import type { App } from '../app.ts'
import { auditQuery } from '../audit-query.ts'
import type { Command } from '../commander.ts'
import { composedQuery, hybridFusion, readQuery } from '../composed-query.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import type { Engine } from '../engine.ts'
import { readFilter, readVector } from '../input.ts'
import { chosen, counted, limited, numeric, repeated } from '../option-kinds.ts'
import { type SearchFlags, wordsOf } from '../search-flags.ts'
import { searchMany } from '../search-many.ts'
import { printHits } from '../search-report.ts'
import { checkWays, isComposed } from '../search-ways.ts'

/** `akidb search`: the nearest records, by vector, by words, or both. */
export const defineSearch = (command: Command, app: App): void => {
  describe(command, {
    summary: 'find the nearest records',
    examples: [
      ['akidb search docs --text "heat transfer" -k 5', 'by words'],
      [`akidb search docs --text '"boundary layer" aero*'`, 'a phrase, and how words begin'],
      [`akidb search docs --text heat --text-field 'title^2'`, 'one field; weights of several'],
      ['akidb search docs --vector query.json --with-source', 'by a vector, with file and row'],
      ['akidb search docs --id a17', 'what is like this record'],
      [`akidb search docs --text heat --filter '{"lang":"fi"}'`, 'see akidb help filters'],
      ['akidb search docs --queries queries.parquet --json', 'one line a query'],
      ['akidb search docs --like a17 --like b4 --unlike c9', 'more like these, less like that'],
      ['akidb search docs --text heat --group-by author --group-size 2', 'the best two of each'],
      ['akidb search docs --order-by year --descending', 'the newest'],
      ['akidb search docs --sample 20 --seed 7', 'any 20, the same ones at every call'],
      ['akidb search docs --query @query.json', 'queries built of queries: docs/library.md'],
    ],
    details:
      'Give one of --vector, --id, --text, --queries, --like or --unlike, --order-by,\n' +
      '--sample, --query, or both --vector and --text (hybrid). Ways to search: akidb help search.',
    exits: [21, 23, 24, 26, 27],
  })
  command.argument('<collection>', 'its name')
  command.option('--vector <json|file|->', 'JSON where it begins with [, else a file')
  command.option('--id <id>', 'the vector of this record')
  command.option('--text <words>', `words, "exact phrases", beginnings*`)
  command.addOption(repeated('--text-field <field>', `search this one, as f or 'f^2'; repeats`))
  command.option('--queries <file>', 'a Parquet, JSONL or CSV file of queries')
  addQueryOptions(command)
  addRankings(command)
  command.addOption(limited('-k <n>', 'results, or groups (default: 10)', 'searchCountMax'))
  command.addOption(limited('--ef <n>', 'candidates of the walk', 'searchEfMax'))
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

/** Other rankings than by one vector or text, and what is made of the ranked hits. */
const addRankings = (command: Command): void => {
  command.addOption(repeated('--like <id>', 'a record to be like; repeats'))
  command.addOption(repeated('--unlike <id>', 'a record to be unlike; repeats'))
  command.addOption(
    chosen('--strategy <name>', 'with --like', ['average_vector', 'best_score', 'sum_scores']),
  )
  command.option('--order-by <field>', 'by the values of a field')
  command.option('--descending', 'with --order-by: the highest first')
  command.option('--start-from <value>', 'with --order-by: the first value')
  command.addOption(limited('--sample <n>', 'so many records, by chance', 'searchCountMax'))
  command.addOption(
    counted('--seed <n>', 'with --sample: another choice', { min: 0, max: 2 ** 53 - 1 }),
  )
  command.option('--query <json|@file>', 'a query with prefetch, as in the library')
  command.addOption(chosen('--fusion <how>', 'with --vector and --text', ['rrf', 'linear', 'dbsf']))
  command.addOption(
    numeric('--vector-weight <0..1>', 'with --fusion: share of the vector (default: 0.5)', [0, 1]),
  )
  command.addOption(
    numeric('--mmr <0..1>', 'hits that differ: 0 by nearness, 1 by difference', [0, 1]),
  )
  command.addOption(
    limited('--candidates <n>', 'with --mmr: chosen from these nearest', 'mmrCandidatesMax'),
  )
  command.option('--group-by <field>', 'the best hits of each value')
  command.addOption(
    limited('--group-size <n>', 'with --group-by: hits of each (default: 3)', 'searchCountMax'),
  )
  command.addOption(numeric('--score-threshold <score>', 'only hits of this score or a higher'))
  command.addOption(limited('--offset <n>', 'hits left out at the beginning', 'searchCountMax', 0))
}

async function search(context: Context, name: string, flags: SearchFlags): Promise<undefined> {
  checkWays(flags)
  const base = await baseRequest(context, flags)
  const vector =
    flags.vector === undefined ? undefined : await readVector(context.session.io, flags.vector)
  const json = flags.query === undefined ? undefined : await readQuery(flags.query)
  return context.withStore('read', async (store, engine) => {
    const collection = await store.collection(name)
    if (flags.queries !== undefined) {
      store.warm({ audit: context.settings.text('audit.queries') !== 'off' })
      await searchMany({ context, store, engine, collection, base, flags, path: flags.queries })
      return undefined
    }
    const startedMs = performance.now()
    const { asked, k, result } = await found(collection, { engine, flags, base, vector, json })
    const elapsedMs = Math.round((performance.now() - startedMs) * 1000) / 1000
    await auditQuery({ context, store, engine }, { collection: name, asked, queries: 1, ...result })
    await printHits(context, { collection: name, k, elapsedMs, flags, result })
    return undefined
  })
}

interface Asked {
  readonly engine: Engine
  readonly flags: SearchFlags
  readonly base: SearchRequest
  readonly vector: Float32Array | undefined
  readonly json: JsonValue | undefined
}

/** The result, and what was asked for in the words of the audit entry. */
async function found(
  collection: Collection,
  asked: Asked,
): Promise<{ asked: object; k: number; result: QueryResult }> {
  const { flags, base, vector } = asked
  if (isComposed(flags)) {
    const request = composedQuery(asked)
    const result = await collection.query(request)
    return { asked: said(request), k: request.k ?? 10, result }
  }
  const text = flags.text === undefined ? undefined : wordsOf(flags.text, flags)
  const result = await collection.search({
    ...base,
    withPayload: true,
    ...(vector === undefined ? {} : { vector }),
    ...(flags.id === undefined ? {} : { id: flags.id }),
    ...(text === undefined ? {} : { text }),
  })
  const { k = 10, ef, exact, asOf, fusion } = base
  const { id, filter } = flags
  return { asked: { vector, id, text, filter, k, ef, exact, asOf, fusion }, k, result }
}

/** A request without what only this process knows. */
const said = ({ signal: _signal, ...request }: QueryRequest): object => request

const baseRequest = async (context: Context, flags: SearchFlags): Promise<SearchRequest> => ({
  k: flags.k ?? 10,
  signal: context.signal,
  exact: flags.exact === true,
  withVector: flags.withVector === true,
  withSource: flags.withSource === true,
  ...(flags.ef === undefined ? {} : { ef: flags.ef }),
  ...fusionOf(flags),
  ...(flags.asOf === undefined ? {} : { asOf: flags.asOf }),
  ...(flags.filter === undefined ? {} : { filter: await readFilter(flags.filter) }),
})

const fusionOf = (flags: SearchFlags): Pick<SearchRequest, 'fusion'> => {
  const fusion = hybridFusion(flags)
  return fusion === undefined ? {} : { fusion }
}
