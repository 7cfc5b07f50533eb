import { AkidbError } from '../../errors/errors.ts'
import type { Collection } from '../../index.ts'
import type { App } from '../app.ts'
import { auditQuery } from '../audit-query.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { plural } from '../human.ts'
import { readFilter } from '../input.ts'
import { dryRun, yes } from '../option-kinds.ts'

interface DeleteFlags {
  readonly filter?: string
  readonly source?: string
  readonly yes?: true
  readonly dryRun?: true
}

interface Selection {
  readonly ids?: readonly string[]
  readonly filter?: unknown
  readonly source?: string
}

/** `akidb delete`: by ids, by a filter, or all rows of one source file. */
export const defineDelete = (command: Command, app: App): void => {
  describe(command, {
    summary: 'delete records',
    examples: [
      ['akidb delete docs a17 a18', 'delete two records'],
      [
        `akidb delete docs --filter '{"lang":"fi"}' --yes`,
        'delete what matches, without a question',
      ],
      ['akidb delete docs --source 0a1b…64 digits -n', 'count the rows that came from one file'],
    ],
    details: 'The state before it stays in the history: `akidb revert` brings it back.',
    exits: [21, 22, 23, 24, 26, 27],
  })
  command.argument('<collection>', 'its name').argument('[ids...]', 'ids of records')
  command.option('--filter <json|@file>', 'what matches (see akidb help filters)')
  command.option('--source <sha256>', 'what came from the file with this digest')
  command.addOption(yes()).addOption(dryRun('deleted'))
  command.action((name: string, ids: string[], flags: DeleteFlags) =>
    app.run(command, async (context) => {
      const selection = await selectionOf(ids, flags)
      return context.withStore(flags.dryRun ? 'read' : 'write', async (store, engine) => {
        const collection = await store.collection(name)
        const asks = selection.ids === undefined && flags.yes !== true
        if (flags.dryRun || asks) {
          const count = await countSelected(collection, selection, context)
          const what = `${plural(count, 'record')} of ${name}`
          if (flags.dryRun) {
            const { stateRoot } = await collection.info()
            const query = { collection: name, asked: { delete: selection }, queries: 1, stateRoot }
            await auditQuery({ context, store, engine }, query)
            return {
              result: { collection: name, deleted: count, dryRun: true },
              text: `would delete ${what}`,
            }
          }
          const agreed = await context.ask.confirm(`Delete ${what}?`, '--yes')
          if (!agreed) throw new AkidbError('USAGE', 'not deleted')
        }
        const { deleted } = await collection.delete(selection)
        const text = `deleted ${plural(deleted, 'record')} of ${name}`
        return { result: { collection: name, deleted }, text, work: true }
      })
    }),
  )
}

const selectionOf = async (ids: readonly string[], flags: DeleteFlags): Promise<Selection> => {
  const ways = [ids.length > 0, flags.filter !== undefined, flags.source !== undefined]
  if (ways.filter(Boolean).length !== 1) {
    throw new AkidbError('USAGE', 'say what to delete: either ids, or --filter, or --source')
  }
  if (flags.filter !== undefined) return { filter: await readFilter(flags.filter) }
  if (flags.source === undefined) return { ids }
  if (/^[0-9a-f]{64}$/.test(flags.source)) return { source: flags.source }
  throw new AkidbError(
    'USAGE',
    '--source takes the 64 hex digits of the SHA-256 of a source file',
    {
      hint: 'See the sources in `akidb show <collection> --json`.',
    },
  )
}

async function countSelected(
  collection: Collection,
  { ids, filter, source }: Selection,
  context: Context,
): Promise<number> {
  if (ids !== undefined) {
    const records = await collection.get(ids)
    return records.filter((record) => record !== undefined).length
  }
  let count = 0
  const options = {
    signal: context.signal,
    withSource: source !== undefined,
    ...(filter === undefined ? {} : { filter }),
  }
  for await (const record of collection.scan(options)) {
    if (source === undefined || record.source?.sha256 === source) count++
  }
  return count
}
