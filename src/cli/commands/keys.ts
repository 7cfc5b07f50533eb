import { AkidbError } from '../../errors/errors.ts'
import type { KeyEntry } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { defineKeyFiles } from '../keys-files.ts'
import { yes } from '../option-kinds.ts'
import { table } from '../table.ts'

/** `akidb keys …`. */
export const defineKeys = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make, trust and keep keys',
    examples: [
      ['akidb keys list', 'our keys and the ones we trust'],
      ['akidb keys export default > site.pem', 'the public key, for those who receive from us'],
      ['akidb keys trust site.pem', 'accept bundles signed with it'],
      ['akidb keys backup -o keys.backup', 'losing the state folder loses the keys'],
    ],
    exits: [21, 22, 23],
  })
  defineGenerate(command.command('generate'), app)
  defineList(command.command('list'), app)
  defineExport(command.command('export'), app)
  defineTrust(command.command('trust'), app)
  defineKeyFiles(command, app)
}

const defineGenerate = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make a key',
    examples: [
      ['akidb keys generate site --passphrase-file pass.txt', 'protected by a passphrase'],
      ['akidb keys generate site --replace', 'make it anew; the old one signs no more'],
    ],
    exits: [21, 22, 23, 27],
  })
  command.argument('<name>', 'name of the key')
  command.option('--replace', 'replace the key of this name')
  command.action((name: string, flags: { readonly replace?: true }) =>
    app.run(command, async (context) => {
      const passphrase = await context.passphrases.given()
      const engine = await context.engine()
      const result = await engine.generateKey({
        ...context.storeRequest(),
        name,
        replace: flags.replace === true,
        ...(passphrase === undefined ? {} : { passphrase }),
      })
      const locked = result.locked === true ? 'passphrase' : 'no passphrase'
      return { result, text: `made the key ${result.name}, ${locked}: ${result.keyId}`, work: true }
    }),
  )
}

const defineList = (command: Command, app: App): void => {
  describe(command, {
    summary: 'list keys',
    examples: [['akidb keys list', 'names and fingerprints']],
    exits: [21, 23],
  })
  command.action(() =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.listKeys(context.storeRequest())
      return { result, text: keyTable(result.keys) }
    }),
  )
}

const keyTable = (keys: readonly KeyEntry[]): string =>
  table(
    [{ title: 'NAME' }, { title: 'KIND' }, { title: 'PASSPHRASE' }, { title: 'FINGERPRINT' }],
    keys.map(({ name, kind, locked }) => [
      name,
      kind,
      kind === 'trusted' ? '-' : locked === true ? 'yes' : 'no',
      '',
    ]),
  )
    .split('\n')
    .map((line, i) => (i === 0 ? line : `${line.trimEnd()}  ${keys[i - 1]?.keyId ?? ''}`))
    .join('\n')

const defineExport = (command: Command, app: App): void => {
  describe(command, {
    summary: 'print a public key',
    examples: [['akidb keys export default > site.pem', 'PEM, for `akidb keys trust` or openssl']],
    exits: [21, 23],
  })
  command.argument('<name>', 'name of the key')
  command.action((name: string) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.exportKey({ ...context.storeRequest(), name })
      return { result, text: result.pem }
    }),
  )
}

interface TrustFlags {
  readonly name?: string
  readonly yes?: true
}

const defineTrust = (command: Command, app: App): void => {
  describe(command, {
    summary: 'accept what a key signs',
    examples: [
      ['akidb keys trust site.pem --name head-office', 'show the fingerprint, and ask'],
      [
        'akidb keys trust site.pem --yes',
        'without a question: the fingerprint was compared before',
      ],
    ],
    details: 'Compare the fingerprint with one that came another way: by phone, on paper.',
    exits: [21, 22, 23, 26],
  })
  command.argument('<file|fingerprint>', 'a PEM file, or 64 hex digits')
  command.option('--name <name>', 'what to call it here')
  command.addOption(yes())
  command.action((input: string, flags: TrustFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const request = context.storeRequest()
      if (flags.yes !== true) {
        const isFingerprint = /^[0-9a-f]{64}$/.test(input)
        const keyId = isFingerprint
          ? input
          : (await engine.readPublicKey({ ...request, input })).keyId
        const agreed = await context.ask.confirm(`Fingerprint ${keyId}\nTrust this key?`, '--yes')
        if (!agreed) throw new AkidbError('USAGE', 'not trusted')
      }
      const name = flags.name === undefined ? {} : { name: flags.name }
      const result = await engine.trustKey({ ...request, input, ...name })
      return { result, text: `trusted ${result.name}: ${result.keyId}`, work: true }
    }),
  )
}
