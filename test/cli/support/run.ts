import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine } from '../../../src/cli/engine.ts'
import type { InputStream, Io, OutputStream, SignalName } from '../../../src/cli/io.ts'
import { runCli } from '../../../src/cli/run-cli.ts'

/** What one run of the command line left. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** Codes of exits at once (a second interrupt). */
  readonly exits: readonly number[]
  /** Whether it let other processes go first. */
  readonly lowered: boolean
}

export interface RunOptions {
  readonly engine?: Engine
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly home?: string
  readonly uid?: number
  readonly stdin?: string
  readonly stdinTerminal?: boolean
  readonly stdoutTerminal?: boolean
  readonly stderrTerminal?: boolean
  /** The reader of stdout goes away after this many characters. */
  readonly stdoutClosesAfter?: number
  readonly systemConfig?: string
  readonly now?: () => number
  /** Gets a function that sends a signal to the run. */
  readonly onStart?: (send: (name: SignalName) => void) => void
}

/** Runs a command line in-process, over fake streams and a fake engine. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const stdout = fakeOutput(options.stdoutTerminal === true, options.stdoutClosesAfter)
  const stderr = fakeOutput(options.stderrTerminal === true)
  const exits: number[] = []
  let lowered = false
  const listeners = new Map<SignalName, () => void>()
  const io: Io = {
    stdin: fakeInput(options.stdin ?? '', options.stdinTerminal === true),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: options.env ?? {},
    cwd: options.cwd ?? '/nowhere',
    home: options.home ?? '/nowhere',
    host: 'testhost',
    user: 'tester',
    uid: options.uid ?? 1000,
    pid: 4242,
    systemConfig: options.systemConfig ?? '/nowhere/config.json',
    now: options.now ?? (() => Date.now()),
    onSignal(name, listener) {
      listeners.set(name, listener)
      return () => listeners.delete(name)
    },
    lowerPriority: () => {
      lowered = true
    },
    exitNow: (code) => void exits.push(code),
  }
  options.onStart?.((name) => listeners.get(name)?.())
  const loadEngine = async (): Promise<Engine> => {
    if (options.engine === undefined) throw new Error('this test has no engine')
    return options.engine
  }
  const code = await runCli(argv, io, loadEngine)
  return { code, stdout: stdout.text(), stderr: stderr.text(), exits, lowered }
}

const fakeOutput = (terminal: boolean, closesAfter = Number.POSITIVE_INFINITY) => {
  const pieces: Buffer[] = []
  let written = 0
  const stream: OutputStream = {
    isTTY: terminal,
    columns: 100,
    write(chunk, done) {
      const bytes = Buffer.from(chunk)
      if (written + bytes.length > closesAfter) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
        return false
      }
      written += bytes.length
      pieces.push(bytes)
      done()
      return true
    },
    on: () => undefined,
  }
  return { stream, text: () => Buffer.concat(pieces).toString('utf8') }
}

const fakeInput = (text: string, terminal: boolean): InputStream => ({
  isTTY: terminal,
  async *[Symbol.asyncIterator]() {
    if (text !== '') yield Buffer.from(text)
  },
})

/** A folder for one test file; `remove` deletes it. */
export const temporaryFolder = (): { path: string; remove(): void } => {
  const path = mkdtempSync(join(tmpdir(), 'akidb-cli-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** The only object on a stream, or the objects of all its lines. */
export const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
