import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import { Bucket } from '../../src/storage/s3/s3-bucket.ts'
import { S3Failure } from '../../src/storage/s3/s3-errors.ts'
import type { S3Request, S3Transport } from '../../src/storage/s3/s3-request.ts'
import { streamTo } from '../../src/storage/s3/s3-stream.ts'
import { createTransport } from '../../src/storage/s3/s3-transport.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
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

describe('a request that is tried again for long', () => {
  /** Time goes by where a call waits. */
  class WaitedClock implements Clock {
    ms = 0
    nowMs = () => this.ms
    sleep = async (ms: number) => {
      this.ms += ms
    }
  }

  const bucketOf = (send: S3Transport['send'], clock: Clock, told: string[]) => {
    const transport = { url: 'http://minio:9000', send, close: () => undefined }
    const onOutage = (message: string) => void told.push(message)
    const retryForMs = limits.s3RetryForMs
    return new Bucket({ transport, bucket: 'b', clock, retryForMs, random: () => 1, onOutage })
  }
  const bucketThat = (answers: () => boolean, clock: WaitedClock, told: string[]) => {
    const send = async () => {
      clock.ms += 10
      if (!answers()) throw new S3Failure(0, 'ECONNREFUSED', 'connect ECONNREFUSED')
      return Readable.from([]) as IncomingMessage
    }
    return bucketOf(send, clock, told)
  }
  const call = (bucket: Bucket) =>
    bucket.call({ method: 'GET', what: 'cannot read s3://b/k', read: async () => 'read' })

  it('is told of after ten seconds, once for all that fail beside each other', async () => {
    const [clock, told] = [new WaitedClock(), [] as string[]]
    const bucket = bucketThat(() => false, clock, told)
    const failures = await Promise.allSettled([call(bucket), call(bucket), call(bucket)])
    expect(failures.every(({ status }) => status === 'rejected')).toBe(true)
    expect(told).toHaveLength(1)
    const [message = ''] = told
    expect(message).toMatch(/^cannot read s3:\/\/b\/k at http:\/\/minio:9000: ECONNREFUSED/)
    const seconds = Number(/another (\d+) s$/.exec(message)?.[1])
    expect(seconds).toBeGreaterThan(90)
    expect(seconds).toBeLessThanOrEqual(110)
    // It goes on: what is asked for later is told of with it.
    await expect(call(bucket)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(told).toHaveLength(1)
  })

  it('is told of anew where the server came back while nobody waited for it', async () => {
    const [clock, told] = [new WaitedClock(), [] as string[]]
    let isUp = false
    const bucket = bucketThat(() => isUp, clock, told)
    for (const outages of [1, 2]) {
      isUp = false
      await expect(call(bucket)).rejects.toMatchObject({ code: 'UNREACHABLE' })
      expect(told).toHaveLength(outages)
      isUp = true
      expect(await call(bucket)).toBe('read')
    }
  })

  it('is not told of where it comes through sooner; a later outage is told of anew', async () => {
    const [clock, told] = [new WaitedClock(), [] as string[]]
    let upMs = limits.s3RetryNoteMs - 5_000
    const bucket = bucketThat(() => clock.ms >= upMs, clock, told)
    expect(await call(bucket)).toBe('read')
    expect(told).toEqual([])
    for (const outages of [1, 2]) {
      clock.ms += limits.s3RetryForMs
      upMs = clock.ms + 60_000
      expect(await call(bucket)).toBe('read')
      expect(told).toHaveLength(outages)
    }
    // A server that answers every other request makes no note of each.
    upMs = clock.ms + limits.s3RetryNoteMs + 10_000
    expect(await call(bucket)).toBe('read')
    expect(told).toHaveLength(2)
  })

  it('is told of while a server is silent, once, where little was sent', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const server = await startFakeServer(async () => {
      asked.resolve()
      await answered.promise
      return {}
    })
    const transport = await createTransport({ endpoint: server.url })
    try {
      const told: string[] = []
      const onOutage = (message: string) => void told.push(message)
      const options = { transport, bucket: 'b', clock: systemClock, retryForMs: 0 }
      const silent = call(new Bucket({ ...options, random: () => 1, onOutage }))
      await asked.promise
      vi.advanceTimersByTime(limits.s3RetryNoteMs - 1)
      expect(told).toEqual([])
      vi.advanceTimersByTime(limits.s3RetryNoteMs)
      expect(told).toEqual([
        `cannot read s3://b/k at ${server.url}: no answer for 10 s; it is waited for`,
      ])
      answered.resolve()
      expect(await silent).toBe('read')
    } finally {
      vi.useRealTimers()
      transport.close()
      await server.close()
    }
  })

  /** A stream of which each try brings so much and is cut then. */
  async function streamed(bytes: number, pieceBytes: number, tryMs: number) {
    const [clock, told] = [new WaitedClock(), [] as string[]]
    let tries = 0
    const send = async ({ headers = {} }: S3Request) => {
      tries++
      clock.ms += tryMs
      const from = Number(/=(\d+)-/.exec(headers.range ?? '')?.[1])
      const body = async function* () {
        yield Buffer.alloc(Math.min(pieceBytes, bytes - from))
        if (from + pieceBytes < bytes) throw new S3Failure(0, 'ECONNRESET', 'read ECONNRESET')
      }
      const said = { 'content-range': `bytes ${from}-${bytes - 1}/${bytes}` }
      const response = Object.assign(Readable.from(body()), { statusCode: 206, headers: said })
      return response as unknown as IncomingMessage
    }
    const at = { bucket: bucketOf(send, clock, told), key: 'k', what: 'cannot read s3://b/k' }
    let received = 0
    const take = ({ length }: Uint8Array): undefined => {
      received += length
    }
    const outcome = await streamTo(at, bytes, take).then(
      () => 'read',
      ({ code }) => code,
    )
    return { outcome, received, tries, told }
  }

  it('has all its time anew after a try that brought much, and is no outage then', async () => {
    // Eight minutes, of which no five seconds go by without 64 KiB.
    const bytes = 100 * 65_536
    const read = { outcome: 'read', received: bytes, tries: 100, told: [] }
    expect(await streamed(bytes, 65_536, 5_000)).toEqual(read)
  })

  it('ends in its time where no try brings much, however much they bring together', async () => {
    const { outcome, told } = await streamed(5_000_000, 65_535, 10)
    expect(outcome).toBe('UNREACHABLE')
    expect(told).toHaveLength(1)
  })
})

describe('a request of a command that is stopped', () => {
  const stopped = new Error('stopped')

  /** A server that answers to whoever still listens. */
  const bucketUntil = (signal: AbortSignal) => {
    const send = async ({ signal: own }: S3Request) => {
      own?.throwIfAborted()
      return Readable.from([]) as IncomingMessage
    }
    const transport = { url: 'http://minio:9000', send, close: () => undefined }
    return new Bucket({
      ...{ transport, bucket: 'b', clock: systemClock, random: () => 0, signal },
      retryForMs: limits.s3RetryForMs,
    })
  }
  const call = (bucket: Bucket, more: { tidies?: boolean; signal?: AbortSignal } = {}) =>
    bucket.call({ method: 'DELETE', what: 'cannot delete s3://b/k', read: async () => 0, ...more })

  it('ends, but for one that tidies up, which has two seconds more', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const command = new AbortController()
    const bucket = bucketUntil(command.signal)
    expect(await call(bucket)).toBe(0)
    command.abort(stopped)
    // One that is opened after that has them too.
    const buckets = [bucket, bucketUntil(command.signal)]
    for (const ms of [0, limits.s3TidyMs - 1]) {
      vi.advanceTimersByTime(ms)
      for (const one of buckets) {
        await expect(call(one)).rejects.toBe(stopped)
        expect(await call(one, { tidies: true })).toBe(0)
        const own = AbortSignal.abort(new Error('given up'))
        await expect(call(one, { tidies: true, signal: own })).rejects.toThrow('given up')
      }
    }
    vi.advanceTimersByTime(1)
    for (const one of buckets) await expect(call(one, { tidies: true })).rejects.toBe(stopped)
  })
})
