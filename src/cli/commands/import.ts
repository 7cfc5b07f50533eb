import type { App } from '../app.ts'
import { bundleInput } from '../bundle-input.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { dryRun } from '../option-kinds.ts'
import { takenText } from '../taken-text.ts'

interface ImportFlags {
  readonly as?: string
  readonly diverge?: true
  readonly dryRun?: true
}

/** `akidb import`: all of a bundle or nothing of it. */
export const defineImport = (command: Command, app: App): void => {
  describe(command, {
    summary: 'take a bundle into the store',
    examples: [
      ['akidb import docs.akipkg', 'verify it, then take it, whole or not at all'],
      ['akidb import docs.akipkg -n', 'verify it and say what would change'],
      ['akidb import docs.akipkg --as papers', 'under another name'],
    ],
    details: [
      'An imported collection follows its origin: it takes later bundles and refuses changes of',
      'its own, unless --diverge. The signer must be trusted: see akidb help keys. An encrypted',
      'bundle needs the key server that it was encrypted by (--kes-endpoint).',
    ].join('\n'),
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<file>', 'the bundle, or - for stdin')
  command.option('--as <name>', 'name of the collection here')
  command.option('--diverge', 'let it be changed here, and follow no more')
  command.addOption(dryRun('imported'))
  kesOptions(command)
  command.action((file: string, flags: ImportFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const input = bundleInput(context.session.io, file)
      const result = await context.progress('import', (onProgress) =>
        engine.importBundle({
          ...context.storeRequest(),
          input,
          diverge: flags.diverge === true,
          dryRun: flags.dryRun === true,
          onProgress,
          ...namedKes(context),
          ...(flags.as === undefined ? {} : { as: flags.as }),
        }),
      )
      const dry = flags.dryRun ? { dryRun: true } : {}
      return {
        result: { ...result, ...dry },
        text: takenText(result, flags.dryRun === true),
        work: true,
      }
    }),
  )
}
