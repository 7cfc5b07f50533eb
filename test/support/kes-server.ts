import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { type CertificateFiles, identityOf } from './certificates.ts'

/** What goes wrong with one request. */
export type KesFault =
  /** Taken, and never answered. */
  | { readonly kind: 'silent' }
  /** A header, and then one byte of the body every 20 ms. */
  | { readonly kind: 'drip' }
  /** The connection ends before anything is done. */
  | { readonly kind: 'cut' }
  /** All is done, and the connection ends before the end of the answer. */
  | { readonly kind: 'cut-after' }
  /** An answer in place of the server's. */
  | {
      readonly kind: 'answer'
      readonly status?: number
      readonly type?: string
      readonly body: string
    }

/** A request as it came. */
export interface SeenRequest {
  /** From 1, in order of arrival. */
  readonly number: number
  readonly method: string
  readonly path: string
  readonly body: string
}

export interface KesServerOptions {
  /** Of the server. */
  readonly server: CertificateFiles
  /** Identities, and the beginnings of the paths that each may ask for ("/" is all). */
  readonly policies: Readonly<Record<string, readonly string[]>>
  /** PEM file: clients' certificates must come from this authority (KES: tls.auth on). */
  readonly clientAuthority?: string
}

/** Starts a server at a free port of 127.0.0.1. */
export async function startKesServer(options: KesServerOptions): Promise<KesServer> {
  const server = new KesServer(options)
  await server.listen()
  return server
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * The part of KES's HTTP API that clients of keys use, written from its public description, as its
 * server of 2025-03-12 answers. Keys live in memory; data keys are sealed with AES-256-GCM.
 */
export class KesServer {
  /** Asked at each request's arrival, in order. */
  onRequest: (seen: SeenRequest) => KesFault | undefined = () => undefined
  readonly seen: SeenRequest[] = []
  readonly keys = new Map<string, Buffer>()
  /** Connections so far. */
  connections = 0
  readonly #options: KesServerOptions
  readonly #server: Server

  constructor(options: KesServerOptions) {
    this.#options = options
    const { server, clientAuthority } = options
    const ca = clientAuthority === undefined ? {} : { ca: readFileSync(clientAuthority) }
    const pair = { cert: readFileSync(server.certFile), key: readFileSync(server.keyFile) }
    const clients = { requestCert: true, rejectUnauthorized: clientAuthority !== undefined }
    this.#server = createServer({ ...pair, ...ca, ...clients }, (request, response) => {
      void this.#serve(request, response).catch(() => response.destroy())
    })
    this.#server.on('secureConnection', () => this.connections++)
    this.#server.on('tlsClientError', () => undefined)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Does nothing where it is closed already. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = request
    const body = await text(request)
    const seen = { number: this.seen.length + 1, method, path, body }
    this.seen.push(seen)
    const fault = this.onRequest(seen)
    if (fault?.kind === 'silent') return
    if (fault?.kind === 'cut') return void response.destroy()
    if (fault?.kind === 'drip') return void drip(response)
    if (fault?.kind === 'answer') {
      const headers = { 'content-type': fault.type ?? 'application/json' }
      return void response.writeHead(fault.status ?? 200, headers).end(fault.body)
    }
    const { status, said } = this.#answerTo(seen, request.socket as TLSSocket)
    const json = said === undefined ? '' : `${JSON.stringify(said)}\n`
    if (fault?.kind === 'cut-after' && json === '') return void response.destroy()
    const type = said === undefined ? {} : { 'content-type': 'application/json' }
    response.writeHead(status, { ...type, 'content-length': json.length })
    if (fault?.kind !== 'cut-after') return void response.end(json)
    response.write(json.slice(0, json.length >> 1), () => response.destroy())
  }

  #answerTo(seen: SeenRequest, socket: TLSSocket): { status: number; said?: object } {
    try {
      const said = this.#act(seen, socket)
      return { status: 200, ...(said === undefined ? {} : { said }) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { status: error.status, said: { message: error.message } }
    }
  }

  #act({ method, path, body }: SeenRequest, socket: TLSSocket): object | undefined {
    if (path === '/version') return { version: '2025-03-12T09-35-18Z', commit: 'ab' }
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) throw new Refusal(400, 'tls: client certificate is required')
    const allowed = this.#options.policies[identityOf(certificate)] ?? []
    if (!allowed.some((beginning) => path.startsWith(beginning))) {
      throw new Refusal(403, 'not authorized: insufficient permissions')
    }
    const [, route = '', name = ''] = /^(\/v1\/(?:status|key\/[a-z]+))\/?(.*)$/.exec(path) ?? []
    const isWrite = ['/v1/key/create', '/v1/key/generate', '/v1/key/decrypt'].includes(route)
    if (method !== (isWrite ? 'POST' : 'GET')) {
      throw new Refusal(405, `received method '${method}' expected '${isWrite ? 'PUT' : 'GET'}'`)
    }
    if (route === '/v1/status') return STATUS
    if (route === '/v1/key/list') return { names: this.#listed(name) }
    if (!/^(?!_$|-)[\w-]{1,80}$(?<!-)/.test(name)) {
      throw new Refusal(400, `key name '${name}' is empty, too long or contains invalid characters`)
    }
    if (route === '/v1/key/create') return this.#create(name)
    const key = this.keys.get(name)
    if (key === undefined) throw new Refusal(404, 'key does not exist')
    if (route === '/v1/key/describe') {
      const [created_at, created_by] = ['2026-01-02T03:04:05.678901234Z', 'ab'.repeat(32)]
      return { name, algorithm: 'AES256', created_at, created_by }
    }
    const asked = JSON.parse(body) as { context?: string; ciphertext?: string }
    const context = Buffer.from(asked.context ?? '', 'base64')
    if (route === '/v1/key/generate') return seal(key, context)
    return { plaintext: unseal(key, Buffer.from(asked.ciphertext ?? '', 'base64'), context) }
  }

  #create(name: string): undefined {
    if (this.keys.has(name)) throw new Refusal(400, 'key already exists')
    this.keys.set(name, randomBytes(32))
  }

  #listed(pattern: string): readonly string[] {
    const prefix = pattern === '*' ? '' : pattern
    return [...this.keys.keys()].filter((name) => name.startsWith(prefix)).toSorted()
  }
}

const STATUS = {
  version: '2025-03-12T09-35-18Z',
  os: 'linux',
  arch: 'amd64',
  uptime: 90,
  num_cpu: 2,
  num_cpu_used: 2,
  mem_heap_used: 3_856_128,
  mem_stack_used: 557_056,
  keystore_latency: 1,
}

function drip(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => clearInterval(timer))
}

/** Sealed bytes, tag, nonce. */
function seal(key: Buffer, context: Buffer): { plaintext: string; ciphertext: string } {
  const [plaintext, nonce] = [randomBytes(32), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(context)
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const ciphertext = Buffer.concat([sealed, cipher.getAuthTag(), nonce])
  return { plaintext: plaintext.toString('base64'), ciphertext: ciphertext.toString('base64') }
}

function unseal(key: Buffer, ciphertext: Buffer, context: Buffer): string {
  try {
    const nonce = ciphertext.subarray(-12)
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(context)
    decipher.setAuthTag(ciphertext.subarray(-28, -12))
    return Buffer.concat([decipher.update(ciphertext.subarray(0, -28)), decipher.final()]).toString(
      'base64',
    )
  } catch {
    throw new Refusal(400, 'decryption failed: ciphertext is not authentic')
  }
}
