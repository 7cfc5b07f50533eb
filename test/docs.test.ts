import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EXIT_CODES } from '../src/errors/exit-codes.ts'
import { limitsPage } from './support/limits-table.ts'
import { ROOT } from './support/sources.ts'

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const pages = [
  'README.md',
  ...globSync('{docs,fixtures,templates,offline-installer}/**/*.md', { cwd: ROOT }),
]
  .filter((path) => existsSync(join(ROOT, path)))
  .toSorted()

describe('docs/limits.md', () => {
  it('is the table of src/core/limits.ts', async () => {
    await expect(limitsPage()).toMatchFileSnapshot(join(ROOT, 'docs/limits.md'))
  })

  it('says of every limit what it limits', () => {
    const silent = limitsPage()
      .split('\n')
      .filter((line) => /^\| `/.test(line) && /\|\s*\|$/.test(line))
    expect(silent).toEqual([])
  })
})

describe('docs/errors.md', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(
    (match) => [match[1], Number(match[2])],
  )

  it('lists every code once, with its exit code, and none that does not exist', () => {
    const byName = (a: unknown[], b: unknown[]): number => (String(a[0]) < String(b[0]) ? -1 : 1)
    expect(rows.toSorted(byName)).toEqual(Object.entries(EXIT_CODES).toSorted(byName))
  })
})

describe('the pages', () => {
  it('link only to files that are there', () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1] ?? '')
        .filter((link) => !/^[a-z]+:/.test(link))
        .filter((link) => !existsSync(join(ROOT, dirname(page), link)))
        .map((link) => `${page}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  it('name no path of one machine', () => {
    const machine = /(^|[^A-Za-z0-9_.])\/(?:work|farm)\//
    expect(pages.filter((page) => machine.test(read(page)))).toEqual([])
  })

  it('show only npm scripts that exist', () => {
    const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> })
      .scripts
    const unknown = pages.flatMap((page) =>
      [...read(page).matchAll(/npm run (?:-s )?([a-z][a-z:-]*)/g)]
        .map((match) => match[1] ?? '')
        .filter((name) => !(name in scripts)),
    )
    expect(unknown).toEqual([])
  })
})

describe('the commands that the pages show', () => {
  const lines = pages.flatMap((page) => shellLines(read(page)).map((line) => [page, line] as const))
  const commands = new Map<string, Set<string>>()
  for (const [, line] of lines) {
    const { command, flags } = commandOf(line)
    const known = commands.get(command) ?? new Set<string>()
    commands.set(command, new Set([...known, ...flags]))
  }

  it('are some', () => {
    expect(commands.size).toBeGreaterThan(5)
  })

  it.each([...commands])('%s exists, with the flags shown', (command, flags) => {
    const help = spawnSync(join(ROOT, 'bin/akidb'), [...command.split(' '), '--help'], {
      encoding: 'utf8',
    })
    expect(help.status, help.stderr).toBe(0)
    const words = new Set(help.stdout.match(/(?<![\w-])--?[a-z][a-z-]*/g))
    expect([...flags].filter((flag) => !words.has(flag) && !GLOBAL.has(flag))).toEqual([])
  })
})

const GROUPS = new Set(['snapshot', 'bundle', 'keys', 'audit', 'index', 'config'])
/** Global options, which the help of a command need not repeat. */
const GLOBAL = new Set(
  '--store --state --config --json -q --quiet -v --verbose --log-file --progress --no-color'
    .concat(' --no-input --lock-wait --threads --memory --offline --reason --passphrase-file --yes')
    .split(' '),
)

/** Lines of fenced shell blocks that call akidb, continuation lines joined. */
function shellLines(page: string): string[] {
  return [...page.matchAll(/^```(?:sh|bash)\n([\s\S]*?)^```/gm)]
    .flatMap((block) => (block[1] ?? '').replaceAll('\\\n', ' ').split('\n'))
    .flatMap((line) => line.split(/\s*(?:&&|\|)\s*/))
    .map((line) => line.replace(/^\$ /, '').trim())
    .filter((line) => /^(?:\.\/|node_modules\/\.bin\/|bin\/)?akidb\s/.test(line))
}

/** The command words of a line and the flags after them. */
function commandOf(line: string): { command: string; flags: readonly string[] } {
  const words = line
    .replace(/\s#.*$/, '')
    .replaceAll(/'[^']*'|"[^"]*"/g, 'x')
    .split(/\s+/)
    .slice(1)
  const flags = words
    .filter((word) => /^--?[a-z]/.test(word))
    .map((word) => word.split('=')[0] ?? '')
  const plain: string[] = []
  for (let i = 0; i < words.length && plain.length < 2; i++) {
    const word = words[i] ?? ''
    // Global options before the command take a value, but for --json.
    if (word.startsWith('-') && word !== '--json' && plain.length === 0) i++
    else if (!word.startsWith('-')) plain.push(word)
  }
  const [first = '', second = ''] = plain
  return { command: GROUPS.has(first) ? `${first} ${second}` : first, flags }
}
