import type { FacetResult } from '../../index.ts'
import type { App } from '../app.ts'
import { auditQuery } from '../audit-query.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { plural, shortDigest } from '../human.ts'
import { readFilter } from '../input.ts'
import { limited } from '../option-kinds.ts'
import { table } from '../table.ts'

interface FacetFlags {
  readonly filter?: string
  readonly limit?: number
  readonly asOf?: string
}

/** `akidb facet`: how many records hold each value of a field. */
export const defineFacet = (command: Command, app: App): void => {
  describe(command, {
    summary: 'count the values of a field',
    examples: [
      ['akidb facet docs lang', 'the ten most frequent languages'],
      ['akidb facet docs author.name --limit 100 --json', 'a field of an object'],
      [`akidb facet docs year --filter '{"lang":"fi"}'`, 'of what matches alone'],
    ],
    details: 'The numbers are exact. An array counts once for each of its different values.',
    exits: [21, 24, 26, 27],
  })
  command.argument('<collection>', 'its name').argument('<field>', 'a field of the payload')
  command.option('--filter <json|@file>', 'only what matches')
  command.addOption(
    limited('--limit <n>', 'values, the most frequent first (default: 10)', 'searchCountMax'),
  )
  command.option('--as-of <state>', 'version, label, state root, or time')
  command.action((name: string, key: string, flags: FacetFlags) =>
    app.run(command, async (context) => {
      const filter = flags.filter === undefined ? {} : { filter: await readFilter(flags.filter) }
      return await context.withStore('read', async (store, engine) => {
        const collection = await store.collection(name)
        const { stateRoot, ...facet } = await collection.facet({
          key,
          signal: context.signal,
          ...filter,
          ...(flags.limit === undefined ? {} : { limit: flags.limit }),
          ...(flags.asOf === undefined ? {} : { asOf: flags.asOf }),
        })
        const limit = flags.limit === undefined ? {} : { limit: flags.limit }
        const asked = { facet: key, ...filter, ...limit }
        const query = { collection: name, asked, queries: 1, stateRoot }
        await auditQuery({ context, store, engine }, query)
        return {
          result: { collection: name, stateRoot, ...facet },
          text: `${facetTable(facet)}\n${footOf(facet)}, state ${shortDigest(stateRoot)}`,
        }
      })
    }),
  )
}

const facetTable = ({ values }: Pick<FacetResult, 'values'>): string =>
  table(
    [{ title: 'RECORDS', align: 'right' }, { title: 'VALUE' }],
    values.map(({ value, count }) => [String(count), String(value)]),
  )

const footOf = ({ distinct, count }: Pick<FacetResult, 'distinct' | 'count'>): string =>
  `${plural(distinct, 'different value')} in ${plural(count, 'record')}`
