import type { ExportResult } from '../../index.ts'
import type { App } from '../app.ts'
import { bundleOutput } from '../bundle-input.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { humanBytes } from '../human.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { fields } from '../table.ts'

interface ExportFlags {
  readonly output: string
  readonly snapshot?: string
  readonly since?: string
  readonly to?: string
  readonly kmsKey?: string
  readonly force?: true
  /** false with --no-index. */
  readonly index: boolean
}

/** `akidb export`: a signed bundle of one or more collections. */
export const defineExport = (command: Command, app: App): void => {
  describe(command, {
    summary: 'write a signed bundle',
    examples: [
      ['akidb export docs -o docs.akipkg', 'the newest state, signed with the key default'],
      ['akidb export docs -o update.akipkg --since last', 'only what the last bundle lacks'],
      ['akidb export docs -o docs.akipkg --kms-key site-a', 'encrypted, by a key server (KES)'],
      ['akidb export docs -o - | ssh host akidb import -', 'through a pipe'],
    ],
    details: 'See akidb help bundles.',
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<collections...>', 'names')
  command.requiredOption('-o, --output <file|->', 'the bundle, or - for stdout')
  command.option('--key <name>', 'the key that signs (default: default)')
  command.option('--snapshot <label>', 'this state instead of the newest')
  command.option('--since <base>', 'a delta against a state root, a bundle file, or last')
  command.option('--to <site>', 'name the receiving site in the bundle')
  command.option('--no-index', 'leave out what the receiver can rebuild')
  command.option('--kms-key <id>', 'encrypt it under this key of the key server')
  command.option('--force', 'replace the file if it exists')
  kesOptions(command)
  command.action((collections: string[], flags: ExportFlags) =>
    app.run(command, async (context) => {
      const { snapshot, since, to, kmsKey } = flags
      const output = bundleOutput(context, flags)
      const engine = await context.engine()
      const result = await context.progress(`export ${collections.join(' ')}`, (onProgress) =>
        engine.exportBundle({
          ...context.storeRequest(),
          collections,
          output,
          key: context.settings.text('key') ?? 'default',
          noIndex: flags.index === false,
          passphrase: context.passphrases.ask,
          onProgress,
          ...(snapshot === undefined ? {} : { snapshot }),
          ...(since === undefined ? {} : { since }),
          ...(to === undefined ? {} : { to }),
          ...(kmsKey === undefined ? {} : { kmsKey }),
          ...namedKes(context),
        }),
      )
      return { result, text: exportText(result), work: true, toStderr: flags.output === '-' }
    }),
  )
}

const exportText = (result: ExportResult): string =>
  fields([
    ['bundle', result.path],
    ['size', humanBytes(result.bytes)],
    ['head', result.headDigest],
    ['sequence', result.sequence],
    ['signed by', result.keyId],
    ['encrypted under', result.kmsKey],
    ...Object.entries(result.stateRoots).map(([name, root]): [string, string] => [
      `state of ${name}`,
      root,
    ]),
    ...Object.entries(result.baseStateRoots ?? {}).map(([name, root]): [string, string] => [
      `base of ${name}`,
      root,
    ]),
  ])
