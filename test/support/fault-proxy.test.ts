import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Fault, type FaultProxy, startFaultProxy } from './fault-proxy.ts'

interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly rawHeaders: readonly string[]
  readonly body: string
}

interface Sent {
  readonly method?: string
  readonly path?: string
  readonly headers?: readonly string[]
  readonly body?: string
}

let target: Server
let proxy: FaultProxy
let seen: Seen[]
let replyBody: string

beforeEach(async () => {
  seen = []
  replyBody = '0123456789'
  target = createServer(async (message, reply) => {
    const { method, url, rawHeaders } = message
    seen.push({ method, url, rawHeaders, body: await text(message) })
    reply.setHeader('ETag', '"e"')
    // Two pieces without a length travel as chunks.
    if (url === '/chunked') reply.write(replyBody.slice(0, 4), () => reply.end(replyBody.slice(4)))
    else reply.setHeader('Content-Length', Buffer.byteLength(replyBody)).end(replyBody)
  })
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  proxy = await startFaultProxy((target.address() as AddressInfo).port)
})

afterEach(async () => {
  await proxy.close()
  target.closeAllConnections()
  target.close()
})

async function send(options: Sent = {}): Promise<IncomingMessage> {
  const { method = 'GET', path = '/bucket/key', body = '' } = options
  const headers = [...(options.headers ?? ['Host', 'site'])]
  const sent = request({ port: proxy.port, host: '127.0.0.1', method, path, headers, agent: false })
  sent.end(body)
  const [reply] = (await once(sent, 'response')) as [IncomingMessage]
  return reply
}

const get = async (path?: string): Promise<string> =>
  await text(await send(path === undefined ? {} : { path }))

const put = (): Promise<IncomingMessage> =>
  send({ method: 'PUT', headers: ['Host', 'site', 'Content-Length', '4'], body: 'data' })

/** Every request from here on gets it. */
const inject = (fault: Fault): void => {
  proxy.onRequest = () => fault
}

it('passes a request on byte for byte, and its reply', async () => {
  const headers = ['hOsT', 'signed.example:9000', 'X-Amz-Meta-A', ' b', 'Content-Length', '4']
  const path = '/bucket/a%2Fb%20c+?list-type=2&prefix=%2B+&uploads'
  const reply = await send({ method: 'PUT', path, headers, body: 'data' })
  expect(await text(reply)).toBe(replyBody)
  expect(reply.headers.etag).toBe('"e"')
  expect(seen).toHaveLength(1)
  const [first] = seen
  expect(first).toMatchObject({ method: 'PUT', url: path, body: 'data' })
  expect(first?.rawHeaders.slice(0, 6)).toEqual(headers.map((part) => part.trim()))
})

it('passes on what has no body, and what comes in chunks', async () => {
  const headers = ['Host', 'site', 'Content-Length', '0']
  await (await send({ method: 'POST', path: '/b/k?uploads', headers })).toArray()
  await (await send({ method: 'DELETE' })).toArray()
  expect(await text(await send({ method: 'HEAD' }))).toBe('')
  expect(seen.map(({ method, body }) => [method, body])).toEqual([
    ['POST', ''],
    ['DELETE', ''],
    ['HEAD', ''],
  ])
  expect(await get('/chunked')).toBe(replyBody)
})

it('logs requests and numbers them from 1', async () => {
  const numbers: number[] = []
  proxy.onRequest = ({ number }) => {
    numbers.push(number)
    return undefined
  }
  await get('/b?list-type=2')
  await put()
  expect(numbers).toEqual([1, 2])
  expect(proxy.requests.map(({ method, path }) => [method, path])).toEqual([
    ['GET', '/b'],
    ['PUT', '/bucket/key'],
  ])
  expect(proxy.requests[0]?.query.get('list-type')).toBe('2')
})

it('cuts a connection before the server hears of it', async () => {
  inject({ kind: 'cut-before' })
  await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(seen).toEqual([])
})

it('cuts a connection after the server has done it', async () => {
  inject({ kind: 'cut-after' })
  await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(seen).toMatchObject([{ method: 'PUT', body: 'data' }])
})

it.each([0, 1, 9])('cuts a reply after %i bytes', async (bytes) => {
  inject({ kind: 'cut-body', bytes })
  const reply = await send()
  expect(reply.headers['content-length']).toBe('10')
  const pieces: Buffer[] = []
  reply.on('data', (piece) => pieces.push(piece))
  const [error] = await once(reply, 'error')
  expect(error).toMatchObject({ code: 'ECONNRESET' })
  expect(Buffer.concat(pieces).toString()).toBe(replyBody.slice(0, bytes))
})

it.each(['/bucket/key', '/chunked'])('shortens the reply of %s quietly', async (path) => {
  inject({ kind: 'short-body', bytes: 3 })
  const reply = await send({ path })
  expect(await text(reply)).toBe('012')
  expect(reply.complete).toBe(true)
  expect(reply.headers).toMatchObject({ 'content-length': '3', etag: '"e"' })
})

it('changes one byte of a reply', async () => {
  inject({ kind: 'wrong-body' })
  expect(await get()).toBe('0123446789')
  inject({ kind: 'wrong-body', offset: 0 })
  expect(await get()).toBe('1123456789')
  inject({ kind: 'wrong-body', offset: 10 })
  expect(await get()).toBe(replyBody)
})

it('answers with an S3 error in place of the server', async () => {
  inject({ kind: 'status', status: 503 })
  const reply = await put()
  expect(reply.statusCode).toBe(503)
  expect(await text(reply)).toContain('<Code>SlowDown</Code>')
  inject({ kind: 'status', status: 403, code: 'RequestTimeTooSkewed' })
  expect(await get()).toContain('<Code>RequestTimeTooSkewed</Code>')
  expect(seen).toEqual([])
})

it('delays one request, or each', async () => {
  inject({ kind: 'delay', delayMs: 30 })
  expect(await timeMs(() => get())).toBeGreaterThan(28)
  proxy.onRequest = () => undefined
  proxy.latencyMs = 30
  expect(await timeMs(() => get())).toBeGreaterThan(28)
})

it('never answers until it closes', async () => {
  const arrived = Promise.withResolvers<void>()
  proxy.onRequest = () => {
    arrived.resolve()
    return { kind: 'hang' }
  }
  const answer = expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' })
  await arrived.promise
  await proxy.close()
  await answer
  expect(seen).toEqual([])
})

it('hides objects, versions and markers from lists alone', async () => {
  const entry = (tag: string, key: string): string => `<${tag}><Key>${key}</Key><X/></${tag}>`
  const list = (...entries: string[]): string =>
    `<ListBucketResult><KeyCount>${entries.length}</KeyCount>${entries.join('')}</ListBucketResult>`
  const kept = [entry('Contents', 'a'), entry('Version', 'c')]
  const hidden = [entry('Contents', 'b&amp;'), entry('DeleteMarker', 'b&#x26;')]
  replyBody = list(...kept, ...hidden, entry('Version', 'b&#38;'))
  inject({ kind: 'stale-list', drop: (key) => key === 'b&' })
  expect(await get('/bucket?versions')).toBe(list(...kept))
  expect(await get('/bucket/?list-type=2')).toBe(list(...kept))
  expect(await get('/bucket/key')).toBe(replyBody)
  replyBody = `<EncodingType>url</EncodingType>${entry('Contents', 'b%26')}`
  expect(await get('/bucket')).toBe('<EncodingType>url</EncodingType>')
})

it('streams a large reply, and ends a connection that the server ends', async () => {
  replyBody = 'x'.repeat(3_000_000)
  expect((await buffer(await send())).length).toBe(3_000_000)
  target.removeAllListeners('request')
  target.on('request', (message: IncomingMessage) => message.socket.destroy())
  await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' })
})

async function timeMs(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await run()
  return performance.now() - started
}
