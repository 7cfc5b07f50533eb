import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'
import { Client } from 'minio'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { credentialsOf, parseEndpoint, readSecureContext, type S3Access } from './s3-access.ts'
import { failureOf, readText } from './s3-answers.ts'
import { S3Failure } from './s3-errors.ts'
import { giveBack } from './s3-memory.ts'
import type { BodySource, S3Request, S3Transport } from './s3-request.ts'
import { parseXml, textOf } from './s3-xml.ts'

const REGION = 'us-east-1'
const SUCCESS = [200, 201, 204, 206]
const EMPTY_SHA256 = sha256Hex(new Uint8Array(0))
/** A body from here on is sent when the server asks for it: it may refuse the request as it is. */
const ASKED_BYTES_MIN = 1024 * 1024
/** A server that does not ask within that time gets it anyway. Source: curl's default. */
const ASK_MS_MAX = 1_000
const PIECE_BYTES = 1024 * 1024
/** On its way so long on no line. */
const SHORT_BYTES = 64 * 1024

/** What a request has that the client knows nothing of. */
interface Extras {
  readonly signal?: AbortSignal | undefined
  /** The server asks for the body. */
  readonly onContinue?: () => void
}

type RequestOptions = Parameters<Client['getRequestOptions']>[0]

/** The client signs; time-outs, cancelling and what an answer means are ours. */
class SigningClient extends Client {
  override getRequestOptions(
    options: RequestOptions & Extras,
  ): ReturnType<Client['getRequestOptions']> {
    const { signal, onContinue } = options
    const extras = { ...(signal === undefined ? {} : { signal }), onContinue }
    return { ...super.getRequestOptions(options), ...extras }
  }
}

interface Sender {
  readonly client: SigningClient
  readonly region: string
  /** Whether the signature covers the body. */
  readonly signsBodies: boolean
}

/**
 * Opens a connection pool to a bucket's server.
 *
 * @throws USAGE for an address that is none; NOT_FOUND, AUTH, BAD_INPUT for TLS files
 */
export async function createTransport(access: S3Access): Promise<S3Transport> {
  const { host, port, tls } = parseEndpoint(access)
  const credentials = credentialsOf(access)
  const region = access.region ?? REGION
  const pool = { keepAlive: true, maxSockets: limits.s3RequestsMax + limits.s3TransfersMax }
  const agent = tls
    ? new https.Agent({ ...pool, secureContext: await readSecureContext(access) })
    : new http.Agent(pool)
  const idleTimeoutMs = access.idleTimeoutMs ?? limits.s3IdleTimeoutMs
  const client = clientOf({
    endPoint: host,
    port,
    useSSL: tls,
    region,
    pathStyle: access.addressing !== 'virtual',
    ...credentials,
    ...(access.sessionToken === undefined ? {} : { sessionToken: access.sessionToken }),
    transportAgent: agent,
    transport: guarded(tls ? https : http, idleTimeoutMs),
    retryOptions: { disableRetry: true },
  })
  const sender = { client, region, signsBodies: !tls && credentials !== undefined }
  let isClosed = false
  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    send: async (request) => {
      if (isClosed) throw new AkidbError('INTERNAL', 'a store was used after its end')
      return await sendOnce(sender, request)
    },
    close: () => {
      isClosed = true
      agent.destroy()
    },
  }
}

function clientOf(params: ConstructorParameters<typeof Client>[0]): SigningClient {
  try {
    return new SigningClient(params)
  } catch (cause) {
    throw new AkidbError('USAGE', `"${params.endPoint}" is no address of a server`, { cause })
  }
}

async function sendOnce(
  { client, region, signsBodies }: Sender,
  request: S3Request,
): Promise<IncomingMessage> {
  const { method, bucket, key, query = {}, signal } = request
  signal?.throwIfAborted()
  const { headers, body, sha256, source } = bodyOf(request)
  const options = {
    method,
    bucketName: bucket,
    ...(key === undefined ? {} : { objectName: key }),
    query: queryText(query),
    headers: { ...request.headers, ...headers },
    signal,
    onContinue: () => source?.begin(true),
  }
  const isShort = Buffer.isBuffer(body) && body.length <= SHORT_BYTES
  const quiet = setTimeout(() => isShort && request.onSilence?.(), limits.s3RetryNoteMs)
  try {
    const digest = signsBodies ? sha256 : ''
    return await client.makeRequestStreamAsync(options, body, digest, SUCCESS, region)
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
    return { headers: { ...headers }, body: Buffer.alloc(0), sha256: EMPTY_SHA256 }
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

/** In bytewise order, as the signature wants it. */
const queryText = (query: NonNullable<S3Request['query']>): string =>
  Object.entries(query)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, values]) =>
      [values].flat().map((value) => `${encodeURIComponent(name)}=${encodeQuery(value)}`),
    )
    .join('&')

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
    { onContinue, ...options }: http.RequestOptions & Extras,
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
    giveBackWhatCame(request)
    return request
  }) as typeof http.request,
})

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
    const error = parseXml(text, 'Error')
    const message = textOf(error, 'Message')
    return new S3Failure(status, textOf(error, 'Code'), message === '' ? fallback.message : message)
  } catch (error) {
    response.destroy()
    const failure = failureOf(error)
    // What was cut may say another thing when it comes whole; what is no S3 error stays so.
    const isCut = code === '' && failure instanceof S3Failure && failure.code !== 'NOT_S3'
    return isCut ? failure : fallback
  }
}

/** An answer to HEAD has no body that would tell. */
const headWord = (status: number): string =>
  status === 404 ? 'NoSuchKey' : status === 412 ? 'PreconditionFailed' : ''
