import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { fields } from '../table.ts'

interface AdoptFlags {
  readonly moved?: true
  readonly copy?: true
}

/** `akidb adopt`: after a store was moved, restored or copied. */
export const defineAdopt = (command: Command, app: App): void => {
  describe(command, {
    summary: 'tell a moved or copied store where it is now',
    examples: [
      ['akidb adopt --moved', 'the store was moved or restored; there is one of it'],
      ['akidb adopt --copy', 'there are two now: start a new audit log and key here'],
    ],
    exits: [21, 22, 23, 24, 27],
  })
  command.option('--moved', 'it was moved: it goes on with its log and key')
  command.option('--copy', 'it is a copy: it gets a log and key of its own')
  command.action((flags: AdoptFlags) =>
    app.run(command, async (context) => {
      if ((flags.moved === true) === (flags.copy === true)) {
        throw new AkidbError('USAGE', 'say either --moved or --copy')
      }
      const engine = await context.engine()
      const as = flags.moved === true ? 'moved' : 'copy'
      const result = await engine.adoptStore({ ...context.storeRequest(), as })
      const text = fields([
        ['store', result.store],
        ['id', result.id],
        ['log', result.logId],
        ['adopted as', result.adopted],
      ])
      return { result, text, work: true }
    }),
  )
}
