import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine } from '../../src/cli/engine.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { OpenOptions } from '../../src/index.ts'
import { fakeEngine } from './support/fake-engine.ts'
import { jsonLines, type RunOptions, run, temporaryFolder } from './support/run.ts'

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

const uid = process.getuid?.() ?? 1000
const write = (path: string, value: unknown): string => {
  const whole = join(folder.path, path)
  mkdirSync(join(whole, '..'), { recursive: true })
  writeFileSync(whole, typeof value === 'string' ? value : JSON.stringify(value))
  return whole
}
const places = (): RunOptions => ({
  cwd: join(folder.path, 'work'),
  home: join(folder.path, 'home'),
  systemConfig: join(folder.path, 'etc/config.json'),
  uid,
})

const show = async (argv: readonly string[], options: RunOptions) => {
  const ran = await run(['config', 'show', '--json', ...argv], options)
  const [document] = jsonLines(ran.stdout)
  const values = (document?.values ?? []) as { name: string; value: unknown; origin: string }[]
  return { ...ran, document, of: (name: string) => values.find((one) => one.name === name) }
}

describe('the order of values', () => {
  it('is flag, environment, project, user, system, default', async () => {
    const options = places()
    const expected: [string, string][] = [['default', '10s']]
    const check = async (argv: readonly string[], more: RunOptions = {}) => {
      const shown = await show(argv, { ...options, ...more })
      const [origin, value] = expected.at(-1) ?? []
      expect(shown.of('lockWait')).toEqual({ name: 'lockWait', value, origin })
    }
    mkdirSync(join(folder.path, 'work'))
    await check([])
    expected.push([write('etc/config.json', { lockWait: '1s' }), '1s'])
    await check([])
    expected.push([write('home/.config/akidb/config.json', { lockWait: '2s' }), '2s'])
    await check([])
    expected.push([write('work/akidb.config.json', { lockWait: '3s' }), '3s'])
    await check([])
    expected.push(['environment AKIDB_LOCK_WAIT', '4s'])
    await check([], { env: { AKIDB_LOCK_WAIT: '4s' } })
    expected.push(['flag --lock-wait', '5s'])
    await check(['--lock-wait', '5s'], { env: { AKIDB_LOCK_WAIT: '4s' } })
  })

  it.each(['--store', '--state', '--log-file', '--passphrase-file'])(
    'refuses %s with nothing, which is not the current folder',
    async (flag) => {
      const options = places()
      mkdirSync(join(folder.path, 'work'))
      const ran = await run(['config', 'show', flag, ''], options)
      expect(ran.code).toBe(2)
      expect(ran.stderr).toContain(flag)
      // In the environment it is as if it were not set.
      const shown = await show([], { ...options, env: { AKIDB_STORE: '' } })
      expect(shown.of('store')?.origin).toBe('default')
    },
  )

  it('takes the server of buckets from the variables of other tools, after our own', async () => {
    const found = async (argv: readonly string[], env: Record<string, string>, name: string) =>
      (await show(argv, { ...places(), env })).of(name)
    const AWS = {
      AWS_ENDPOINT_URL: 'http://third:1',
      AWS_REGION: 'north',
      AWS_CA_BUNDLE: '/ca.pem',
    }
    const both = { ...AWS, AWS_ENDPOINT_URL_S3: 'http://second:1' }
    const own = { ...both, AKIDB_S3_ENDPOINT: 'http://first:1' }
    const endpoint = async (env: Record<string, string>, ...argv: string[]) =>
      (await found(argv, env, 's3.endpoint'))?.value
    expect(await endpoint(AWS)).toBe('http://third:1')
    expect(await endpoint(both)).toBe('http://second:1')
    expect(await endpoint(own)).toBe('http://first:1')
    expect(await endpoint(own, '--s3-endpoint', 'http://flag:1')).toBe('http://flag:1')
    expect(await found([], AWS, 's3.region')).toMatchObject({
      value: 'north',
      origin: 'environment AWS_REGION',
    })
    expect(await found([], AWS, 's3.ca')).toMatchObject({ value: '/ca.pem' })
  })

  it('takes the file of --config instead of the project file, and resolves its paths', async () => {
    write('work/akidb.config.json', { store: 'here' })
    const given = write('other/given.json', { store: 'there', state: 'keys' })
    const shown = await show(['--config', given], places())
    expect(shown.of('store')).toMatchObject({
      value: join(folder.path, 'other/there'),
      origin: given,
    })
    expect(shown.of('state')).toMatchObject({ value: join(folder.path, 'other/keys') })
  })

  it('honours XDG_CONFIG_HOME and XDG_DATA_HOME', async () => {
    const path = write('xdg/akidb/config.json', { threads: 3 })
    const env = { XDG_CONFIG_HOME: join(folder.path, 'xdg'), XDG_DATA_HOME: '/data' }
    const shown = await show([], { ...places(), uid: 1000, env })
    expect(shown.of('threads')).toMatchObject({ value: 3, origin: path })
    expect(shown.of('store')).toMatchObject({ value: '/data/akidb', origin: 'default' })
  })

  it('finds ./akidb-data, and /var/lib/akidb for root', async () => {
    expect((await show([], { ...places(), uid: 0 })).of('store')?.value).toBe('/var/lib/akidb')
    mkdirSync(join(folder.path, 'work/akidb-data'), { recursive: true })
    const here = join(folder.path, 'work/akidb-data')
    expect((await show([], { ...places(), uid: 0 })).of('store')?.value).toBe(here)
  })

  it('reaches the commands', async () => {
    write('work/akidb.config.json', { maxRejects: '5%', index: { m: 32 }, onBadRow: 'stop' })
    const { engine, last } = fakeEngine({
      engine: {
        ingest: async () => {
          throw new Error('enough')
        },
      },
    })
    await run(['ingest', 'docs', 'a.csv'], { ...places(), engine })
    expect(last('ingest')).toMatchObject({ maxRejects: '5%', onBadRow: 'stop', index: { m: 32 } })
  })
})

describe('a bad configuration', () => {
  it.each([
    ['an unknown key', { stroe: 'x' }],
    ['an unknown key in a group', { index: { n: 1 } }],
    ['a wrong type', { threads: 'many' }],
    ['a wrong value', { lockWait: 'soon' }],
    ['a list', []],
    ['broken JSON', '{'],
  ])('is exit 2 for %s', async (_what, value) => {
    write('work/akidb.config.json', value)
    const ran = await run(['config', 'show'], places())
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect(ran.stderr).toContain('(CONFIG_INVALID, exit 2)')
    expect(ran.stderr).toContain('akidb.config.json')
  })

  it('is exit 2 in the environment too', async () => {
    const ran = await run(['config', 'show'], { ...places(), env: { AKIDB_THREADS: 'x' } })
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain('AKIDB_THREADS')
  })

  it('is exit 21 where the file of --config is absent', async () => {
    const ran = await run(['config', 'show', '--config', 'absent.json'], places())
    expect(ran.code).toBe(21)
  })

  it.each(['state', 'passphraseFile', 'passphraseCommand', 'key'])(
    'is a project file that sets %s',
    async (key) => {
      write('work/akidb.config.json', { [key]: 'x' })
      const ran = await run(['config', 'show'], places())
      expect(ran.code).toBe(2)
      expect(ran.stderr).toContain(`may not set "${key}"`)
    },
  )

  it('of another user is ignored with a warning', async () => {
    const path = write('work/akidb.config.json', { lockWait: '3s', bogus: 1 })
    const shown = await show([], { ...places(), uid: uid + 1 })
    expect(shown.code).toBe(0)
    expect(shown.of('lockWait')?.value).toBe('10s')
    const [warning] = jsonLines(shown.stderr)
    expect(warning).toMatchObject({ type: 'warning', version: 1, code: 'CONFIG_IGNORED' })
    expect(warning?.message).toContain(path)
  })
})

describe('secrets', () => {
  const passphraseOf = async (argv: readonly string[], options: RunOptions = {}) => {
    const { engine, last } = fakeEngine({
      engine: {
        generateKey: async () => ({ name: 'k', keyId: 'ab', kind: 'private', locked: true }),
      },
    })
    const ran = await run(['keys', 'generate', 'k', ...argv], { ...places(), engine, ...options })
    return { ...ran, passphrase: ran.code === 0 ? last('generateKey').passphrase : undefined }
  }

  it('are masked by config show', async () => {
    write('home/.config/akidb/config.json', { passphraseCommand: 'echo hunter2' })
    const text = await run(['config', 'show'], places())
    const json = await run(['config', 'show', '--json'], places())
    expect(text.stdout).toContain('passphraseCommand')
    expect(text.stdout + json.stdout).not.toContain('hunter2')
  })

  it('come from a file that nobody else can read', async () => {
    const path = write('pass.txt', 'correct horse\nsecond line\n')
    chmodSync(path, 0o644)
    const open = await passphraseOf(['--passphrase-file', path])
    expect(open.code).toBe(23)
    expect(open.stderr).toContain('chmod 600')
    chmodSync(path, 0o600)
    expect((await passphraseOf(['--passphrase-file', path])).passphrase).toBe('correct horse')
  })

  it('come from stdin', async () => {
    const ran = await passphraseOf(['--passphrase-file', '-'], { stdin: 'from stdin\n' })
    expect(ran.passphrase).toBe('from stdin')
  })

  it('come from a command, whose failure shows nothing of it', async () => {
    const env = { AKIDB_PASSPHRASE_COMMAND: 'echo from command' }
    expect((await passphraseOf([], { env })).passphrase).toBe('from command')
    const failed = await passphraseOf(['-v'], {
      env: { AKIDB_PASSPHRASE_COMMAND: 'echo hunter2; exit 3' },
    })
    expect(failed.code).toBe(23)
    expect(failed.stderr).not.toContain('hunter2')
  })

  it('that are empty, absent or too long are refused', async () => {
    expect((await passphraseOf(['--passphrase-file', '-'], { stdin: '\n' })).code).toBe(23)
    expect((await passphraseOf(['--passphrase-file', '/nowhere/x'])).code).toBe(21)
    expect((await passphraseOf(['--passphrase-file', '-'], { stdin: 'x'.repeat(5000) })).code).toBe(
      27,
    )
  })

  it('of a locked key without a terminal are exit 23', async () => {
    const { engine } = fakeEngine({
      engine: {
        exportBundle: async ({ passphrase }) => {
          await passphrase({ keyName: 'default', purpose: 'unlock' })
          throw new Error('not reached')
        },
      },
    })
    const ran = await run(['export', 'docs', '-o', 'x.akipkg'], { ...places(), engine })
    expect(ran.code).toBe(23)
    expect(ran.stderr).toContain('--passphrase-file')
  })
})

describe('how long a bucket is tried again', () => {
  it.each([
    ['gc', {}, 120_000],
    ['status', {}, 10_000],
    ['status', { AKIDB_RETRY_FOR: '3m' }, 180_000],
    ['doctor', {}, 10_000],
  ])('by %s with %j', async (command, env, retryForMs) => {
    const asked: unknown[] = []
    const look = async ({ s3 }: Pick<OpenOptions, 's3'>) => {
      asked.push(s3?.retryForMs)
      throw new AkidbError('NOT_FOUND', 'no store')
    }
    const doctor = look as Engine['doctor']
    const { engine } = fakeEngine({ engine: { openStore: look as Engine['openStore'], doctor } })
    const ran = await run([command, '--store', 's3://b/p'], { engine, env })
    expect(ran.code).toBe(21)
    expect(asked).toEqual([retryForMs])
  })
})
