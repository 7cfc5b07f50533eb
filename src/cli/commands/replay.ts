import type { App } from '../app.ts'
import { bundleInput } from '../bundle-input.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { kesOptions, namedKes } from '../kes-options.ts'

/** `akidb replay`: a signed state of any age, read-only, beside the collections. */
export const defineReplay = (command: Command, app: App): void => {
  describe(command, {
    summary: 'open a bundle read-only',
    examples: [
      ['akidb replay old.akipkg', 'open a state of any age, and print its address'],
      ['akidb list --replays', 'list what is open; akidb drop removes it'],
    ],
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<file>', 'the bundle, or - for stdin')
  command.option('--as <name>', 'name of the collection here')
  kesOptions(command)
  command.action((file: string, flags: { readonly as?: string }) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const input = bundleInput(context.session.io, file)
      const result = await context.progress('replay', (onProgress) =>
        engine.replayBundle({
          ...context.storeRequest(),
          input,
          onProgress,
          ...namedKes(context),
          ...(flags.as === undefined ? {} : { as: flags.as }),
        }),
      )
      const text = `${result.name}  ${result.stateRoot}`
      return { result, text, work: true }
    }),
  )
}
