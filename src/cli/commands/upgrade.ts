import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { dryRun } from '../option-kinds.ts'

interface UpgradeFlags {
  readonly dryRun?: true
}

/** `akidb upgrade`: the only command that makes older versions unable to read a store. */
export const defineUpgrade = (command: Command, app: App): void => {
  describe(command, {
    summary: 'raise the format of the store',
    examples: [
      ['akidb upgrade -n', 'say what would change, and what older versions lose'],
      ['akidb upgrade', 'do it'],
    ],
    exits: [21, 22, 23, 24, 27],
  })
  command.addOption(dryRun('changed'))
  command.action((flags: UpgradeFlags) =>
    app.run(command, (context) =>
      context.withStore(flags.dryRun ? 'read' : 'write', async (store) => {
        const result = await store.upgrade({ dryRun: flags.dryRun === true })
        const verb = flags.dryRun ? 'would change' : 'changed'
        const lines = [
          ...result.changed.map((what) => `${verb}: ${what}`),
          ...result.loses.map((what) => `older versions lose: ${what}`),
        ]
        return {
          result: { ...result, dryRun: flags.dryRun === true },
          text: lines.length === 0 ? 'nothing to change' : lines.join('\n'),
          work: true,
        }
      }),
    ),
  )
}
