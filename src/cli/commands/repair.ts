import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { plural } from '../human.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { dryRun } from '../option-kinds.ts'

interface RepairFlags {
  readonly from?: string
  readonly dryRun?: true
}

/** `akidb repair`: rebuilds what follows from other bytes, takes lost blobs from a bundle. */
export const defineRepair = (command: Command, app: App): void => {
  describe(command, {
    summary: 'rebuild what can be rebuilt',
    examples: [
      ['akidb repair -n', 'say what would be mended'],
      ['akidb repair', 'rebuild damaged graphs, codes, field and text indexes'],
      ['akidb repair --from docs.akipkg', 'also take lost blobs, by digest, from a bundle'],
    ],
    details: 'No state root changes: what is mended has the bytes that it had.',
    exits: [20, 21, 22, 23, 24, 25, 26, 27],
  })
  command.option('--from <bundle>', 'take lost blobs from this bundle, or folder of a store')
  command.addOption(dryRun('mended'))
  kesOptions(command)
  command.action((flags: RepairFlags) =>
    app.run(command, async (context) => {
      if (flags.from !== undefined && /^[a-z0-9]+:\/\//i.test(flags.from)) {
        throw new AkidbError(
          'USAGE',
          `--from "${flags.from}": this version takes bundle files and folders of stores only`,
        )
      }
      return context.withStore(flags.dryRun ? 'read' : 'write', async (store) => {
        const engine = await context.engine()
        const result = await context.progress('repair', (onProgress) =>
          engine.repair(store, {
            dryRun: flags.dryRun === true,
            onProgress,
            signal: context.signal,
            ...(flags.from === undefined ? {} : { from: flags.from }),
            ...namedKes(context),
          }),
        )
        const verb = flags.dryRun ? 'would mend' : 'mended'
        const lines = [
          ...result.repaired.map((key) => `${verb}  ${key}`),
          ...result.missing.map((key) => `missing  ${key}`),
          `${verb} ${result.repaired.length}, ${result.missing.length} still missing`,
        ]
        const failure = new AkidbError(
          'PARTIAL',
          `${plural(result.missing.length, 'blob')} still missing`,
          {
            hint: 'Give a bundle that holds them with --from.',
          },
        )
        return {
          result: { ...result, dryRun: flags.dryRun === true },
          text: lines.join('\n'),
          work: true,
          failure: result.missing.length === 0 ? undefined : failure,
        }
      })
    }),
  )
}
