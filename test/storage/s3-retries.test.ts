import { afterAll, beforeAll, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import { randomOf, seedOf } from '../search/random.ts'
import type { Fault } from '../support/fault-proxy.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import {
  accessTo,
  bodyOf,
  forward,
  gather,
  noPauses,
  openBucket,
  patternOf,
  startFakeServer,
} from '../support/s3.ts'

const MIB = 1024 * 1024
/** Goes in parts. */
const LARGE = limits.s3PutBytesMax + 1

describeMinio('requests to a bucket', () => {
  const scene = minioScene({ locked: ['locked'], plain: ['plain'] })
  const { server, proxy } = scene
  let direct: SealedStore
  let keys = 0
  beforeAll(async () => {
    direct = await openBucket('s3://locked/p', accessTo(server))
  })
  afterAll(async () => {
    await direct?.close()
  })

  const through = (more: Parameters<typeof accessTo>[1] = {}) =>
    openBucket('s3://locked/p', accessTo(scene.through, more))

  /** Everything that a store asks of its server, once. */
  const calls: Readonly<Record<string, (store: SealedStore, key: string) => Promise<unknown>>> = {
    put: (store, key) => store.put(key, Buffer.from('x')),
    seal: (store, key) => store.seal(key, bodyOf('x'), {}),
    'seal in parts': (store, key) => store.seal(key, bodyOf(patternOf(LARGE)), {}),
    get: (store, key) => store.get(key),
    'get a range': (store, key) => store.get(key, { offset: 0, bytes: 1 }),
    read: (store, key) => gather(store.read(key)),
    head: (store, key) => store.head(key),
    list: (store) => gather(store.list('')),
    versions: (store) => gather(store.versions('')),
    delete: (store, key) => store.delete(key),
    lockState: (store) => store.lockState(),
    nowMs: (store) => store.nowMs(),
  }

  it.each(Object.entries(calls))('are not repeated where they are refused: %s', async (_, call) => {
    const store = await through()
    for (const [status, code] of [
      [403, 'AccessDenied'],
      [400, 'InvalidRequest'],
      [404, 'NoSuchBucket'],
    ] as const) {
      proxy.requests.length = 0
      proxy.onRequest = () => ({ kind: 'status', status, code })
      const error = await call(store, 'k').catch((caught: unknown) => caught)
      // An answer to HEAD has no body, and says less.
      const isMute = proxy.requests[0]?.method === 'HEAD'
      const exitCode = { 403: 23, 400: isMute ? 25 : 26, 404: 21 }[status]
      if (!isMute || status !== 404) expect(error).toMatchObject({ exitCode })
      const asked = proxy.requests.map(({ method, path, query }) => `${method} ${path}?${query}`)
      expect(asked).toEqual([...new Set(asked)])
    }
    await store.close()
  })

  it.each(Object.entries(calls))('end when their time is up: %s', async (_, call) => {
    const store = await through({ retryForMs: 150 })
    proxy.requests.length = 0
    proxy.onRequest = () => ({ kind: 'cut-before' })
    const gone = { code: 'UNREACHABLE', exitCode: 25 }
    await expect(call(store, 'k')).rejects.toMatchObject(gone)
    expect(proxy.requests.length).toBeGreaterThan(1)
    proxy.onRequest = () => ({ kind: 'status', status: 503 })
    await expect(call(store, 'k')).rejects.toMatchObject(gone)
    await store.close()
  })

  it('end when the server stays silent', async () => {
    const store = await through({ retryForMs: 200, idleTimeoutMs: 60 })
    proxy.requests.length = 0
    proxy.onRequest = () => ({ kind: 'hang' })
    const silent = { code: 'TIMEOUT', exitCode: 25 }
    await expect(store.put('k', Buffer.from('x'))).rejects.toMatchObject(silent)
    await expect(store.head('k')).rejects.toMatchObject(silent)
    expect(proxy.requests.length).toBeGreaterThan(3)
    await store.close()
  })

  it('end when they are given up, in flight and between two tries', async () => {
    const store = await through()
    for (const kind of ['hang', 'cut-before'] as const) {
      const control = new AbortController()
      const reason = new Error(`given up: ${kind}`)
      let left = 3
      proxy.onRequest = () => {
        if (--left === 0) control.abort(reason)
        return left > 0 ? { kind: 'status', status: 503 } : { kind }
      }
      const putting = store.put(`given-up-${kind}`, Buffer.from('x'), { signal: control.signal })
      await expect(putting).rejects.toBe(reason)
    }
    expect(await gather(direct.versions('given-up'))).toEqual([])
    await store.close()
  })

  it('that were done, and answered by a failure, are known for our own', async () => {
    let lies = 0
    const liar = await startFakeServer(async (request, body) => {
      const said = await forward(server.port, request, body)
      const isChange = request.method === 'PUT' || request.url?.includes('?uploadId=') === true
      if (!isChange || said.status !== 200 || lies <= 0) return said
      lies--
      return { status: 500, body: '<Error><Code>InternalError</Code></Error>' }
    })
    const store = await openBucket('s3://locked/p', accessTo(server, { endpoint: liar.url }))
    const large = bodyOf(patternOf(LARGE))
    for (const body of [bodyOf('small'), large]) {
      const key = `lie-${keys++}`
      // Of an object in parts each of them, and the end.
      lies = body === large ? Math.ceil(LARGE / limits.s3PartBytes) + 1 : 1
      const versionId = await store.seal(key, body, {})
      expect(lies).toBe(0)
      expect(await gather(direct.versions(key))).toMatchObject([{ versionId, bytes: body.bytes }])
      lies = 1
      expect(await store.seal(key, body, {})).toBeUndefined()
    }
    await store.close()
    await liar.close()
  })

  it('outlive a server that is killed and started again', async () => {
    const store = await openBucket('s3://locked/p', accessTo(server, { retryForMs: 60_000 }))
    const made = new Map<string, string | undefined>()
    const seal = async (i: number) => {
      const key = `killed-${String(i).padStart(2, '0')}`
      made.set(key, await store.seal(key, bodyOf(patternOf(MIB + i)), { legalHold: i === 5 }))
    }
    for (let i = 0; i < 10; i++) await seal(i)
    const inFlight = [10, 11, 12, 13, 14, 15, 16, 17].map(seal)
    await server.kill()
    const meanwhile = [18, 19].map(seal)
    await server.restart()
    await Promise.all([...inFlight, ...meanwhile])
    for (let i = 20; i < 25; i++) await seal(i)
    const versions = await gather(store.versions('killed-'))
    expect(versions.map(({ key, versionId }) => [key, versionId])).toEqual([...made].sort())
    expect(versions.map(({ bytes }) => bytes)).toEqual(versions.map((_, i) => MIB + i))
    await store.close()
  })

  it('keep a store what a model of it is, at random faults', async () => {
    const seed = seedOf()
    const random = randomOf(seed)
    const faults: readonly Fault[] = [
      { kind: 'cut-before' },
      { kind: 'cut-after' },
      { kind: 'cut-body', bytes: 50 },
      { kind: 'status', status: 503 },
      { kind: 'status', status: 500 },
      { kind: 'delay', delayMs: 1 },
    ]
    const place = `s3://plain/${seed}`
    const store = await openBucket(place, accessTo(server, { endpoint: proxy.url }), noPauses)
    const model = new Map<string, string>()
    proxy.onRequest = () => (random.whole(1, 4) === 1 ? random.pick(faults) : undefined)
    for (let step = 0; step < 300; step++) {
      await changeBoth(store, model, {
        ...{ key: `k${random.whole(1, 8)}`, text: `${step}${'x'.repeat(random.whole(0, 3_000))}` },
        ...{ act: random.whole(0, 4), why: `seed ${seed}, step ${step}` },
      })
    }
    await store.close()
  })
})

/** Does the same to a store and to a model of it. */
async function changeBoth(
  store: SealedStore,
  model: Map<string, string>,
  { key, text, act, why }: { key: string; text: string; act: number; why: string },
): Promise<void> {
  const known = model.get(key)
  if (act === 0) {
    const made = await store.put(key, Buffer.from(text))
    expect(made, why).toBe(known === undefined ? 'created' : 'exists')
    if (known === undefined) model.set(key, text)
  } else if (act === 1) {
    await store.put(key, Buffer.from(text), { mode: 'replace' })
    model.set(key, text)
  } else if (act === 2) {
    expect(await store.delete(key), why).toBe(known !== undefined)
    model.delete(key)
  } else if (act === 3) {
    const found = await store.get(key).catch(({ code }) => code)
    const shown = typeof found === 'string' ? found : Buffer.from(found).toString()
    expect(shown, why).toBe(known ?? 'NOT_FOUND')
  } else {
    const listed = await gather(store.list(''))
    expect(
      listed.map((info) => info.key),
      why,
    ).toEqual([...model.keys()].sort())
  }
}
