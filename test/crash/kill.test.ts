import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
const ROWS = 6_000
const DIMENSION = 32
const KILLS = 3
/** Kills come within the time that a whole run takes here. */
const KILL_AFTER_MIN_MS = 150

let folder = ''
let rows = ''
let wholeMs = 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-kill-'))
  rows = join(folder, 'rows.jsonl')
  const line = (id: number): string => {
    const vector = Array.from({ length: DIMENSION }, (_, i) => Math.fround(Math.sin(id * 7 + i)))
    return `${JSON.stringify({ id: `r${id}`, vector, text: `record ${id}` })}\n`
  }
  writeFileSync(rows, Array.from({ length: ROWS }, (_, id) => line(id)).join(''))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const akidb = (store: string, ...argv: string[]) => {
  const all = [MAIN, '--store', store, '--no-input', '-q', ...argv]
  return spawnSync(process.execPath, all, { encoding: 'utf8' })
}

const ingestArguments = (store: string): string[] => [
  ...[MAIN, '--store', store, '--no-input', '-q'],
  ...['ingest', 'docs', rows, '--text-column', 'text'],
]

const countOf = (store: string): number => {
  const { stdout } = akidb(store, 'list', '--json')
  const { collections } = JSON.parse(stdout) as { collections: { count: number }[] }
  return collections[0]?.count ?? 0
}

const ended = (child: ChildProcess): Promise<NodeJS.Signals | null> =>
  new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))

/** Manifests, every blob and the audit log. */
function expectWhole(store: string): void {
  const { status, stdout, stderr } = akidb(store, 'check', '--read-data', '--json')
  expect(status, stderr + stdout).toBe(0)
}

it('a whole run takes every row', () => {
  const store = join(folder, 'whole')
  expect(akidb(store, 'init', '--no-key').status).toBe(0)
  const startedMs = performance.now()
  const { status, stderr } = spawnSync(process.execPath, ingestArguments(store), {
    encoding: 'utf8',
  })
  wholeMs = performance.now() - startedMs
  expect(status, stderr).toBe(0)
  expect(countOf(store)).toBe(ROWS)
})

it('an ingest that is killed is finished by the next one, and nobody sees half of it', async () => {
  const seed = Number(process.env.AKIDB_SEED ?? Date.now() % 1_000_000)
  console.info(`kill -9 seed ${seed} (AKIDB_SEED)`)
  let state = seed
  const random = (): number => {
    // Numerical Recipes, §7.1.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  let killed = 0
  for (let run = 0; run < KILLS; run++) {
    const store = join(folder, `killed-${run}`)
    expect(akidb(store, 'init', '--no-key').status).toBe(0)
    const child = spawn(process.execPath, ingestArguments(store), { stdio: 'ignore' })
    const exit = ended(child)
    const afterMs = KILL_AFTER_MIN_MS + random() * Math.max(0, wholeMs - KILL_AFTER_MIN_MS)
    const timer = setTimeout(() => child.kill('SIGKILL'), afterMs)
    if ((await exit) === 'SIGKILL') killed++
    clearTimeout(timer)
    expect([0, ROWS], `after ${afterMs} ms`).toContain(countOf(store))
    const again = spawnSync(process.execPath, ingestArguments(store), { encoding: 'utf8' })
    expect(again.status, again.stderr).toBe(0)
    expect(countOf(store)).toBe(ROWS)
    expectWhole(store)
  }
  expect(killed).toBeGreaterThan(0)
})
