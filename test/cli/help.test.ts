import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../src/cli/app.ts'
import type { Command } from '../../src/cli/commander.ts'
import { completionScript, SHELLS } from '../../src/cli/completion.ts'
import { descriptionOf, EXIT_MEANINGS } from '../../src/cli/describe.ts'
import { globalOptions } from '../../src/cli/global-options.ts'
import { TOPICS } from '../../src/cli/help/topics.ts'
import { processIo } from '../../src/cli/io.ts'
import { createProgram, loadAll } from '../../src/cli/program.ts'
import { createSession } from '../../src/cli/session.ts'
import { SETTINGS } from '../../src/cli/setting-table.ts'
import { EXIT_CODES } from '../../src/errors/exit-codes.ts'
import { run } from './support/run.ts'

let commands: { path: string; command: Command }[] = []
let program: Command
beforeAll(async () => {
  const app = createApp(createSession(processIo(), []), async () => {
    throw new Error('no engine here')
  })
  program = createProgram(app, () => undefined)
  await loadAll(program, app, () => undefined)
  const walk = (command: Command, path: string): { path: string; command: Command }[] => [
    { path, command },
    ...command.commands.flatMap((sub) => walk(sub, `${path} ${sub.name()}`.trim())),
  ]
  commands = walk(program, '')
})

/** Features that this version does not have. */
const ABSENT = /\b(receipt|cosign|job|rotate|revoke|watch|volume|encrypt-to)\b/i

describe('the help of every command', () => {
  it('begins with examples and ends with its exit codes', () => {
    for (const { path, command } of commands) {
      const help = command.helpInformation()
      expect(help.startsWith('Examples:\n  akidb '), path).toBe(true)
      expect(help, path).toMatch(/Exit codes:\n( +\d+ +\S.*\n)+$/)
      for (const [line] of descriptionOf(command)?.examples ?? []) {
        expect(line, `${path}: ${line}`).toContain('akidb ')
      }
    }
  })

  it('names only exit codes that exist', () => {
    for (const { path, command } of commands) {
      for (const exit of descriptionOf(command)?.exits ?? []) {
        expect(Object.keys(EXIT_MEANINGS), path).toContain(String(exit))
      }
    }
  })

  it('mentions no feature that is absent', () => {
    for (const { path, command } of commands) {
      expect(command.helpInformation(), path).not.toMatch(ABSENT)
    }
  })

  it('describes every option and argument', () => {
    for (const { path, command } of commands) {
      for (const option of command.options) expect(option.description, path).not.toBe('')
      for (const argument of command.registeredArguments) {
        expect(argument.description, `${path} ${argument.name()}`).not.toBe('')
      }
    }
  })

  it('has examples whose options exist', () => {
    const globals = globalOptions()
    for (const { path, command } of commands) {
      for (const [line] of descriptionOf(command)?.examples ?? []) {
        const words = /akidb ([^|>]*)/.exec(line)?.[1]?.split(/\s+/) ?? []
        let target = program
        for (const word of words) {
          target = target.commands.find((sub) => sub.name() === word) ?? target
        }
        const known = [...target.options, ...globals, ...program.options]
        for (const word of words.filter((one) => /^--?[a-z][a-z-]*$/.test(one))) {
          const found = known.some(({ short, long }) => short === word || long === word)
          expect(found, `${path}: ${line}: ${word}`).toBe(true)
        }
      }
    }
  })

  it('is printed by --help and by help, on stdout, exit 0', async () => {
    const short = await run(['index', 'build', '--help'])
    const long = await run(['help', 'index', 'build'])
    expect(short).toMatchObject({ code: 0, stderr: '' })
    expect(long.stdout).toBe(short.stdout)
  })
})

describe('topics', () => {
  it('have texts of lines that fit, and mention no feature that is absent', async () => {
    for (const { name } of TOPICS) {
      const { stdout, code } = await run(['help', name])
      expect(code, name).toBe(0)
      expect(stdout, name).not.toMatch(ABSENT)
      for (const line of stdout.split('\n'))
        expect(line.length, `${name}: ${line}`).toBeLessThan(130)
    }
  })

  it('hold every exit code, error code and setting', async () => {
    const codes = (await run(['help', 'exit-codes'])).stdout
    for (const code of Object.keys(EXIT_CODES)) expect(codes).toContain(code)
    const config = (await run(['help', 'config'])).stdout
    for (const { name } of SETTINGS) expect(config).toContain(name)
    const options = (await run(['help', 'options'])).stdout
    for (const option of globalOptions()) expect(options).toContain(option.flags)
  })
})

describe('completion', () => {
  it('knows every command and option', () => {
    for (const shell of SHELLS) {
      const script = completionScript(shell, program)
      for (const { command } of commands.slice(1)) {
        expect(script, `${shell} ${command.name()}`).toContain(command.name())
        for (const { long } of command.options) expect(script).toContain(long?.slice(2) ?? '')
      }
    }
  })

  it('for bash is accepted by bash, and completes', () => {
    const script = completionScript('bash', program)
    expect(spawnSync('bash', ['-n'], { input: script }).status).toBe(0)
    const ask = (line: string): string => {
      const words = line.split(' ')
      const test = [
        script,
        `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
        `COMP_CWORD=${words.length - 1}`,
        '_akidb',
        `printf '%s\\n' "\${COMPREPLY[@]}"`,
      ].join('\n')
      return spawnSync('bash', ['-c', test], { encoding: 'utf8' }).stdout
    }
    expect(ask('akidb ser').trim()).toBe('serve')
    expect(ask('akidb snapshot ').split('\n')).toEqual(
      expect.arrayContaining(['create', 'list', 'drop']),
    )
    expect(ask('akidb index build --ef').trim()).toBe('--ef-construction')
    expect(ask('akidb search docs --expl').trim()).toBe('--explain')
  })

  it.each(SHELLS.filter((shell) => shell !== 'bash'))(
    'for %s parses, where that shell is here',
    (shell) => {
      const script = completionScript(shell, program)
      const args = shell === 'fish' ? ['--no-execute'] : ['-n']
      const checked = spawnSync(shell, args, { input: script })
      // Without that shell, only the quotes can be counted.
      if (checked.error !== undefined) expect((script.split("'").length - 1) % 2).toBe(0)
      else expect(checked.status).toBe(0)
    },
  )
})

describe('docs/cli.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/cli.md'), 'utf8')

  it('describes every command with its options', () => {
    for (const { path, command } of commands.slice(1)) {
      const at = text.indexOf(`### \`akidb ${path}\n`.replace('\n', '`\n'))
      const hasAction = command.commands.length === 0
      if (!hasAction) continue
      expect(at, `akidb ${path} is not in docs/cli.md`).toBeGreaterThanOrEqual(0)
      const section = text.slice(at, text.indexOf('\n### ', at + 1) >>> 0)
      for (const { long, flags } of command.options) {
        expect(section, `akidb ${path} ${flags}`).toContain(long ?? flags)
      }
    }
  })

  it('holds every global option and setting', () => {
    for (const { long } of globalOptions()) expect(text).toContain(`\`${long}`)
    for (const { name } of SETTINGS) expect(text).toContain(name)
  })

  it('names no command that does not exist', () => {
    const known = commands.map(({ path }) => path)
    for (const [, path] of text.matchAll(/^### `akidb ([^`]+)`$/gm)) expect(known).toContain(path)
  })
})
