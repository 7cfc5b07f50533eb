import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as sendRequest,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'

/** What goes wrong with one request; times in ms, sizes in bytes. */
export type Fault =
  /** The connection ends before anything reached the server. */
  | { readonly kind: 'cut-before' }
  /** The server does all of it; the connection ends in place of its reply. */
  | { readonly kind: 'cut-after' }
  /** The connection ends after so many bytes of the reply's body. */
  | { readonly kind: 'cut-body'; readonly bytes: number }
  /** A complete reply whose body is shorter than the server's, and says so itself. */
  | { readonly kind: 'short-body'; readonly bytes: number }
  /** One byte of the reply's body differs: that at the offset, by default the middle one. */
  | { readonly kind: 'wrong-body'; readonly offset?: number }
  /** An S3 error in place of the server; `code` by default SlowDown at 503, else InternalError. */
  | { readonly kind: 'status'; readonly status: number; readonly code?: string }
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Taken, never passed on, never answered until the proxy closes. */
  | { readonly kind: 'hang' }
  /** A reply to a list request lacks the objects and versions whose keys match. */
  | { readonly kind: 'stale-list'; readonly drop: (key: string) => boolean }

/** A request as it came. */
export interface ProxiedRequest {
  /** From 1, in order of arrival. */
  readonly number: number
  readonly method: string
  /** As sent: still percent-encoded. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
}

/** Starts a proxy at a free port of 127.0.0.1, in front of a port there. */
export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const proxy = new FaultProxy(targetPort)
  await proxy.listen()
  return proxy
}

/**
 * An HTTP/1.1 proxy which passes requests on as they came, with the Host that was signed, and
 * spoils those that a test chooses. It runs in the test's own process: one that waits for a child
 * by spawnSync stops it too.
 */
export class FaultProxy {
  /** Asked at each request's arrival, in order. */
  onRequest: (info: ProxiedRequest) => Fault | undefined = () => undefined
  /** Delay of every request. */
  latencyMs = 0
  /** Awaited before each request is passed on. */
  gate: () => Promise<void> = async () => undefined
  /** All requests so far; a test may empty it. */
  readonly requests: ProxiedRequest[] = []
  readonly #targetPort: number
  readonly #server: Server
  // A new connection for each: one that was kept would break when the server restarts.
  readonly #agent = new Agent({ keepAlive: false })
  readonly #closed = new AbortController()
  #count = 0

  constructor(targetPort: number) {
    this.#targetPort = targetPort
    this.#server = createServer((request, reply) => {
      const info = infoOf(request, ++this.#count)
      this.requests.push(info)
      const fault = this.onRequest(info)
      this.#answer(request, reply, fault).catch(() => request.socket.destroy())
    })
    // Idle connections stay: the proxy ends none that no test asked for.
    this.#server.keepAliveTimeout = 0
    this.#server.requestTimeout = 0
    this.#server.headersTimeout = 0
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** 'http://127.0.0.1:<port>' */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
  }

  /** Ends all connections of both sides. */
  async close(): Promise<void> {
    this.#closed.abort()
    this.#agent.destroy()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, reply: ServerResponse, fault?: Fault): Promise<void> {
    await this.gate()
    const delayMs = this.latencyMs + (fault?.kind === 'delay' ? fault.delayMs : 0)
    if (delayMs > 0) await setTimeout(delayMs, undefined, { signal: this.#closed.signal })
    switch (fault?.kind) {
      case 'cut-before':
        request.socket.destroy()
        return
      case 'hang':
        request.resume()
        return
      case 'status':
        await drain(request)
        sendError(request, reply, fault)
        return
    }
    const response = await this.#forward(request)
    switch (fault?.kind) {
      case 'cut-after':
        await drain(response)
        request.socket.destroy()
        return
      case 'cut-body':
        await cutBody(response, reply, fault.bytes)
        return
      default:
        await pass(request, response, { reply, edit: editOf(request, fault) })
    }
  }

  async #forward(request: IncomingMessage): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const upstream = sendRequest({
        host: '127.0.0.1',
        port: this.#targetPort,
        agent: this.#agent,
        method: request.method,
        path: request.url,
        // An array is sent as it is: names, order and Host included.
        headers: tellsLength(request)
          ? request.rawHeaders
          : [...request.rawHeaders, 'Content-Length', '0'],
      })
      upstream.on('response', resolve)
      upstream.on('error', reject)
      request.on('close', () => {
        if (!request.complete) upstream.destroy()
      })
      request.pipe(upstream)
    })
  }
}

type Edit = (body: Buffer) => Buffer

/** What a fault makes of a reply's body; undefined where it stays as it is. */
function editOf(request: IncomingMessage, fault: Fault | undefined): Edit | undefined {
  // A reply to HEAD has no body, though it tells the length of one.
  if (request.method === 'HEAD') return undefined
  switch (fault?.kind) {
    case 'short-body':
      return (body) => body.subarray(0, fault.bytes)
    case 'wrong-body':
      return (body) => {
        const offset = fault.offset ?? body.length >> 1
        if (offset < body.length) body.writeUInt8(body.readUInt8(offset) ^ 1, offset)
        return body
      }
    case 'stale-list':
      // Objects have a second part in their paths; they are not held in memory.
      return request.method === 'GET' && /^\/[^/?]+\/?(\?|$)/.test(request.url ?? '')
        ? (body) => Buffer.from(withoutListed(body.toString(), fault.drop))
        : undefined
    default:
      return undefined
  }
}

async function pass(
  request: IncomingMessage,
  response: IncomingMessage,
  { reply, edit }: { readonly reply: ServerResponse; readonly edit: Edit | undefined },
): Promise<void> {
  if (edit === undefined) {
    writeHead(reply, response, response.rawHeaders)
    await pipeline(response, reply)
    return
  }
  const body = edit(await buffer(response))
  if (request.socket.destroyed) return
  const headers = withoutHeaders(response.rawHeaders, ['content-length', 'transfer-encoding'])
  writeHead(reply, response, [...headers, 'Content-Length', String(body.length)])
  reply.end(body)
}

async function cutBody(
  response: IncomingMessage,
  reply: ServerResponse,
  bytes: number,
): Promise<void> {
  writeHead(reply, response, response.rawHeaders)
  reply.flushHeaders()
  let left = bytes
  for await (const chunk of response) {
    const piece = (chunk as Buffer).subarray(0, left)
    // Waits until it is written, so that the end of the connection does not overtake it.
    if (piece.length > 0) await new Promise((resolve) => reply.write(piece, resolve))
    left -= piece.length
    if (left === 0) break
  }
  reply.socket?.destroySoon()
}

function sendError(
  request: IncomingMessage,
  reply: ServerResponse,
  fault: Extract<Fault, { kind: 'status' }>,
): void {
  const code = fault.code ?? (fault.status === 503 ? 'SlowDown' : 'InternalError')
  const resource = (request.url ?? '').split('?')[0]?.replaceAll('&', '&amp;')
  const body = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<Error><Code>${code}</Code><Message>A fault of the proxy.</Message>`,
    `<Resource>${resource}</Resource><RequestId>FAULTPROXY</RequestId></Error>`,
  ].join('\n')
  reply.writeHead(fault.status, {
    'Content-Type': 'application/xml',
    'Content-Length': Buffer.byteLength(body),
  })
  reply.end(body)
}

function writeHead(
  reply: ServerResponse,
  response: IncomingMessage,
  headers: readonly string[],
): void {
  reply.sendDate = false
  reply.writeHead(response.statusCode ?? 502, response.statusMessage ?? '', [...headers])
}

const withoutHeaders = (raw: readonly string[], names: readonly string[]): string[] =>
  raw.filter((_, i) => !names.includes((raw[i - (i % 2)] as string).toLowerCase()))

// Node would announce a body of chunks for a POST or PUT that says nothing of one.
const tellsLength = ({ method, headers }: IncomingMessage): boolean =>
  ['GET', 'HEAD', 'DELETE', 'OPTIONS'].includes(method ?? '') ||
  headers['content-length'] !== undefined ||
  headers['transfer-encoding'] !== undefined

async function drain(message: IncomingMessage): Promise<void> {
  for await (const _ of message) {
    // Nobody wants it.
  }
}

function infoOf(request: IncomingMessage, number: number): ProxiedRequest {
  const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s)
  return {
    number,
    method: request.method ?? '',
    path,
    query: new URLSearchParams(query),
    headers: request.headers,
  }
}

/** The XML of a list reply without the objects, versions and markers whose keys match. */
function withoutListed(xml: string, drop: (key: string) => boolean): string {
  const encoded = xml.includes('<EncodingType>url</EncodingType>')
  let dropped = 0
  const kept = xml.replace(/<(Contents|Version|DeleteMarker)>.*?<\/\1>/gs, (element) => {
    const text = unescapeXml(/<Key>(.*?)<\/Key>/s.exec(element)?.[1] ?? '')
    if (!drop(encoded ? decodeURIComponent(text.replaceAll('+', ' ')) : text)) return element
    dropped++
    return ''
  })
  return kept.replace(/(?<=<KeyCount>)\d+/, (count) => String(Number(count) - dropped))
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

const unescapeXml = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    return ENTITIES[name] ?? whole
  })
