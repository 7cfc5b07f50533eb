import { createServer, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { BucketEvents } from '../../src/storage/events/bucket-events.ts'
import { openS3Events } from '../../src/storage/s3/s3-events.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { NewsReader } from '../support/bucket-news.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, listening, noPauses } from '../support/s3.ts'

/** Pauses that end at once, and are kept. */
const pauses: number[] = []
const clock = {
  nowMs: () => systemClock.nowMs(),
  sleep: async (ms: number, signal?: AbortSignal) => {
    pauses.push(ms)
    signal?.throwIfAborted()
    // Turns of the event loop, so that nothing else waits for a loop of these.
    await systemClock.sleep(1, signal)
  },
}
const parts = { clock, random: noPauses, pingMs: 1_000 }
const readers: NewsReader[] = []
const follow = (events: BucketEvents): NewsReader => {
  const reader = new NewsReader(events)
  readers.push(reader)
  return reader
}

beforeEach(() => void pauses.splice(0))
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader.stop()
})

describeMinio('events of a bucket, from MinIO', () => {
  const { server } = minioScene({ locked: ['locked'], plain: ['other'] })

  const put = (bucket: string, key: string) =>
    server.client.putObject(bucket, key, Buffer.from('x'))

  /**
   * Waits for something that MinIO says. Its builds since October 2025 send what they say only when
   * some KiB of it have gathered, so there are events of objects with long descriptions until then.
   */
  async function pushed<T>(bucket: string, prefix: string, said: Promise<T>): Promise<T> {
    let isSaid = false
    const heard = said.finally(() => {
      isSaid = true
    })
    heard.catch(() => undefined)
    const described = { 'x-amz-meta-a': 'a'.repeat(1_900) }
    for (let n = 0; !isSaid; n++) {
      const key = `${prefix}pad/${n % 10}`
      await server.client.putObject(bucket, key, Buffer.from('x'), 1, described)
    }
    return await heard
  }

  /** The next events but those that push the others. */
  async function keysOf(reader: NewsReader, count: number): Promise<string[]> {
    const keys: string[] = []
    while (keys.length < count) {
      keys.push(...(await reader.keys(1)).filter((key) => !/pad.\d/.test(key)))
    }
    return keys
  }

  it('are those of the store alone, and of what is asked for', async () => {
    const below = 'collections/'
    const events = await openS3Events('s3://locked/a+b/c', { ...accessTo(server), ...parts, below })
    const reader = follow(events)
    await pushed('locked', 'a+b/c/collections/', reader.next('connected'))
    await put('locked', 'a+b/c/blobs/0/aa/x')
    await put('locked', 'a+b/cc/collections/docs/manifests/0.json')
    await put('locked', 'a b/c/collections/docs/manifests/0.json')
    await put('other', 'a+b/c/collections/docs/manifests/0.json')
    await put('locked', 'a+b/c/collections/docs/manifests/1.json')
    await server.client.removeObject('locked', 'a+b/c/collections/docs/manifests/1.json')
    await put('locked', 'a+b/c/collections/@=._-/x')
    expect(await pushed('locked', 'a+b/c/collections/', keysOf(reader, 3))).toEqual([
      'created collections/docs/manifests/1.json',
      'removed collections/docs/manifests/1.json',
      'created collections/@=._-/x',
    ])
    expect(reader.heard.map(({ type }) => type)).not.toContain('gap')
  })

  it('come again after the server was killed, and the gap is told', async () => {
    const events = await openS3Events('s3://other', { ...accessTo(server), ...parts })
    const reader = follow(events)
    await pushed('other', '', reader.next('connected'))
    await put('other', 'first')
    expect(await pushed('other', '', keysOf(reader, 1))).toEqual(['created first'])
    await server.kill()
    expect((await reader.next('lost')).error.code).toBe('UNREACHABLE')
    await server.restart()
    await pushed('other', '', reader.next('connected'))
    await put('other', 'second')
    expect(await pushed('other', '', keysOf(reader, 1))).toEqual(['created second'])
    await reader.stop()
    expect(reader.heard.at(-1)?.type).toBe('events')
  })

  it('are refused to those who may not list them, and for a bucket that is not there', async () => {
    const wrong = { ...accessTo(server), ...parts, secretKey: 'wrong-secret' }
    const refused = await follow(await openS3Events('s3://other', wrong)).next('refused')
    expect(refused.error).toMatchObject({ code: 'AUTH' })
    const absent = await openS3Events('s3://nowhere', { ...accessTo(server), ...parts })
    expect((await follow(absent).next('refused')).error).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('end while nobody says anything, at once', async () => {
    const events = await openS3Events('s3://other', { ...accessTo(server), ...parts })
    const connecting = follow(events)
    await connecting.stop()
    expect(connecting.heard).toEqual([])
    const connected = follow(events)
    await pushed('other', '', connected.next('connected'))
    await connected.stop()
    expect(connected.heard[0]).toEqual({ type: 'connected' })
  })
})

describe('a source of events that is none, or a bad one', () => {
  const servers: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const reader of readers.splice(0)) await reader.stop()
    for (const server of servers.splice(0)) await server.close()
  })

  /** Events of a server that answers as told; `n` counts its connections from 1. */
  async function eventsOf(
    answer: (reply: ServerResponse, n: number) => void,
    more: { readonly idleTimeoutMs?: number } = {},
  ): Promise<BucketEvents> {
    let n = 0
    const server = createServer((_request, reply) => answer(reply, ++n))
    const { url, close } = await listening(server)
    servers.push({ close })
    const access = { endpoint: url, accessKey: 'a', secretKey: 's', ...more }
    return await openS3Events('s3://bucket/p', { ...access, ...parts })
  }

  const STREAM = { 'content-type': 'text/event-stream' }
  const created = (key: string): string => {
    const s3 = { bucket: { name: 'bucket' }, object: { key } }
    return `${JSON.stringify({ Records: [{ eventName: 's3:ObjectCreated:Put', s3 }] })}\n`
  }

  it('is said to be none once, and asked again seldom', async () => {
    for (const status of [200, 400, 403, 404, 405, 501]) {
      pauses.splice(0)
      let asked = 0
      const enough = Promise.withResolvers<void>()
      const events = await eventsOf((reply) => {
        reply.writeHead(status, { 'content-type': 'application/xml' })
        reply.end('<ListBucketResult></ListBucketResult>')
        if (++asked === 3) enough.resolve()
      })
      const reader = follow(events)
      await enough.promise
      await reader.stop()
      expect(
        reader.heard.map(({ type }) => type),
        `${status}`,
      ).toEqual(['refused'])
      expect(pauses.every((ms) => ms >= limits.eventRefusedPauseMs / 2)).toBe(true)
    }
  })

  it('is tried again with pauses that grow to a limit where it fails', async () => {
    const enough = Promise.withResolvers<void>()
    const events = await openS3EventsAt(async () => {
      return await eventsOf((reply, n) => {
        if (n === 12) enough.resolve()
        reply.writeHead(503).end()
      })
    })
    await enough.promise
    await events.stop()
    const most = Math.max(...pauses)
    expect(most).toBeLessThanOrEqual(limits.eventRetryPauseMaxMs)
    expect(pauses.slice(0, 3).map(Math.round)).toEqual([500, 1_000, 2_000])
    expect(most).toBeGreaterThan(limits.eventRetryPauseMaxMs * 0.99)
  })

  /** With chance that always gives the longest pause. */
  async function openS3EventsAt(open: () => Promise<BucketEvents>): Promise<NewsReader> {
    const random = parts.random
    parts.random = (bytes) => new Uint8Array(bytes).fill(255)
    try {
      return follow(await open())
    } finally {
      parts.random = random
    }
  }

  it('that connects and is lost at once is not tried without pauses', async () => {
    const enough = Promise.withResolvers<void>()
    const reader = await openS3EventsAt(
      async () =>
        await eventsOf((reply, n) => {
          reply.writeHead(200, STREAM).end('{"Records":null}\n')
          if (n === 6) enough.resolve()
        }),
    )
    await enough.promise
    await reader.stop()
    expect(pauses.slice(0, 4).map(Math.round)).toEqual([500, 1_000, 2_000, 4_000])
  })

  it('that says what cannot be read has said it: a gap, and it goes on', async () => {
    const events = await eventsOf((reply, n) => {
      if (n > 1) return void reply.writeHead(503).end()
      reply.writeHead(200, STREAM)
      reply.write(`  \n   ${created('p/a')}garbage\n${'x'.repeat(limits.eventBytesMax + 1)}\n`)
      reply.write('{"Records":[{"eventName":"s3:ObjectCreated:Put"}]}\n')
      reply.write(`${created('p/b').trim()}   \n${created('q/c')}${created('p/../d')}`)
      reply.end(created('p/cut').slice(0, -1))
    })
    const reader = follow(events)
    const lost = await reader.next('lost')
    expect(lost.error.code).toBe('UNREACHABLE')
    expect(reader.heard.slice(0, 6).map(({ type }) => type)).toEqual([
      ...['connected', 'events', 'gap', 'gap', 'gap', 'events'],
    ])
    const keys = reader.heard.flatMap((news) =>
      news.type === 'events' ? news.events.map(({ key }) => key) : [],
    )
    expect(keys).toEqual(['a', 'b'])
  })

  it('that never ends a line takes no memory', async () => {
    const LINES = 256
    const events = await eventsOf((reply, n) => {
      if (n > 1) return void reply.writeHead(503).end()
      reply.writeHead(200, STREAM)
      const piece = Buffer.alloc(1 << 20, 'x')
      let sent = 0
      const send = (): void => {
        if (sent++ === LINES) reply.end('\n')
        else reply.write(piece, send)
      }
      send()
    })
    const before = process.memoryUsage().rss
    const reader = follow(events)
    await reader.next('gap')
    expect(process.memoryUsage().rss - before).toBeLessThan(128 << 20)
    expect(reader.heard.filter(({ type }) => type === 'gap')).toHaveLength(1)
  })

  it('that never says anything is lost too, and the hint tells of such a server', async () => {
    const events = await eventsOf(() => undefined, { idleTimeoutMs: 100 })
    const { error } = await follow(events).next('lost')
    expect(error).toMatchObject({ code: 'TIMEOUT', hint: expect.stringContaining('NATS') })
  })

  it('that falls silent is lost', async () => {
    const events = await eventsOf((reply) => void reply.writeHead(200, STREAM).write(' '), {
      idleTimeoutMs: 200,
    })
    const reader = follow(events)
    await reader.next('connected')
    expect((await reader.next('lost')).error.code).toBe('TIMEOUT')
  })
})
