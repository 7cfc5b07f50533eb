import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { kmsCreateKey, kmsStatus } from '../../src/index.ts'
import { describeTls } from '../support/certificates.ts'
import { kesScene } from '../support/kes-scene.ts'

describeTls('kmsStatus', () => {
  const { server, clients, accessOf } = kesScene(
    { admin: ['/'], user: ['/v1/key/generate/', '/v1/key/decrypt/app'] },
    'each test',
  )
  const { admin, user } = clients

  it('tells the state of the server, and of all its keys', async () => {
    const access = accessOf(admin)
    expect((await kmsStatus(access)).keys).toEqual([])
    expect(await kmsCreateKey({ ...access, id: 'a' })).toEqual({ id: 'a', endpoint: server.url })
    await kmsCreateKey({ ...access, id: 'b' })
    const found = await kmsStatus(access)
    const createdAt = '2026-01-02T03:04:05.678Z'
    expect(found).toEqual({
      endpoint: server.url,
      identity: admin.identity,
      serverVersion: '2025-03-12T09-35-18Z',
      latencyMs: found.latencyMs,
      uptimeMs: 90_000,
      keyStoreReachable: true,
      keyStoreLatencyMs: 1,
      keys: ['a', 'b'].map((id) => ({ id, createdAt, works: true })),
    })
    expect(found.latencyMs).toBeGreaterThanOrEqual(0)
  })

  it('keeps the order of the keys that were named, and tries each once', async () => {
    await kmsCreateKey({ ...accessOf(admin), id: 'a' })
    const { keys } = await kmsStatus({ ...accessOf(admin), keys: ['no', 'a', 'no', '../x'] })
    expect(keys.map(({ id, works, problem }) => [id, works, problem?.code])).toEqual([
      ['no', false, 'NOT_FOUND'],
      ['a', true, undefined],
      ['../x', false, 'BAD_INPUT'],
    ])
  })

  it('tells which keys work where the policy hides all else', async () => {
    for (const id of ['app', 'other']) await kmsCreateKey({ ...accessOf(admin), id })
    const { keys, ...rest } = await kmsStatus({ ...accessOf(user), keys: ['app', 'other', 'no'] })
    const { endpoint, identity, serverVersion, latencyMs, ...hidden } = rest
    expect([endpoint, identity]).toEqual([server.url, user.identity])
    expect(serverVersion).toContain('2025')
    expect(latencyMs).toBeDefined()
    expect(hidden).toEqual({})
    expect(keys[0]).toEqual({ id: 'app', works: true })
    expect(keys[1]).toMatchObject({ id: 'other', works: false, problem: { code: 'AUTH' } })
    expect(keys[2]).toMatchObject({ id: 'no', works: false, problem: { code: 'NOT_FOUND' } })
    const listed = await kmsStatus(accessOf(user))
    expect(listed).toMatchObject({ identity: user.identity, keys: [], listingRefused: true })
  })

  it('notices a key that opens to other bytes', async () => {
    await kmsCreateKey({ ...accessOf(admin), id: 'a' })
    const body = JSON.stringify({ plaintext: Buffer.alloc(32).toString('base64') })
    server.onRequest = ({ path }) =>
      path.startsWith('/v1/key/decrypt/') ? { kind: 'answer', body } : undefined
    const { keys } = await kmsStatus(accessOf(admin))
    expect(keys[0]).toMatchObject({ works: false, problem: { code: 'INTEGRITY' } })
  })

  it('goes on after a key that only the server fails at, and stops where it is lost', async () => {
    for (const id of ['a', 'b']) await kmsCreateKey({ ...accessOf(admin), id })
    const lost = (body: string) => ({ kind: 'answer', status: 502, body }) as const
    server.onRequest = ({ path }) =>
      path.endsWith('generate/a') ? lost('{"message":"failed to read key"}') : undefined
    const { keys } = await kmsStatus(accessOf(admin))
    expect(keys.map(({ works }) => works)).toEqual([false, true])
    expect(keys[0]?.problem).toMatchObject({ code: 'UNREACHABLE' })
    expect(keys[0]?.createdAt).toBeDefined()
    server.onRequest = ({ path }) => (path.endsWith('generate/a') ? { kind: 'cut' } : undefined)
    await expect(kmsStatus(accessOf(admin))).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  it('tries so many keys and no more', async () => {
    const max = limits.kesStatusKeysMax
    const ids = Array.from({ length: max }, (_, i) => `k${1_000 + i}`)
    for (const id of ids) server.keys.set(id, Buffer.alloc(32))
    const all = await kmsStatus(accessOf(admin))
    expect(all.keys.map(({ id }) => id)).toEqual(ids)
    expect(all).not.toHaveProperty('more')
    server.keys.set('l', Buffer.alloc(32))
    const some = await kmsStatus(accessOf(admin))
    expect([some.keys.length, some.more]).toEqual([max, true])
    expect((await kmsStatus({ ...accessOf(admin), keys: ids })).keys).toHaveLength(max)
    const failure = kmsStatus({ ...accessOf(admin), keys: [...ids, 'l'] })
    await expect(failure).rejects.toMatchObject({
      ...{ code: 'LIMIT', details: { limit: 'kesStatusKeysMax' } },
    })
  })
})
