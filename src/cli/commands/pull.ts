import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { collectSooner } from '../frugal-memory.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { dryRun } from '../option-kinds.ts'
import { takenText } from '../taken-text.ts'

interface PullFlags {
  readonly as?: string
  readonly diverge?: true
  readonly dryRun?: true
}

/** `akidb pull`: sealed collections, brought back or elsewhere. */
export const definePull = (command: Command, app: App): void => {
  describe(command, {
    summary: 'bring sealed collections back',
    examples: [
      ['akidb pull s3://evidence/site-a', 'the newest sealed state of every collection'],
      ['akidb pull s3://evidence/site-a docs --as papers', 'one, under another name'],
    ],
    details: [
      'Only what a trusted log vouches for is taken, by the object versions that were sealed,',
      'whatever lies above them now. Every byte is checked before anything is published. A',
      'collection of another site follows it, unless --diverge.',
    ].join('\n'),
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<s3 url>', 's3://bucket/prefix')
  command.argument('[collections...]', 'names (default: all)')
  command.option('--as <name>', 'name of the collection here')
  command.option('--diverge', 'let it be changed here, and follow no more')
  kesOptions(command)
  command.option('--retry-for <duration>', 'how long to try again what fails (default: 2m)')
  command.addOption(dryRun('pulled'))
  command.action((url: string, collections: string[], flags: PullFlags) =>
    app.run(command, async (context) => {
      collectSooner()
      const engine = await context.engine()
      const result = await context.progress(`pull ${url}`, (onProgress) =>
        engine.pull({
          ...context.storeRequest(),
          target: url,
          s3: context.s3Access(),
          diverge: flags.diverge === true,
          dryRun: flags.dryRun === true,
          onProgress,
          ...namedKes(context),
          ...(collections.length === 0 ? {} : { collections }),
          ...(flags.as === undefined ? {} : { as: flags.as }),
        }),
      )
      const dry = flags.dryRun === true ? { dryRun: true } : {}
      return {
        result: { ...result, ...dry },
        text: takenText(result, flags.dryRun === true),
        work: true,
      }
    }),
  )
}
