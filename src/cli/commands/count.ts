import type { App } from '../app.ts'
import { auditQuery } from '../audit-query.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { plural, shortDigest } from '../human.ts'
import { readFilter } from '../input.ts'

interface CountFlags {
  readonly filter?: string
  readonly asOf?: string
}

/** `akidb count`: how many records there are, or pass a filter. */
export const defineCount = (command: Command, app: App): void => {
  describe(command, {
    summary: 'count records',
    examples: [
      ['akidb count docs', 'all of them'],
      [`akidb count docs --filter '{"lang":"fi"}'`, 'those that match; see akidb help filters'],
      ['akidb count docs --as-of friday --json', 'of an earlier state'],
    ],
    details: 'The number is exact.',
    exits: [21, 24, 26, 27],
  })
  command.argument('<collection>', 'its name')
  command.option('--filter <json|@file>', 'only what matches')
  command.option('--as-of <state>', 'version, label, state root, or time')
  command.action((name: string, flags: CountFlags) =>
    app.run(command, async (context) => {
      const filter = flags.filter === undefined ? {} : { filter: await readFilter(flags.filter) }
      return await context.withStore('read', async (store, engine) => {
        const collection = await store.collection(name)
        const { count, stateRoot } = await collection.count({
          signal: context.signal,
          ...filter,
          ...(flags.asOf === undefined ? {} : { asOf: flags.asOf }),
        })
        const asked = { count: true, ...filter }
        const query = { collection: name, asked, queries: 1, stateRoot }
        await auditQuery({ context, store, engine }, query)
        return {
          result: { collection: name, stateRoot, count },
          text: `${plural(count, 'record')}, state ${shortDigest(stateRoot)}`,
        }
      })
    }),
  )
}
