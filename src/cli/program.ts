import type { App } from './app.ts'
import { Command, Option } from './commander.ts'
import { describe, formatHelp } from './describe.ts'
import { globalOptions } from './global-options.ts'
import { REGISTRY } from './registry.ts'

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
  const defineCommand = await registered.load()
  defineCommand(command, app, (program) => loadAll(program, app, () => undefined))
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
