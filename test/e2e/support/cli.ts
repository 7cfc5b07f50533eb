import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadEngine } from '../../../src/cli/load-engine.ts'
import { type Ran, run } from '../../cli/support/run.ts'

const root = join(import.meta.dirname, '..', '..', '..')
/** The sources, whatever an older build beside them says. */
const program = ['--disable-warning=ExperimentalWarning', join(root, 'src', 'cli', 'main.ts')]

/** 306 rows with 768-d vectors, and 20 queries. */
export const RECORDS = join(root, 'fixtures', 'labse-small.parquet')
export const QUERIES = join(root, 'fixtures', 'labse-small-queries.parquet')

/** A folder for one test file; its stores and files lie in it. */
export interface Place {
  readonly folder: string
  at(name: string): string
  /** A process of its own; `input` is its stdin. */
  spawn(argv: readonly string[], input?: string | Uint8Array): SpawnSyncReturns<string>
  /** A line of bash in which `akidb` is the program; a failure anywhere in a pipe is its status. */
  shell(script: string): SpawnSyncReturns<string>
  /** A process that goes on; its stdio are pipes. */
  start(argv: readonly string[]): ChildProcess
  /** The same command line in this process, on the real engine: many times faster. */
  run(argv: readonly string[], stdin?: string): Promise<Ran>
  /** `run` with `--json`; the only document on stdout. */
  json(...argv: readonly string[]): Promise<Record<string, unknown>>
  remove(): void
}

export function openPlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'akidb-e2e-'))
  const env = { PATH: process.env.PATH ?? '', HOME: folder, NO_COLOR: '1' }
  // Paths on a command line start from where the process is; each test file has its own.
  process.chdir(folder)
  const place: Place = {
    folder,
    at: (name) => join(folder, name),
    spawn: (argv, input) =>
      spawnSync(process.execPath, [...program, ...argv], {
        ...(input === undefined ? {} : { input }),
        ...{ encoding: 'utf8', cwd: folder, env, maxBuffer: 64 * 1024 * 1024 },
      }),
    shell: (script) => {
      const words = [process.execPath, ...program].map((word) => `'${word}'`).join(' ')
      const whole = `set -o pipefail; akidb() { ${words} "$@"; }; ${script}`
      return spawnSync('bash', ['-c', whole], { encoding: 'utf8', cwd: folder, env })
    },
    start: (argv) => spawn(process.execPath, [...program, ...argv], { cwd: folder, env }),
    run: async (argv, stdin) =>
      await run(argv, {
        ...{ engine: await loadEngine(), env, cwd: folder, home: folder },
        ...(stdin === undefined ? {} : { stdin }),
      }),
    async json(...argv) {
      const ran = await place.run([...argv, '--json'])
      if (ran.code !== 0) throw new Error(`exit ${ran.code}: ${ran.stderr}`)
      return JSON.parse(ran.stdout) as Record<string, unknown>
    },
    remove() {
      process.chdir(root)
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return place
}
