import { styleText } from 'node:util'
import { AkidbError } from '../errors/errors.ts'
import type { Io } from './io.ts'
import { type LogFile, noLog, openLogFile } from './log-file.ts'
import { createOutput, type Output } from './output.ts'
import type { ProgressDisplay } from './progress.ts'
import { failureJson, failureOf, failureText, noticeLine } from './report.ts'
import type { Settings } from './settings.ts'

/** Warnings held back under -q until the exit code is known. */
const HELD_NOTICES_MAX = 1_000

/** One run of the command line: its ends, its signals, and how it speaks. */
export interface Session {
  readonly io: Io
  readonly argv: readonly string[]
  readonly out: Output
  readonly err: Output
  /** Aborted by SIGINT, SIGTERM, or a reader that went away. */
  readonly signal: AbortSignal
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly colour: boolean
  readonly log: LogFile
  /** Names of the command being run. */
  readonly path: readonly string[]
  /** The progress to print when SIGUSR2 asks. */
  progress: ProgressDisplay | undefined
  configure(settings: Settings, path: readonly string[]): void
  notice(kind: 'warning' | 'note', notice: { code?: string; message: string }): void
  paint(format: 'red' | 'green' | 'yellow' | 'bold' | 'dim', text: string): string
  /** Reports a failure and gives its exit code. */
  fail(error: unknown): Promise<number>
  close(exitCode: number): Promise<void>
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export function createSession(io: Io, argv: readonly string[]): Session {
  const controller = new AbortController()
  const err = forgiving(createOutput(io.stderr, () => undefined))
  const out = createOutput(io.stdout, () => controller.abort(new Error('the reader has gone')))
  const held: string[] = []
  const session: Mutable<Session> = {
    io,
    argv,
    out,
    err,
    signal: controller.signal,
    progress: undefined,
    log: noLog,
    path: [],
    colour: hasColour(io, argv.includes('--no-color')),
    ...earlyState(io, argv),
    configure(settings, path) {
      session.json = settings.flag('json')
      session.quiet = settings.flag('quiet')
      session.verbose = settings.flag('verbose')
      session.colour = hasColour(io, settings.flag('noColor'))
      session.path = path
      const file = settings.text('logFile')
      if (file !== undefined) session.log = openLogFile(file, io.now, io.pid)
      session.log.write('info', 'start', { argv })
    },
    notice(kind, notice) {
      session.log.write(kind === 'warning' ? 'warning' : 'info', notice.message, {
        code: notice.code,
      })
      const line = noticeLine(kind, notice, session.json)
      session.progress?.clear()
      if (!session.quiet) void err.write(line)
      else if (kind === 'warning' && held.length < HELD_NOTICES_MAX) held.push(line)
    },
    paint: (format, text) =>
      session.colour ? styleText(format, text, { validateStream: false }) : text,
    async fail(error) {
      const failure = failureOf(error)
      const { code, exit, message, hint, details, stack } = failure
      session.log.write('error', message, { code, exit, hint, details, stack })
      for (const line of held.splice(0)) await err.write(line)
      await err.write(session.json ? failureJson(failure) : failureText(failure, session.verbose))
      return exit
    },
    async close(exitCode) {
      stopListening()
      session.log.write('info', 'end', { exit: exitCode })
      session.log.close()
      // A pipe or terminal on stdin must not keep the process alive.
      io.stdin.pause?.()
      io.stdin.unref?.()
      await err.write('')
    },
  }
  const stopListening = listenForSignals(session, controller)
  return session
}

/** A full disk behind stderr must not turn a warning into a failure of the work. */
const forgiving = (output: Output): Output => ({
  isTerminal: output.isTerminal,
  get columns() {
    return output.columns
  },
  get closed() {
    return output.closed
  },
  write: (chunk) => output.write(chunk).catch(() => undefined),
})

/** How to speak before the configuration is known. */
const earlyState = (io: Io, argv: readonly string[]) => {
  const end = argv.indexOf('--')
  const options = end < 0 ? argv : argv.slice(0, end)
  const has = (...names: string[]) => names.some((name) => options.includes(name))
  return {
    json: has('--json') || ['1', 'true', 'yes'].includes((io.env.AKIDB_JSON ?? '').toLowerCase()),
    quiet: has('-q', '--quiet'),
    verbose: has('-v', '--verbose'),
  }
}

const hasColour = (io: Io, refused: boolean): boolean => {
  const { NO_COLOR, FORCE_COLOR, TERM } = io.env
  if (refused || (NO_COLOR !== undefined && NO_COLOR !== '')) return false
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0') return true
  return io.stdout.isTTY === true && TERM !== 'dumb'
}

/** The first SIGINT or SIGTERM asks the work to stop; a second ends the process at once. */
function listenForSignals(session: Session, controller: AbortController): () => void {
  const { io } = session
  const stop = (code: 'INTERRUPTED' | 'TERMINATED', exit: number, word: string) => () => {
    if (controller.signal.aborted) return io.exitNow(exit)
    controller.abort(new AkidbError(code, word))
    // A command that waits for its input would not see the signal.
    io.stdin.destroy?.()
  }
  const removers = [
    io.onSignal('SIGINT', stop('INTERRUPTED', 130, 'interrupted')),
    io.onSignal('SIGTERM', stop('TERMINATED', 143, 'terminated')),
    io.onSignal('SIGUSR2', () => {
      if (session.progress !== undefined) session.progress.printNow()
      else void session.err.write(`akidb: ${session.path.join(' ')}: running\n`)
    }),
  ]
  return () => {
    for (const remove of removers) remove()
  }
}
