import type { App } from './app.ts'
import type { Command } from './commander.ts'
import { describe } from './describe.ts'
import { escapeLine } from './escape.ts'

/** `akidb keys backup|import|fingerprint`. */
export function defineKeyFiles(keys: Command, app: App): void {
  defineBackup(keys.command('backup'), app)
  defineImport(keys.command('import'), app)
  defineFingerprint(keys.command('fingerprint'), app)
}

const defineBackup = (command: Command, app: App): void => {
  describe(command, {
    summary: 'write all private keys to a file',
    examples: [['akidb keys backup -o keys.backup', 'protected by a passphrase of its own']],
    details: 'The file is made with mode 0600. Keep it apart from the store.',
    exits: [21, 22, 23, 27],
  })
  command.requiredOption('-o, --output <file>', 'the backup')
  command.option('--force', 'replace the file if it exists')
  command.action((flags: { readonly output: string; readonly force?: true }) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const question = { keyName: flags.output, purpose: 'choose' } as const
      const passphrase = await context.passphrases.ask(question)
      const result = await engine.backupKeys({
        ...context.storeRequest(),
        path: flags.output,
        force: flags.force === true,
        passphrase,
      })
      const text = `wrote ${result.keys.join(', ')} to ${escapeLine(result.path)}`
      return { result, text, work: true }
    }),
  )
}

const defineImport = (command: Command, app: App): void => {
  describe(command, {
    summary: 'take the keys of a backup',
    examples: [['akidb keys import keys.backup', 'take all keys of a backup']],
    details: 'All or none. A store with an audit log keeps the key of that log.',
    exits: [21, 22, 23, 26],
  })
  command.argument('<file>', 'what akidb keys backup wrote')
  command.action((path: string) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.importKeys({
        ...context.storeRequest(),
        path,
        passphrase: context.passphrases.ask,
      })
      const lines = result.keys.map(
        ({ name, keyId }) => `took the key ${escapeLine(name)}: ${keyId}`,
      )
      return { result, text: lines.join('\n'), work: true }
    }),
  )
}

const defineFingerprint = (command: Command, app: App): void => {
  describe(command, {
    summary: 'print the fingerprint of a public key',
    examples: [['akidb keys fingerprint site.pem', 'SHA-256 of the key as DER, in hex']],
    exits: [21, 26],
  })
  command.argument('<file|name>', 'a PEM file, or the name of a key')
  command.action((input: string) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const { name, keyId } = await engine.readPublicKey({ ...context.storeRequest(), input })
      return { result: { name, keyId }, text: keyId }
    }),
  )
}
