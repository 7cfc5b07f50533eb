import { readFileSync } from 'node:fs'
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as sendRequest,
} from 'node:http'
import { type AddressInfo, connect, type Server, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { createServer as createTlsServer } from 'node:tls'
import type { RandomBytes } from '../../src/core/clock.ts'
import { sha256Hex } from '../../src/core/digest.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { SealedBody, SealedStore } from '../../src/storage/object-store.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { openS3Store } from '../../src/storage/s3/s3-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { systemRandom } from '../../src/storage/system-random.ts'
import type { Authority } from './certificates.ts'
import type { MinioServer } from './minio.ts'

/** A server of buckets, as far as a client has to know it. */
export type BucketServer = Pick<MinioServer, 'url' | 'accessKey' | 'secretKey'>

/** How a test reaches a server. Failures are soon given up. */
export const accessTo = (
  { url, accessKey, secretKey }: BucketServer,
  more: S3Access = {},
): S3Access => ({ endpoint: url, accessKey, secretKey, retryForMs: 5_000, ...more })

/** A store in a test's bucket. */
export const openBucket = (
  url: string,
  access: S3Access,
  random: RandomBytes = systemRandom,
): Promise<SealedStore> =>
  openS3Store(url, {
    ...access,
    clock: systemClock,
    random,
    spool: () => createMemoryStore({ clock: systemClock }),
  })

/** For a store that tries again at once: its pauses are a random part of some time. */
export const noPauses: RandomBytes = (bytes) => new Uint8Array(bytes)

/** A body to seal. `opened` counts how often it was read. */
export interface CountedBody extends SealedBody {
  readonly opened: () => number
}

export function bodyOf(content: Uint8Array | string): CountedBody {
  const bytes = Buffer.from(content)
  let opened = 0
  return {
    bytes: bytes.length,
    sha256: sha256Hex(bytes),
    opened: () => opened,
    async *open() {
      opened++
      for (let at = 0; at < bytes.length; at += 1 << 20) yield bytes.subarray(at, at + (1 << 20))
    },
  }
}

/** Bytes of which no two neighbouring parts are alike. */
export function patternOf(bytes: number): Buffer {
  const pattern = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += 4096) pattern.writeUInt32LE(at >>> 0, Math.min(at, bytes - 4))
  return pattern
}

export async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** All of a stream whose pieces are valid until the next is asked for. */
export async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Uint8Array[] = []
  for await (const piece of pieces) copies.push(piece.slice())
  return Buffer.concat(copies)
}

/** What a server of a test answers; undefined: nothing, and the connection ends. */
export interface FakeAnswer {
  readonly status?: number
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Uint8Array
}

export interface FakeServer {
  readonly url: string
  /** Method and path of every request so far. */
  readonly requests: string[]
  readonly server: Server
  close(): Promise<void>
}

/** A server that is no S3 server, or a bad one. */
export async function startFakeServer(
  answer: (request: IncomingMessage, body: Buffer) => Promise<FakeAnswer | undefined>,
): Promise<FakeServer> {
  const requests: string[] = []
  const server = createServer((request, reply) => {
    requests.push(`${request.method} ${request.url}`)
    const answered = buffer(request).then((body) => answer(request, body))
    answered.then(
      (said) => {
        if (said === undefined) return void request.socket.destroy()
        const { status = 200, headers = {}, body = '' } = said
        // What says nothing of its length comes in chunks.
        const isTold = request.method === 'HEAD' || 'transfer-encoding' in headers
        const length = isTold ? {} : { 'content-length': Buffer.byteLength(body) }
        reply.writeHead(status, { ...length, ...headers })
        reply.end(body)
      },
      () => request.socket.destroy(),
    )
  })
  return { ...(await listening(server)), requests, server }
}

type Answered = FakeAnswer | undefined
export type FakeAnswers = (request: IncomingMessage, body: Buffer) => Answered | Promise<Answered>

/** Stores in front of servers that answer as a test says, and what ends them all. */
export class FakeStores {
  readonly #servers: FakeServer[] = []
  readonly #stores: SealedStore[] = []

  async open(
    answer: FakeAnswers,
    access: S3Access = {},
  ): Promise<{ readonly store: SealedStore; readonly server: FakeServer }> {
    const server = await startFakeServer(async (request, body) => answer(request, body))
    this.#servers.push(server)
    const known = { endpoint: server.url, accessKey: 'a', secretKey: 's', retryForMs: 20_000 }
    const store = await openBucket('s3://bucket/p', { ...known, ...access })
    this.#stores.push(store)
    return { store, server }
  }

  async close(): Promise<void> {
    for (const store of this.#stores.splice(0)) await store.close()
    for (const server of this.#servers.splice(0)) await server.close()
  }
}

/** Passes a request on as it came. */
export const forward = (
  port: number,
  { method, url, rawHeaders }: IncomingMessage,
  body: Buffer,
): Promise<FakeAnswer> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path: url, headers: rawHeaders }
    const sent = sendRequest({ ...options, agent: false }, async (response) => {
      const { statusCode: status = 502, headers } = response
      resolve({ status, headers, body: await buffer(response) })
    })
    sent.on('error', reject)
    sent.end(body)
  })

/** TLS in front of a server that speaks none. */
export async function startTlsFront(
  authority: Authority,
  port: number,
  { wantsClients = false }: { readonly wantsClients?: boolean } = {},
): Promise<Omit<FakeServer, 'requests'>> {
  const { certFile, keyFile } = authority.issue('server', 'IP:127.0.0.1')
  const server = createTlsServer({
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    ca: readFileSync(authority.certFile),
    requestCert: wantsClients,
    rejectUnauthorized: wantsClients,
  })
  server.on('secureConnection', (client) => {
    const upstream = connect(port, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  })
  return { ...(await listening(server, 'https')), server }
}

/** Starts a server at a free port of 127.0.0.1. */
export async function listening(
  server: Server,
  scheme = 'http',
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
