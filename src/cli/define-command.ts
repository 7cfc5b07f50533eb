import type { App } from './app.ts'
import type { Command } from './commander.ts'

/**
 * Adds arguments, options, subcommands and the action to a command that has only its name so far.
 * `loadTree` is for commands that speak of all others.
 */
export type DefineCommand = (command: Command, app: App, loadTree: LoadTree) => void

/** Loads the definition of every command below the root. */
export type LoadTree = (program: Command) => Promise<void>
