import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { AkidbError } from '../../src/errors/errors.ts'
import type { KesClient, KesClientOptions } from '../../src/storage/kes/kes-client.ts'
import { openKesClient } from '../../src/storage/kes/kes-client.ts'
import { systemRandom } from '../../src/storage/system-random.ts'
import { type CertificateFiles, describeTls, makeAuthority } from '../support/certificates.ts'
import { kesScene } from '../support/kes-scene.ts'
import { type KesFault, startKesServer } from '../support/kes-server.ts'

const { server, authority, clients } = kesScene({ site: ['/'], stranger: [] }, 'each test')
const { site, stranger } = clients
let client: KesClient
const open: KesClient[] = []

/** Pauses cost no time. */
const quickClock = () => {
  let nowMs = 0
  return {
    nowMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms
    },
  }
}

const optionsOf = (who: CertificateFiles, more: Partial<KesClientOptions> = {}) => ({
  endpoint: server.url,
  caFile: authority.certFile,
  clientCertFile: who.certFile,
  clientKeyFile: who.keyFile,
  timeoutMs: 5_000,
  clock: quickClock(),
  random: systemRandom,
  ...more,
})

async function clientOf(
  who: CertificateFiles = site,
  more: Partial<KesClientOptions> = {},
): Promise<KesClient> {
  const opened = await openKesClient(optionsOf(who, more))
  open.push(opened)
  return opened
}

const failing = async (work: Promise<unknown>): Promise<AkidbError> =>
  (await work.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error,
  )) as AkidbError

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const CONTEXT = bytesOf('collection docs')
const countOf = (path: string): number => server.seen.filter((one) => one.path === path).length

beforeEach(async () => {
  client = await clientOf()
})
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

describeTls('a KES client', () => {
  it('tells version, status and its own identity', async () => {
    expect(client.identity).toBe(site.identity)
    expect(client.url).toBe(server.url)
    expect(await client.version()).toBe('2025-03-12T09-35-18Z')
    expect(await client.status()).toEqual({
      ...{ version: '2025-03-12T09-35-18Z', uptimeMs: 90_000 },
      ...{ keyStoreReachable: true, keyStoreLatencyMs: 1 },
    })
  })

  it('makes, describes and lists keys', async () => {
    expect(await client.listKeys()).toEqual({ ids: [] })
    await client.createKey('site-b')
    await client.createKey('site-a')
    expect(await client.listKeys()).toEqual({ ids: ['site-a', 'site-b'] })
    const createdAt = '2026-01-02T03:04:05.678Z'
    expect(await client.describeKey('site-a')).toEqual({
      ...{ id: 'site-a', createdAt, algorithm: 'AES256' },
    })
  })

  it('opens data keys that it had sealed', async () => {
    await client.createKey('a')
    const { plaintext, ciphertext } = await client.generateDataKey('a', CONTEXT)
    expect(plaintext).toHaveLength(32)
    expect(await client.decryptDataKey('a', { ciphertext, context: CONTEXT })).toEqual(plaintext)
    const other = await client.generateDataKey('a', CONTEXT)
    expect(other.plaintext).not.toEqual(plaintext)
  })

  it('is told of keys that are there already, and of those that are not', async () => {
    await client.createKey('a')
    const context = CONTEXT
    expect(await failing(client.createKey('a'))).toMatchObject({ code: 'EXISTS' })
    for (const work of [
      () => client.describeKey('no'),
      () => client.generateDataKey('no', context),
      () => client.decryptDataKey('no', { ciphertext: CONTEXT, context }),
    ]) {
      const failure = await failing(work())
      expect(failure).toMatchObject({ code: 'NOT_FOUND' })
      expect(failure.message).toContain('"no"')
      expect(failure.hint).toContain('kms create-key')
    }
  })

  it('gets nothing for another context, another key, or one changed bit', async () => {
    await client.createKey('a')
    await client.createKey('b')
    const { ciphertext } = await client.generateDataKey('a', CONTEXT)
    const refused = (id: string, bytes: Uint8Array, context: Uint8Array) =>
      failing(client.decryptDataKey(id, { ciphertext: bytes, context }))
    expect(await refused('a', ciphertext, bytesOf('collection dogs'))).toMatchObject({
      code: 'INTEGRITY',
    })
    expect(await refused('a', ciphertext, bytesOf(''))).toMatchObject({ code: 'INTEGRITY' })
    expect(await refused('b', ciphertext, CONTEXT)).toMatchObject({ code: 'INTEGRITY' })
    expect(await refused('a', ciphertext.subarray(1), CONTEXT)).toMatchObject({ code: 'INTEGRITY' })
    for (let i = 0; i < ciphertext.length; i += 7) {
      const changed = Uint8Array.from(ciphertext)
      changed[i] = (changed[i] ?? 0) ^ 1
      expect(await refused('a', changed, CONTEXT), `byte ${i}`).toMatchObject({ code: 'INTEGRITY' })
    }
  })

  it('asks for no names that do not fit into a path, nor sends too much', async () => {
    for (const id of ['', '..', '.a', 'a/b', 'a b', 'a?b', '-a', 'ä', 'x'.repeat(129)]) {
      expect(await failing(client.describeKey(id)), id).toMatchObject({ code: 'BAD_INPUT' })
      expect(await failing(client.createKey(id)), id).toMatchObject({ code: 'BAD_INPUT' })
    }
    const long = new Uint8Array(limits.kesSealedBytesMax + 1)
    const failure = await failing(client.generateDataKey('a', long))
    expect(failure).toMatchObject({ code: 'LIMIT', details: { limit: 'kesSealedBytesMax' } })
    expect(server.seen).toEqual([])
    // What only the server refuses.
    expect(await failing(client.createKey('a.b'))).toMatchObject({ code: 'BAD_INPUT' })
  })

  it('uses one connection for one request after another, and few at once', async () => {
    await client.createKey('a')
    for (let i = 0; i < 5; i++) await client.generateDataKey('a', CONTEXT)
    expect(server.connections).toBe(1)
    await Promise.all(Array.from({ length: 40 }, () => client.generateDataKey('a', CONTEXT)))
    expect(server.connections).toBeLessThanOrEqual(limits.kesRequestsMax)
  })

  it('is not let in with an identity that no policy names', async () => {
    const unknown = await clientOf(stranger)
    expect(await unknown.version()).toContain('2025')
    for (const work of [unknown.status(), unknown.createKey('a'), unknown.listKeys()]) {
      const failure = await failing(work)
      expect(failure).toMatchObject({ code: 'AUTH', details: { status: 403 } })
      expect(failure.hint).toContain(stranger.identity)
    }
    expect(server.keys.size).toBe(0)
  })
})

describeTls('the TLS of a KES client', () => {
  it('refuses a server of another authority, naming --kes-ca', async () => {
    const other = makeAuthority()
    try {
      const failure = await failing((await clientOf(site, { caFile: other.certFile })).version())
      expect(failure).toMatchObject({ code: 'AUTH' })
      expect(failure.hint).toContain('--kes-ca')
    } finally {
      other.remove()
    }
    const { caFile: _, ...systemOnly } = optionsOf(site)
    const distrusting = await openKesClient(systemOnly)
    open.push(distrusting)
    expect(await failing(distrusting.version())).toMatchObject({ code: 'AUTH' })
    expect(server.seen).toEqual([])
  })

  it('refuses a server of another name', async () => {
    const endpoint = `https://localhost:${server.port}`
    const failure = await failing((await clientOf(site, { endpoint })).version())
    expect(failure).toMatchObject({ code: 'AUTH' })
    expect(failure.message).toContain('ALTNAME')
  })

  it('is told where the server refuses our certificate', async () => {
    const other = makeAuthority()
    const strict = await startKesServer({
      server: authority.issue('strict', 'IP:127.0.0.1'),
      policies: {},
      clientAuthority: other.certFile,
    })
    try {
      const refused = await clientOf(site, { endpoint: strict.url })
      const failure = await failing(refused.version())
      // The server may close the connection before its alert is read.
      expect(['AUTH', 'UNREACHABLE']).toContain(failure.code)
      if (failure.code === 'AUTH') expect(failure.hint).toContain('--kes-client-cert')
      expect(strict.seen).toEqual([])
    } finally {
      await strict.close()
      other.remove()
    }
  })

  it('wants an address, a certificate, and its key', async () => {
    const codeOf = async (more: object, drop: readonly string[] = []) => {
      const options = Object.entries({ ...optionsOf(site), ...more })
      const kept = Object.fromEntries(options.filter(([name]) => !drop.includes(name)))
      return (await failing(openKesClient(kept as unknown as KesClientOptions))).code
    }
    expect(await codeOf({}, ['endpoint'])).toBe('USAGE')
    for (const endpoint of ['', 'x', 'http://127.0.0.1:1', 'https://a/b', 'ftp://a', 'a:1']) {
      expect(await codeOf({ endpoint }), endpoint).toBe('USAGE')
    }
    expect(await codeOf({}, ['clientKeyFile'])).toBe('USAGE')
    expect(await codeOf({}, ['clientCertFile', 'clientKeyFile'])).toBe('USAGE')
    expect(await codeOf({ endpoint: 'https://10.1.2.3:7373', offline: true })).toBe('USAGE')
    expect(await codeOf({ clientKeyFile: stranger.keyFile })).toBe('BAD_INPUT')
    expect(await codeOf({ caFile: '/nowhere/ca.crt' })).toBe('NOT_FOUND')
    const [bad, open] = [`${site.keyFile}.bad`, `${site.keyFile}.open`]
    writeFileSync(bad, 'no PEM', { mode: 0o600 })
    copyFileSync(site.keyFile, open)
    chmodSync(open, 0o640)
    for (const name of ['caFile', 'clientCertFile', 'clientKeyFile']) {
      expect(await codeOf({ [name]: bad }), name).toBe('BAD_INPUT')
    }
    expect(await codeOf({ clientKeyFile: open })).toBe('AUTH')
    expect((await clientOf(site, { offline: true })).url).toBe(server.url)
  })
})

describeTls('a KES client of a server in trouble', () => {
  const answer = (body: string, more: object = {}): KesFault => ({ kind: 'answer', body, ...more })
  const message = (status: number): KesFault => answer('{"message":"no"}', { status })

  it('tries again after passing failures, each of another kind', async () => {
    server.keys.set('a', Buffer.alloc(32))
    const faults: (KesFault | undefined)[] = [
      message(503),
      { kind: 'cut' },
      message(429),
      { kind: 'cut-after' },
      answer('', { status: 502, type: 'text/html' }),
      message(504),
    ]
    server.onRequest = ({ number }) => faults[number - 1]
    expect((await client.generateDataKey('a', CONTEXT)).plaintext).toHaveLength(32)
    expect(server.seen).toHaveLength(faults.length + 1)
  })

  it('gives up in the end, and soon where nothing else can come of it', async () => {
    server.onRequest = () => message(503)
    const failure = await failing(client.status())
    expect(failure).toMatchObject({ code: 'UNREACHABLE', details: { status: 503 } })
    expect(server.seen.length).toBeGreaterThan(3)
    expect(server.seen.length).toBeLessThanOrEqual(limits.kesTriesMax)
    server.onRequest = () => ({ kind: 'cut' })
    expect(await failing(client.status())).toMatchObject({ code: 'UNREACHABLE' })
    const before = server.seen.length
    server.onRequest = () => message(501)
    expect(await failing(client.status())).toMatchObject({ code: 'UNREACHABLE' })
    expect(server.seen.length).toBe(before + 1)
  })

  it('asks for a new key once, and says that it may be there', async () => {
    const cuts: KesFault[] = [{ kind: 'cut' }, { kind: 'silent' }, { kind: 'cut-after' }]
    const faults = [...cuts, message(503), message(502)]
    const hasty = await clientOf(site, { timeoutMs: 300 })
    for (const [i, fault] of faults.entries()) {
      server.onRequest = () => fault
      const failure = await failing(hasty.createKey(`k${i}`))
      expect(['UNREACHABLE', 'TIMEOUT']).toContain(failure.code)
      expect(failure.hint).toContain(`akidb kms status k${i}`)
      expect(countOf(`/v1/key/create/k${i}`)).toBe(1)
    }
    expect([...server.keys.keys()]).toEqual(['k2'])
  })

  it('does not wait for a silent server, nor for one that drips', async () => {
    const hasty = await clientOf(site, { timeoutMs: 300, retryForMs: 0 })
    for (const kind of ['silent', 'drip'] as const) {
      server.onRequest = () => ({ kind })
      const failure = await failing(hasty.version())
      expect(failure, kind).toMatchObject({ code: 'TIMEOUT' })
      expect(failure.message).toContain('300 ms')
    }
    expect(server.seen).toHaveLength(2)
  })

  it('is told where nobody listens', async () => {
    const gone = await startKesServer({ server: site, policies: {} })
    const endpoint = gone.url
    await gone.close()
    const failure = await failing((await clientOf(site, { endpoint })).createKey('a'))
    expect(failure).toMatchObject({ code: 'UNREACHABLE', details: { system: 'ECONNREFUSED' } })
    expect(failure.hint).toContain('--kes-endpoint')
  })

  it('stops when it is told to, asking and waiting', async () => {
    const controller = new AbortController()
    server.onRequest = () => {
      controller.abort(new Error('enough'))
      return { kind: 'silent' }
    }
    expect((await failing(client.version(controller.signal))).message).toBe('enough')
    expect((await failing(client.version(controller.signal))).message).toBe('enough')
    expect(server.seen).toHaveLength(1)
  })

  it('reads no answer without an end', async () => {
    server.onRequest = () => answer(`{"version":"${'x'.repeat(limits.kesAnswerBytesMax)}"}`)
    const failure = await failing(client.version())
    expect(failure).toMatchObject({ code: 'LIMIT' })
    expect(failure.hint).toContain('kesAnswerBytesMax')
    expect(server.seen).toHaveLength(1)
  })

  it('believes no answer of another form, and asks no second time', async () => {
    for (const body of ['hello', '{"version":7}', '']) {
      server.onRequest = () => answer(body)
      const before = server.seen.length
      const failure = await failing(client.version())
      expect(failure).toMatchObject({ code: 'UNREACHABLE' })
      expect(failure.hint).toContain('KES server')
      expect(server.seen.length).toBe(before + 1)
    }
  })

  it('takes pages by where they begin, and the words of older servers', async () => {
    server.onRequest = () => answer('{"names":["a"],"continue_at":"b"}')
    expect(await client.listKeys('a b')).toEqual({ ids: ['a'], continueAt: 'b' })
    expect(server.seen[0]?.path).toBe('/v1/key/list/a%20b')
    server.onRequest = () => answer('{"error":"key does already exist"}', { status: 400 })
    expect(await failing(client.createKey('a'))).toMatchObject({ code: 'EXISTS' })
  })

  it('takes what is no KES server for none', async () => {
    const page = { status: 404, type: 'text/plain; charset=utf-8' }
    server.onRequest = () => answer('404 page not found\n', page)
    const failure = await failing(client.describeKey('a'))
    expect(failure).toMatchObject({ code: 'UNREACHABLE', details: { status: 404 } })
    expect(failure.hint).toContain('KES server')
    server.onRequest = () => answer('', { status: 302 })
    expect(await failing(client.version())).toMatchObject({ code: 'UNREACHABLE' })
  })
})
