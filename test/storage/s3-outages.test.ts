import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import { Bucket } from '../../src/storage/s3/s3-bucket.ts'
import { S3Failure } from '../../src/storage/s3/s3-errors.ts'
import type { S3Request, S3Transport } from '../../src/storage/s3/s3-request.ts'
import { streamTo } from '../../src/storage/s3/s3-stream.ts'
import { createTransport } from '../../src/storage/s3/s3-transport.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { startFakeServer } from '../support/s3.ts'

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
