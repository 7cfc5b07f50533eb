import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { shortDigest } from '../human.ts'
import { dryRun } from '../option-kinds.ts'

/** `akidb revert`: commits an earlier state under the next number. */
export const defineRevert = (command: Command, app: App): void => {
  describe(command, {
    summary: 'go back to an earlier state',
    examples: [
      ['akidb revert docs 4 -n', 'say what would change'],
      ['akidb revert docs friday', 'go back to a snapshot'],
    ],
    details: 'Commits forward: the history stays, and a revert can be reverted.',
    exits: [21, 22, 23, 24],
  })
  command.argument('<collection>', 'its name')
  command.argument('<state>', 'version, label, state root, or time')
  command.addOption(dryRun('changed'))
  command.action((name: string, to: string, flags: { readonly dryRun?: true }) =>
    app.run(command, (context) =>
      context.withStore(flags.dryRun ? 'read' : 'write', async (store) => {
        const collection = await store.collection(name)
        const result = await collection.revert(to, { dryRun: flags.dryRun === true })
        const verb = flags.dryRun ? 'would go' : 'went'
        const { inserted, deleted, updated, manifestVersion, stateRoot } = result
        const state = `version ${manifestVersion}, state ${shortDigest(stateRoot)}`
        const text =
          inserted + deleted + updated === 0
            ? `${name} holds the records of ${to} already; ${state}`
            : `${name} ${verb} back to ${to}: ${inserted} inserted, ${deleted} deleted, ` +
              `${updated} updated; ${state}`
        const dry = flags.dryRun ? { dryRun: true } : {}
        return { result: { collection: name, ...result, ...dry }, text, work: true }
      }),
    ),
  )
}
