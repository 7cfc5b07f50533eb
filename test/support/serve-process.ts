import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from './sources.ts'

export const AKIDB: string = join(ROOT, 'bin/akidb')

export interface ServeProcess {
  readonly url: string
  /** Sends a signal and gives back the exit code, or the signal it died of. */
  end(signal: NodeJS.Signals): Promise<number | string | null>
}

export interface ServeOptions {
  /** Address of the store. */
  readonly store: string
  /** After `serve`. */
  readonly options?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** In place of `akidb --store … serve …`. */
  readonly command?: readonly string[]
  /** Takes the process as soon as it is there: its test ends it. */
  readonly children: ChildProcess[]
}

/** A real `akidb serve` on a free port. @throws with its output where it ends before it listens */
export async function startServe({
  store,
  options = [],
  env = process.env,
  command,
  children,
}: ServeOptions): Promise<ServeProcess> {
  const args = ['--store', store, '--json', 'serve', '--listen', '127.0.0.1:0', ...options]
  const [program = AKIDB, ...argv] = command ?? [AKIDB, ...args]
  const child = spawn(program, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const ended = new Promise<number | string | null>((done) => {
    child.on('exit', (code, signal) => done(signal ?? code))
  })
  const url = await new Promise<string>((done, failed) => {
    let output = ''
    const read = (piece: Buffer): void => {
      output += piece.toString('utf8')
      const match = /"url":"([^"]+)"/.exec(output)
      if (match?.[1] !== undefined) done(match[1])
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('exit', () => failed(new Error(`akidb serve ended: ${output}`)))
  })
  return {
    url,
    end: (signal) => {
      child.kill(signal)
      return ended
    },
  }
}
