import type { App } from './app.ts'
import { Command, Option } from './commander.ts'
import { describe, formatHelp } from './describe.ts'
import { REGISTRY, type RegisteredCommand } from './registry.ts'

/** Takes the text of a help that was asked for. */
export type OnHelp = (text: string) => void

/**
 * The root command with the global options, and a name for every command. A command's own
 * definition is loaded when it is chosen; `loadAll` does it for the help topics, the completion
 * scripts and the tests.
 */
export function createProgram(app: App, onHelp: OnHelp): Command {
  const program = new Command('akidb')
  describe(program, {
    summary:
      'Vector collections for machines without a network: ingest, search, seal, prove and carry.',
    examples: [
      ['akidb init', 'make a store'],
      ['akidb ingest docs papers.parquet', 'take records from a file'],
      ['akidb search docs --text "heat transfer" -k 5', 'find records'],
      ['akidb export docs -o docs.akipkg', 'write a signed bundle'],
    ],
    exits: [20, 21, 22, 23, 24, 25, 26, 27],
  })
  configure(program, onHelp)
  for (const option of globalOptions()) program.addOption(option)
  program.addOption(new Option('-V, --version', 'print the version'))
  for (const registered of REGISTRY) {
    const command = program.command(registered.name)
    command.summary(registered.summary).helpGroup(registered.group)
    configure(command, onHelp)
  }
  program.hook('preSubcommand', async (_program, command) => {
    await define(command, app, onHelp)
  })
  return program
}

/** Loads every command's definition. */
export async function loadAll(program: Command, app: App, onHelp: OnHelp): Promise<void> {
  for (const command of program.commands) await define(command, app, onHelp)
}

const defined = new WeakSet<Command>()

const define = async (command: Command, app: App, onHelp: OnHelp): Promise<void> => {
  const registered = REGISTRY.find(({ name }) => name === command.name())
  if (registered === undefined || command.parent?.parent || defined.has(command)) return
  defined.add(command)
  const defineCommand = await (registered satisfies RegisteredCommand).load()
  defineCommand(command, app)
  for (const nested of [command, ...command.commands]) configure(nested, onHelp)
}

/** Errors and help go through us: commander neither prints nor ends the process. */
const configure = (command: Command, onHelp: OnHelp): void => {
  command
    .exitOverride()
    .helpCommand(false)
    .helpOption('-h, --help', 'show this help')
    .configureHelp({ formatHelp })
    .configureOutput({ writeOut: onHelp, writeErr: () => undefined, outputError: () => undefined })
}

/** Options that every command takes, before or after its name. */
export const globalOptions = (): Option[] => [
  new Option('--store <folder>', 'the store (default: ./akidb-data where it exists)'),
  new Option('--state <folder>', 'the state folder: keys, locks, cache (default: <store>/local)'),
  new Option('--config <file>', 'read this configuration instead of ./akidb.config.json'),
  new Option('--json', 'print one JSON document; errors and warnings as JSON on stderr'),
  new Option('-q, --quiet', 'no chatter; work commands print nothing when all went well'),
  new Option('-v, --verbose', 'print more, and the stack of a bug'),
  new Option('--log-file <file>', 'append a log as JSON lines'),
  new Option('--progress <mode>', 'auto, bar, plain, json or none'),
  new Option('--no-color', 'no colour'),
  new Option('--no-input', 'never ask; fail naming the option that would have answered'),
  new Option('--lock-wait <duration>', 'how long to wait for a lock (default: 10s)'),
  new Option('--threads <n>', 'threads for building (default: cores, at most 8)'),
  new Option('--memory <size>', 'memory to stay within, where there is a choice'),
  new Option('--offline', 'refuse every address but the loopback'),
  new Option('--reason <text>', 'why; goes into the audit log'),
  new Option(
    '--passphrase-file <file>',
    'read the passphrase of a key from this file, or - for stdin',
  ),
]
