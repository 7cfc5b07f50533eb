import { AkidbError } from '../errors/errors.ts'
import { akidbVersion } from '../storage/package-version.ts'
import { type App, createApp } from './app.ts'
import { type Command, CommanderError } from './commander.ts'
import type { Engine } from './engine.ts'
import type { Io } from './io.ts'
import { createProgram } from './program.ts'
import { createSession, type Session } from './session.ts'

/**
 * Runs one command line and gives its exit code; never throws.
 *
 * @param argv arguments after the program's name
 */
export async function runCli(
  argv: readonly string[],
  io: Io,
  loadEngine: () => Promise<Engine>,
): Promise<number> {
  const session = createSession(io, argv)
  const exitCode = await runSession(session, createApp(session, loadEngine))
  await session.close(exitCode)
  return exitCode
}

async function runSession(session: Session, app: App): Promise<number> {
  const help: string[] = []
  const program = createProgram(app, (text) => help.push(text))
  try {
    program.on('option:version', () => {
      throw new CommanderError(0, 'commander.version', '')
    })
    await program.parseAsync([...session.argv], { from: 'user' })
    return 0
  } catch (error) {
    try {
      return await exitCodeFor({ session, program, help: help.join('') }, error)
    } catch (second) {
      return await session.fail(second)
    }
  }
}

interface Ended {
  readonly session: Session
  readonly program: Command
  /** What commander would have printed. */
  readonly help: string
}

/**
 * A reader that went away is a regular end; what was thrown after an interrupt is the interrupt.
 */
async function exitCodeFor({ session, program, help }: Ended, error: unknown): Promise<number> {
  if (error instanceof CommanderError && error.exitCode === 0) {
    await session.out.write(error.code === 'commander.version' ? `${akidbVersion()}\n` : help)
    return 0
  }
  if (session.out.closed) return 0
  if (error instanceof CommanderError)
    return await session.fail(usageError(error, calledIn(program, session.argv)))
  const reason: unknown = session.signal.aborted ? session.signal.reason : undefined
  return await session.fail(reason instanceof AkidbError ? reason : error)
}

/** The command that was called, as far as there is one: `worm`, `verify`. */
function calledIn(program: Command, argv: readonly string[]): string[] {
  const start = argv.findIndex((word) => program.commands.some((each) => each.name() === word))
  const names: string[] = []
  let at: Command | undefined = program
  for (const word of start < 0 ? [] : argv.slice(start)) {
    at = at.commands.find((each) => each.name() === word)
    if (at === undefined) break
    names.push(word)
  }
  return names
}

/** commander's `error: unknown option '--x'\n(Did you mean --y?)` as a USAGE error with a hint. */
function usageError(error: CommanderError, called: readonly string[]): AkidbError {
  const [first = '', second] = error.message.replace(/^error: /, '').split('\n')
  const suggestion = second?.replace(/^\(|\)$/g, '')
  const message = error.code === 'commander.help' ? 'a command is missing' : first
  const help = `See \`${['akidb', ...called, '--help'].join(' ')}\`.`
  return new AkidbError('USAGE', message, {
    hint: suggestion === undefined ? help : `${suggestion} ${help}`,
  })
}
