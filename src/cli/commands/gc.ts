import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { humanBytes, plural } from '../human.ts'
import { dryRun } from '../option-kinds.ts'

interface GcFlags {
  readonly dryRun?: true
}

/** `akidb gc`: removes old states and the blobs that nothing names. */
export const defineGc = (command: Command, app: App): void => {
  describe(command, {
    summary: 'remove what nothing names any more',
    examples: [
      ['akidb gc -n', 'say what would go'],
      ['akidb gc --keep 30d', 'keep thirty days of history'],
    ],
    details: 'Snapshots, heads and what readers and writers use stay. Works on a full disk.',
    exits: [21, 22, 23, 24],
  })
  command.option('--keep <duration>', 'history to keep (default: 7d)')
  command.addOption(dryRun('removed'))
  command.action((flags: GcFlags) =>
    app.run(command, (context) =>
      context.withStore(flags.dryRun ? 'read' : 'write', async (store) => {
        const keepMs = context.settings.number('keep') ?? 0
        const result = await context.progress('gc', () =>
          store.gc({ keepMs, dryRun: flags.dryRun === true }),
        )
        const verb = flags.dryRun ? 'would remove' : 'removed'
        const { logPieces } = result
        const logs = logPieces === 0 ? '' : `, ${plural(logPieces, 'piece')} of dropped logs`
        const text =
          `${verb} ${plural(result.manifests, 'old state')} and ${plural(result.blobs, 'blob')}` +
          `${logs}, ${humanBytes(result.bytes)}; kept ${plural(result.kept, 'blob')}`
        return {
          result: { ...result, ...(flags.dryRun ? { dryRun: true } : {}) },
          text,
          work: true,
        }
      }),
    ),
  )
}
