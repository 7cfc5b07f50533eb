import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { plural } from '../human.ts'
import { dryRun } from '../option-kinds.ts'

interface DropFlags {
  readonly confirm?: string
  readonly dryRun?: true
}

/** `akidb drop`: removes a collection, once its name was typed again. */
export const defineDrop = (command: Command, app: App): void => {
  describe(command, {
    summary: 'remove a collection',
    examples: [
      ['akidb drop docs', 'say what goes, and ask for the name'],
      ['akidb drop docs --confirm docs', 'without a question'],
      ['akidb drop docs -n', 'only say what would go'],
    ],
    details:
      'Its history stays until `akidb gc` removes what is older than --keep; what a snapshot ' +
      'names stays until `akidb snapshot drop`.',
    exits: [21, 22, 23, 24],
  })
  command.argument('<collection>', 'its name')
  command.option('--confirm <name>', 'the name again, instead of the question')
  command.addOption(dryRun('removed'))
  command.action((name: string, flags: DropFlags) =>
    app.run(command, (context) =>
      context.withStore(flags.dryRun ? 'read' : 'write', async (store) => {
        const collection = await store.collection(name)
        const { count } = await collection.info()
        const what = `the collection ${name} with ${plural(count, 'record')}`
        if (flags.dryRun) {
          const result = { collection: name, rows: count, dryRun: true }
          return { result, text: `would drop ${what}` }
        }
        const question = `This drops ${what}. Type its name to go on:`
        const typed = flags.confirm ?? (await context.ask.text(question, `--confirm ${name}`))
        if (typed !== name) {
          const message = `not dropped: "${typed}" is not "${name}"`
          throw new AkidbError('USAGE', message, { hint: `Say --confirm ${name}.` })
        }
        const kept = await collection.snapshots.list()
        const { rows } = await store.drop(name, { id: collection.id })
        const labels = kept.map(({ label }) => label).join(', ')
        const note =
          kept.length === 0
            ? ''
            : `\nits snapshots keep their states until akidb snapshot drop: ${labels}`
        return {
          result: { collection: name, rows, snapshots: kept.length },
          text: `dropped the collection ${name} with ${plural(rows, 'record')}${note}`,
          work: true,
        }
      }),
    ),
  )
}
