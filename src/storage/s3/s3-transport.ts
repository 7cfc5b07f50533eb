import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'
import { Client } from 'minio'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { systemClock } from '../system-clock.ts'
import { credentialsOf, parseEndpoint, readSecureContext, type S3Access } from './s3-access.ts'
import { failureOf, readText } from './s3-answers.ts'
import { notS3, S3Failure } from './s3-errors.ts'
import { giveBack } from './s3-memory.ts'
import type { BodySource, S3Request, S3Transport } from './s3-request.ts'
import { createSigner, type Sign, UNSIGNED_PAYLOAD } from './s3-signature.ts'
import { parseXml, textOf } from './s3-xml.ts'

const REGION = 'us-east-1'
const SUCCESS = [200, 201, 204, 206]
const EMPTY = Buffer.alloc(0)
const EMPTY_SHA256 = sha256Hex(EMPTY)
/** A body from here on is sent when the server asks for it: it may refuse the request as it is. */
const ASKED_BYTES_MIN = 1024 * 1024
/** A server that does not ask within that time gets it anyway. Source: curl's default. */
const ASK_MS_MAX = 1_000
const PIECE_BYTES = 1024 * 1024
/** On its way so long on no line. */
const SHORT_BYTES = 64 * 1024

/** What a request has that the client knows nothing of. */
interface Extras {
  /** SHA-256 of the body, hex. */
  readonly sha256?: string
  readonly signal?: AbortSignal | undefined
  /** The server asks for the body. */
  readonly onContinue?: () => void
}

type ClientOptions = ConstructorParameters<typeof Client>[0]
type RequestOptions = Parameters<Client['getRequestOptions']>[0]

/** It makes the request; signatures, time-outs, cancelling and what an answer means are ours. */
class SigningClient extends Client {
  readonly #sign: Sign | undefined

  /** @param sign absent: nobody asks */
  constructor(options: ClientOptions, sign: Sign | undefined) {
    super(options)
    this.#sign = sign
  }

  override getRequestOptions(
    options: RequestOptions & Extras,
  ): ReturnType<Client['getRequestOptions']> {
    const { sha256 = '', signal, onContinue } = options
    const request = super.getRequestOptions(options)
    const { method, path, headers } = request
    const payload = this.protocol === 'http:' ? sha256 : UNSIGNED_PAYLOAD
    const signed = this.#sign?.({ method, path, headers, payload }) ?? headers
    const extras = { ...(signal === undefined ? {} : { signal }), onContinue }
    return { ...request, headers: signed, ...extras }
  }
}

/**
 * Opens a connection pool to a bucket's server.
 *
 * @throws USAGE for an address that is none; NOT_FOUND, AUTH, BAD_INPUT for TLS files
 */
export async function createTransport(access: S3Access): Promise<S3Transport> {
  const { host, port, tls } = parseEndpoint(access)
  const idleTimeoutMs = access.idleTimeoutMs ?? limits.s3IdleTimeoutMs
  const maxSockets = limits.s3RequestsMax + limits.s3TransfersMax
  // That of the requests: one that differs is set anew, twice for each of them.
  const pool = { keepAlive: true, maxSockets, timeout: idleTimeoutMs }
  const agent = tls
    ? new https.Agent({ ...pool, secureContext: await readSecureContext(access) })
    : new http.Agent(pool)
  const options = {
    endPoint: host,
    port,
    useSSL: tls,
    region: access.region ?? REGION,
    pathStyle: access.addressing !== 'virtual',
    transportAgent: agent,
    transport: guarded(tls ? https : http, idleTimeoutMs),
    retryOptions: { disableRetry: true },
  }
  const client = clientOf(options, signerOf(access))
  let isClosed = false
  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    send: async (request) => {
      if (isClosed) throw new AkidbError('INTERNAL', 'a store was used after its end')
      return await sendOnce(client, request)
    },
    close: () => {
      isClosed = true
      agent.destroy()
    },
  }
}

function signerOf(access: S3Access): Sign | undefined {
  const credentials = credentialsOf(access)
  if (credentials === undefined) return undefined
  const { sessionToken, region = REGION } = access
  return createSigner({ ...credentials, sessionToken, region, clock: systemClock })
}

function clientOf(options: ClientOptions, sign: Sign | undefined): SigningClient {
  try {
    return new SigningClient(options, sign)
  } catch (cause) {
    throw new AkidbError('USAGE', `"${options.endPoint}" is no address of a server`, { cause })
  }
}

async function sendOnce(client: SigningClient, request: S3Request): Promise<IncomingMessage> {
  const { method, bucket, key, query = {}, signal } = request
  signal?.throwIfAborted()
  const { headers, body, sha256, source } = bodyOf(request)
  const options = {
    method,
    bucketName: bucket,
    ...(key === undefined ? {} : { objectName: key }),
    query: queryText(query),
    headers: { ...request.headers, ...headers },
    sha256,
    signal,
    onContinue: () => source?.begin(true),
  }
  const isShort = Buffer.isBuffer(body) && body.length <= SHORT_BYTES
  const quiet = setTimeout(() => isShort && request.onSilence?.(), limits.s3RetryNoteMs)
  try {
    return await client.makeRequestStreamAsync(options, body, '', SUCCESS, REGION)
  } catch (error) {
    signal?.throwIfAborted()
    throw source?.failure === undefined ? failureOf(error) : source.failure
  } finally {
    clearTimeout(quiet)
    source?.end()
  }
}

interface PreparedBody {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | Readable
  readonly sha256: string
  readonly source?: SentSource
}

function bodyOf({ method, body }: S3Request): PreparedBody {
  if (body === undefined) {
    const headers = method === 'PUT' || method === 'POST' ? { 'content-length': '0' } : {}
    return { headers: { ...headers }, body: EMPTY, sha256: EMPTY_SHA256 }
  }
  const { sha256 } = body
  if ('content' in body) {
    const { buffer, byteOffset, byteLength } = body.content
    const headers = { 'content-length': String(byteLength) }
    return { headers, body: Buffer.from(buffer, byteOffset, byteLength), sha256 }
  }
  const isAsked = body.bytes >= ASKED_BYTES_MIN
  const source = new SentSource(body, isAsked)
  const headers = {
    'content-length': String(body.bytes),
    ...(isAsked ? { expect: '100-continue' } : {}),
  }
  return { headers, body: source.stream, sha256, source }
}

/** A body that is read as it is sent. */
class SentSource {
  readonly stream: Readable
  /** What reading it threw. */
  failure: unknown
  readonly #begun = Promise.withResolvers<boolean>()
  readonly #timer: NodeJS.Timeout | undefined

  constructor(body: BodySource, isAsked: boolean) {
    if (isAsked) this.#timer = setTimeout(() => this.begin(true), ASK_MS_MAX)
    else this.begin(true)
    const options = { objectMode: false, highWaterMark: PIECE_BYTES }
    this.stream = Readable.from(this.#pieces(body), options)
  }

  begin(wanted: boolean): void {
    clearTimeout(this.#timer)
    this.#begun.resolve(wanted)
  }

  /** Nobody wants the rest. */
  end(): void {
    this.begin(false)
    this.stream.destroy()
  }

  async *#pieces(body: BodySource): AsyncGenerator<Uint8Array> {
    if (!(await this.#begun.promise)) return
    const pieces = body.open()[Symbol.asyncIterator]()
    try {
      // Step by step: what the stream throws in here, as the connection ends, is no failure of it.
      for (;;) {
        const { done, value } = await this.#next(pieces)
        if (done === true) return
        yield value
      }
    } finally {
      await pieces.return?.()
    }
  }

  async #next(pieces: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    try {
      return await pieces.next()
    } catch (error) {
      this.failure = error
      throw error
    }
  }
}

/**
 * In the order in which it is signed: servers put names in order before they look, some values
 * too, and others leave those as they came.
 */
function queryText(query: NonNullable<S3Request['query']>): string {
  const terms: string[] = []
  for (const name of Object.keys(query).sort()) {
    const values = query[name] ?? []
    for (const value of typeof values === 'string' ? [values] : values.toSorted()) {
      terms.push(`${encodeURIComponent(name)}=${encodeQuery(value)}`)
    }
  }
  return terms.join('&')
}

/** RFC 3986: what encodeURIComponent leaves and a signature does not. */
const encodeQuery = (value: string): string =>
  encodeURIComponent(value).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )

/**
 * The transport that the client is given: every answer but success ends the request with an
 * S3Failure, so that the client neither tries again by itself nor leaves an answer unread.
 */
const guarded = (
  transport: typeof http | typeof https,
  idleTimeoutMs: number,
): Pick<typeof http, 'request'> => ({
  request: ((
    { onContinue, signal, ...options }: http.RequestOptions & Extras,
    then: (response: IncomingMessage) => void,
  ) => {
    let answer: IncomingMessage | undefined
    // As an option the time-out holds while a connection is made, too.
    const request = transport.request({ ...options, timeout: idleTimeoutMs }, (response) => {
      answer = response
      if (SUCCESS.includes(response.statusCode ?? 0)) return then(response)
      void readFailure(response, options.method === 'HEAD').then((failure) => {
        request.emit('error', failure)
        // The rest of a body that was refused is not sent.
        if (!request.writableFinished) request.destroy()
      })
    })
    request.on('timeout', () => {
      const failure = new S3Failure(0, 'TIMEOUT', `no byte came for ${idleTimeoutMs} ms`)
      answer?.destroy(failure)
      request.destroy(failure)
    })
    if (onContinue !== undefined) request.on('continue', onContinue)
    if (options.method === 'GET') giveBackWhatCame(request)
    if (signal !== undefined) endBy(request, signal)
    return request
  }) as typeof http.request,
})

/** As the option of that name does, for a third of its time. */
function endBy(request: http.ClientRequest, signal: AbortSignal): void {
  const end = (): void => void request.destroy(signal.reason)
  if (signal.aborted) end()
  signal.addEventListener('abort', end, { once: true })
  request.on('close', () => signal.removeEventListener('abort', end))
}

/** The parser of HTTP, which listens first, has copied what it needs of what the socket read. */
function giveBackWhatCame(request: http.ClientRequest): void {
  request.on('socket', (socket) => {
    // Behind the parser's, which a connection that is used again has anew.
    socket.off('data', giveBack).on('data', giveBack)
    request.on('close', () => socket.off('data', giveBack))
  })
}

async function readFailure(response: IncomingMessage, isHead: boolean): Promise<S3Failure> {
  const status = response.statusCode ?? 0
  const { location, 'x-minio-error-code': word, 'x-minio-error-desc': said } = response.headers
  const code = typeof word === 'string' ? word : isHead ? headWord(status) : ''
  const shown = String(location ?? said ?? '').replace(/^"(.*)"$/, '$1')
  const fallback = new S3Failure(status, code, shown)
  try {
    const text = await readText(response, limits.s3ErrorBytesMax)
    if (isHead || text === '') return fallback
    const { code: told, message } = errorIn(text)
    return new S3Failure(status, told, message === '' ? fallback.message : message)
  } catch (error) {
    response.destroy()
    const failure = failureOf(error)
    // What was cut may say another thing when it comes whole; what is no S3 error stays so.
    const isCut = code === '' && failure instanceof S3Failure && failure.code !== 'NOT_S3'
    return isCut ? failure : fallback
  }
}

/** Of S3 in XML; MinIO's admin API answers in JSON. */
function errorIn(text: string): { readonly code: string; readonly message: string } {
  if (!text.startsWith('{')) {
    const error = parseXml(text, 'Error')
    return { code: textOf(error, 'Code'), message: textOf(error, 'Message') }
  }
  try {
    const { Code, Message } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return { code: String(Code ?? ''), message: String(Message ?? '') }
  } catch {
    throw notS3('its answer is no JSON')
  }
}

/** An answer to HEAD has no body that would tell. */
const headWord = (status: number): string =>
  status === 404 ? 'NoSuchKey' : status === 412 ? 'PreconditionFailed' : ''
