import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { fields } from '../table.ts'

interface InitFlags {
  /** false with --no-key. */
  readonly key: boolean
}

/** `akidb init`: makes a store; doing it twice is harmless. */
export const defineInit = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make a store and its keys',
    examples: [
      ['akidb init', 'make a store at the default place, with the keys log and default'],
      ['akidb init --store /srv/vectors', 'make it there'],
      ['akidb init --store s3://vectors/site-a', 'in a bucket; again on each further machine'],
      ['akidb init --passphrase-file pass.txt', 'protect the key default by a passphrase'],
    ],
    details: [
      'Doing it twice is harmless: a store that is there is left alone. In a bucket it tries what',
      'a store there relies on, and makes the keys of this machine (akidb help buckets).',
    ].join('\n'),
    exits: [22, 23, 25, 27],
  })
  command.option('--no-key', 'make no key to sign bundles, only the one of the audit log')
  command.action((flags: InitFlags) =>
    app.run(command, async (context) => {
      const passphrase = flags.key !== false ? await context.passphrases.given() : undefined
      const engine = await context.engine()
      const result = await engine.initStore({
        ...context.storeRequest(),
        noKey: flags.key === false,
        ...(passphrase === undefined ? {} : { passphrase }),
      })
      const text = fields([
        ['store', result.store],
        ['id', result.id],
        ['state', result.state],
        ['made', result.created ? 'yes' : 'no, it was there already'],
        ...result.keys.map((key): [string, string] => [`key ${key.name}`, key.keyId]),
      ])
      return { result, text, work: true }
    }),
  )
}
