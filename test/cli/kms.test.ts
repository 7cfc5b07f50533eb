import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/cli/load-engine.ts'
import type { KmsKeyStatus, KmsStatusResult } from '../../src/index.ts'
import {
  type Authority,
  type CertificateFiles,
  describeTls,
  makeAuthority,
} from '../support/certificates.ts'
import { type KesServer, startKesServer } from '../support/kes-server.ts'
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

describeTls('kms against a key server', () => {
  let authority: Authority
  let site: CertificateFiles
  let server: KesServer
  beforeAll(async () => {
    authority = makeAuthority()
    site = authority.issue('site')
    const certificate = authority.issue('server', 'IP:127.0.0.1')
    server = await startKesServer({ server: certificate, policies: { [site.identity]: ['/'] } })
  })
  afterAll(async () => {
    await server.close()
    authority.remove()
  })
  const kms = async (...argv: readonly string[]) => {
    const env = {
      AKIDB_KES_ENDPOINT: server.url,
      AKIDB_KES_CA: authority.certFile,
      AKIDB_KES_CLIENT_CERT: site.certFile,
      AKIDB_KES_CLIENT_KEY: site.keyFile,
    }
    return await run(['kms', ...argv], { engine: await loadEngine(), env })
  }

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
})
