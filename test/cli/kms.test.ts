import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/cli/load-engine.ts'
import type { KmsKeyStatus, KmsStatusResult, PushResult } from '../../src/index.ts'
import { describeTls } from '../support/certificates.ts'
import { kesScene } from '../support/kes-scene.ts'
import { fakeEngine } from './support/fake-engine.ts'
import { jsonLines, type RunOptions, run, temporaryFolder } from './support/run.ts'

const STATUS: KmsStatusResult = {
  endpoint: 'https://127.0.0.1:7373',
  identity: 'ab'.repeat(32),
  serverVersion: 'v1',
  latencyMs: 1.5,
  keys: [],
}
const works = (id: string): KmsKeyStatus => ({ id, works: true })
const fails = (id: string, code: 'AUTH' | 'NOT_FOUND' | 'INTEGRITY'): KmsKeyStatus => ({
  ...{ id, works: false, problem: { code, message: `${id}: why`, hint: 'do this' } },
})

const folder = temporaryFolder()
afterAll(() => folder.remove())

const fakeStatus = (status: Partial<KmsStatusResult> = {}) => {
  const kmsStatus = async () => ({ ...STATUS, ...status })
  return fakeEngine({ engine: { kmsStatus } })
}

describe('the key server of kms', () => {
  const asked = async (argv: readonly string[], options: RunOptions = {}) => {
    const { engine, last } = fakeStatus()
    const ran = await run(['kms', 'status', ...argv], { engine, cwd: folder.path, ...options })
    expect(ran.stderr).toBe('')
    return last('kmsStatus')
  }

  it('comes from flags', async () => {
    const files = ['--kes-ca', 'ca.crt', '--kes-client-cert', 'a.crt', '--kes-client-key', '/a.key']
    const flags = ['--kes-endpoint', 'https://kes:7373', ...files, '--offline']
    expect(await asked([...flags, 'a', 'b'])).toMatchObject({
      endpoint: 'https://kes:7373',
      caFile: join(folder.path, 'ca.crt'),
      clientCertFile: join(folder.path, 'a.crt'),
      clientKeyFile: '/a.key',
      offline: true,
      keys: ['a', 'b'],
    })
  })

  it('comes from the environment and configuration, or is left open', async () => {
    const home = join(folder.path, 'home')
    mkdirSync(join(home, '.config/akidb'), { recursive: true })
    const kes = { endpoint: 'https://file:1', ca: 'ca.crt', clientCert: '/c', clientKey: '/k' }
    writeFileSync(join(home, '.config/akidb/config.json'), JSON.stringify({ kes }))
    const env = { AKIDB_KES_ENDPOINT: 'https://environment:1', AKIDB_KES_CLIENT_KEY: '/e' }
    expect(await asked([], { home, env })).toMatchObject({
      endpoint: 'https://environment:1',
      caFile: join(home, '.config/akidb/ca.crt'),
      clientCertFile: '/c',
      clientKeyFile: '/e',
      offline: false,
    })
    const { signal: _, ...bare } = await asked([])
    expect(bare).toEqual({ offline: false, keys: [] })
  })

  it.each(['ca', 'clientCert', 'clientKey'])(
    'is not trusted by a project file: %s',
    async (key) => {
      const cwd = join(folder.path, `project-${key}`)
      mkdirSync(cwd)
      writeFileSync(join(cwd, 'akidb.config.json'), JSON.stringify({ kes: { [key]: 'x' } }))
      const uid = process.getuid?.() ?? 0
      const ran = await run(['kms', 'status'], { engine: fakeStatus().engine, cwd, uid })
      expect(ran.code).toBe(2)
      expect(ran.stderr).toContain(`may not set "kes.${key}"`)
    },
  )
})

describe('kms status', () => {
  const ranWith = (keys: readonly KmsKeyStatus[], more: Partial<KmsStatusResult> = {}) =>
    run(['kms', 'status'], { engine: fakeStatus({ keys, ...more }).engine })

  it('shows every key, and why one does not work', async () => {
    const ran = await ranWith([works('a'), fails('b', 'NOT_FOUND')], { uptimeMs: 90_000 })
    expect(ran.code).toBe(20)
    expect(ran.stdout).toMatch(/^up +1m30s$/m)
    expect(ran.stdout).toMatch(/^a +- +yes$/m)
    expect(ran.stdout).toMatch(/^b +- +no +NOT_FOUND$/m)
    expect(ran.stdout).not.toContain('key store')
    expect(ran.stderr).toContain('1 of 2 keys')
    expect(ran.stderr).toContain('do this')
    expect((await ranWith([])).stdout).toContain('no keys')
  })

  it('ends with the code of the one cause, 24 before 20', async () => {
    const codeOf = async (...keys: readonly KmsKeyStatus[]) => (await ranWith(keys)).code
    expect(await codeOf(works('a'))).toBe(0)
    expect(await codeOf(fails('a', 'NOT_FOUND'))).toBe(21)
    expect(await codeOf(fails('a', 'AUTH'), fails('b', 'AUTH'))).toBe(23)
    expect(await codeOf(fails('a', 'AUTH'), fails('b', 'NOT_FOUND'))).toBe(20)
    expect(await codeOf(works('a'), fails('b', 'AUTH'), fails('c', 'INTEGRITY'))).toBe(24)
  })

  it('says that it may not list keys, and how to ask for one', async () => {
    const ran = await ranWith([], { listingRefused: true })
    expect(ran.code).toBe(23)
    expect(ran.stdout).toContain('keys: the server refuses to list them')
    expect(ran.stderr).toContain('akidb kms status <key>')
  })

  it('warns of a key store that is lost, and notes keys that it did not try', async () => {
    const ran = await ranWith([works('a')], { keyStoreReachable: false, more: true })
    expect(ran.code).toBe(0)
    expect(ran.stdout).toMatch(/^key store +not reachable$/m)
    expect(ran.stderr).toContain('warning')
    expect(ran.stderr).toContain('more keys')
  })

  it('lets no name move the cursor', async () => {
    const ran = await ranWith([works('a\u001b[2J')])
    expect(ran.stdout).not.toContain('\u001b')
  })
})

describe('the key server of sealed stores', () => {
  const pushed: PushResult = {
    ...{ url: 's3://b/p', blobs: { present: 0, uploaded: 1 }, bytes: 9, legalHold: false },
    retention: { set: 0, extended: 0, kept: 0, until: null, mode: null },
    ...{ kmsKey: null, envelopeKey: 'k', manifests: [], seals: [], gibYears: 0, elapsedMs: 1 },
  }
  const kes = ['--kes-endpoint', 'https://kes:7373', '--kes-client-cert', '/c']

  it('goes to push with the key, and to pull', async () => {
    const pulled = { collections: [], blobs: { present: 0, copied: 0 }, bytes: 0, elapsedMs: 1 }
    const pull = async () => ({ ...pulled, url: 's3://b/p' })
    const { engine, last } = fakeEngine({ engine: { push: async () => pushed, pull } })
    const ran = await run(['push', 's3://b/p', '--envelope-key', 'k', ...kes], { engine })
    expect(ran.code, ran.stderr).toBe(0)
    expect(ran.stdout).toMatch(/^encrypted here, but for manifests, under k$/m)
    const access = { endpoint: 'https://kes:7373', clientCertFile: '/c', offline: false }
    expect(last('push')).toMatchObject({ envelopeKey: 'k', kes: access })
    await run(['pull', 's3://b/p', ...kes], { engine })
    expect(last('pull')).toMatchObject({ kes: access })
    await run(['pull', 's3://b/p'], { engine })
    expect(last('pull')).not.toHaveProperty('kes')
  })

  it('goes to what reads in place, from the environment', async () => {
    const { engine, last } = fakeEngine()
    const env = { AKIDB_KES_ENDPOINT: 'https://kes:7373' }
    await run(['--store', 's3://b/p', 'get', 'docs', 'a'], { engine, env })
    expect(last('openStore')).toMatchObject({ kes: { endpoint: 'https://kes:7373' } })
  })
})

describeTls('kms against a key server', () => {
  const { server, authority, clients } = kesScene({ site: ['/'] }, 'all tests')
  const { site } = clients
  const environment = () => ({
    AKIDB_KES_ENDPOINT: server.url,
    AKIDB_KES_CA: authority.certFile,
    AKIDB_KES_CLIENT_CERT: site.certFile,
    AKIDB_KES_CLIENT_KEY: site.keyFile,
  })
  const kms = async (...argv: readonly string[]) =>
    run(['kms', ...argv], { engine: await loadEngine(), env: environment() })

  it('makes a key, once, and finds that it works', async () => {
    const made = await kms('create-key', 'site-a', '--json')
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(jsonLines(made.stdout)).toEqual([
      { type: 'kms.create-key', version: 1, id: 'site-a', endpoint: server.url },
    ])
    const again = await kms('create-key', 'site-a')
    expect(again).toMatchObject({ code: 22, stdout: '' })
    expect(again.stderr).toContain('EXISTS')
    expect((await kms('create-key', 'site-b', '-q')).stdout).toBe('')
    const [status] = jsonLines((await kms('status', '--json')).stdout)
    expect(status).toMatchObject({
      ...{ type: 'kms.status', version: 1, endpoint: server.url, identity: site.identity },
      ...{ serverVersion: '2025-03-12T09-35-18Z', uptimeMs: 90_000 },
      keys: [
        { id: 'site-a', works: true },
        { id: 'site-b', works: true },
      ],
    })
  })

  it('tells what is wrong by exit codes', async () => {
    expect((await kms('status', 'site-a', '--offline')).code).toBe(0)
    expect((await kms('status', 'nobody')).code).toBe(21)
    expect((await kms('status', '--kes-ca', site.certFile)).code).toBe(23)
    expect((await kms('status', '--kes-endpoint', 'https://10.1.2.3', '--offline')).code).toBe(2)
    expect((await kms('create-key', 'not/one')).code).toBe(26)
    expect((await run(['kms', 'status'], { engine: await loadEngine() })).code).toBe(2)
    expect((await run(['kms', 'create-key'], { engine: await loadEngine() })).code).toBe(2)
  })

  it('has bundles encrypted, read and moved to another key', async () => {
    const cwd = join(folder.path, 'bundles')
    const at = (name: string): string => join(cwd, name)
    mkdirSync(cwd)
    writeFileSync(at('in.jsonl'), '{"id":"a","vector":[1,2]}\n{"id":"b","vector":[2,1]}\n')
    const bare = async (...argv: readonly string[]) =>
      run(argv, { engine: await loadEngine(), cwd, env: { AKIDB_NO_INPUT: '1' } })
    const named = async (...argv: readonly string[]) =>
      run(argv, { engine: await loadEngine(), cwd, env: environment() })
    for (const id of ['from', 'to']) await named('kms', 'create-key', id)
    const done = async (...argv: readonly string[]) => {
      const ran = await named(...argv)
      expect(ran, argv.join(' ')).toMatchObject({ code: 0 })
      return jsonLines(ran.stdout)[0] ?? {}
    }
    await done('--store', 'a', 'init', '--json')
    await done('--store', 'a', 'ingest', 'docs', at('in.jsonl'), '--json')
    const [docs, other] = [at('docs.akipkg'), at('moved.akipkg')]
    const out = ['-o', docs]
    const refused = await bare('--store', 'a', 'export', 'docs', ...out, '--kms-key', 'from')
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--kes-endpoint')])
    const made = await done('--store', 'a', 'export', 'docs', ...out, '--kms-key', 'from', '--json')
    expect(made).toMatchObject({ type: 'export', kmsKey: 'from' })
    for (const argv of [['bundle', 'inspect'], ['bundle', 'verify'], ['replay'], ['import']]) {
      const closed = await bare('--store', 'a', ...argv, docs)
      expect(closed.code, argv.join()).toBe(23)
      expect(closed.stderr).toContain('encrypted under the key "from"')
      expect(closed.stderr).toContain('--kes-endpoint')
    }
    const anew = ['kms', 'rewrap', docs, '--kms-key', 'to', '--json']
    const moved = await done('--store', 'a', ...anew, '-o', other)
    expect(moved).toMatchObject({ type: 'kms.rewrap', from: 'from', to: 'to' })
    expect(moved.bytes).toBe(Number(made.bytes) - 2)
    server.keys.delete('from')
    const verified = await done('--store', 'a', 'bundle', 'verify', other, '--json')
    expect(verified).toMatchObject({ ok: true, kmsKey: 'to' })
    const shown = await named('--store', 'a', 'bundle', 'inspect', other)
    expect(shown.stdout).toMatch(/^encrypted under +to$/m)
    expect(await done('--store', 'a', 'audit', 'verify', other, '--json')).toMatchObject({
      ok: true,
    })
    const [first] = jsonLines(
      (await named('--store', 'a', 'audit', 'log', '--act', 'kms.rewrap', '--json')).stdout,
    )
    expect(first).toMatchObject({ phase: 'intent', details: { from: 'from', to: 'to' } })
    expect((await named(...anew, '-o', other)).code).toBe(21)
    const sealed = await named('kms', 'rewrap', 's3://b/p', '--kms-key', 'to', '-o', 'x')
    expect([sealed.code, sealed.stderr]).toEqual([23, expect.stringContaining('keeps the key')])
  })
})
