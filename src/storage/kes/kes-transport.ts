import { Agent, request as send } from 'node:https'
import { limits } from '../../core/limits.ts'
import type { KesPeer } from './kes-access.ts'
import { failureOf, KesFailure } from './kes-errors.ts'

/** One request to a key server. */
export interface KesRequest {
  readonly method: 'GET' | 'POST'
  /** From the slash on, encoded. */
  readonly path: string
  /** Sent as JSON. */
  readonly body?: object
  readonly signal?: AbortSignal | undefined
}

/** A whole answer of status 200. */
export interface KesAnswer {
  readonly contentType: string
  readonly body: string
}

/** Makes one try of a request. @throws KesFailure for every answer but success */
export interface KesTransport {
  send(request: KesRequest): Promise<KesAnswer>
  close(): void
}

/** A pool of at most limits.kesRequestsMax connections, opened when they are needed. */
export function createKesTransport(peer: KesPeer, timeoutMs: number): KesTransport {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: limits.kesRequestsMax,
    secureContext: peer.tls,
  })
  return {
    send: async (request) => {
      request.signal?.throwIfAborted()
      return successOf(await exchange({ peer, agent, timeoutMs }, request))
    },
    close: () => agent.destroy(),
  }
}

interface Wire {
  readonly peer: KesPeer
  readonly agent: Agent
  readonly timeoutMs: number
}

interface RawAnswer extends KesAnswer {
  readonly status: number
}

/** One limit of time for all of it, so that a server that drips bytes holds nobody up. */
function exchange({ peer, agent, timeoutMs }: Wire, asked: KesRequest): Promise<RawAnswer> {
  const { method, path, signal } = asked
  const body = asked.body === undefined ? '' : JSON.stringify(asked.body)
  const headers = {
    accept: 'application/json',
    ...(method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) }),
    ...(asked.body === undefined ? {} : { 'content-type': 'application/json' }),
  }
  const to = { host: peer.host, port: peer.port, agent, method, path, headers }
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      clearTimeout(timer)
      reject(failureOf(error))
      request.destroy()
    }
    const request = send({ ...to, ...(signal === undefined ? {} : { signal }) }, (response) => {
      const status = response.statusCode ?? 0
      const pieces: Buffer[] = []
      let bytes = 0
      response.on('data', (piece: Buffer) => {
        pieces.push(piece)
        bytes += piece.length
        if (bytes > limits.kesAnswerBytesMax) fail(tooLong(status))
      })
      response.on('error', fail)
      response.on('end', () => {
        clearTimeout(timer)
        const contentType = response.headers['content-type'] ?? ''
        resolve({ status, contentType, body: Buffer.concat(pieces).toString('utf8') })
      })
    })
    const timer = setTimeout(() => {
      fail(new KesFailure(0, 'TIMEOUT', `no whole answer in ${timeoutMs} ms`))
    }, timeoutMs)
    request.on('error', fail)
    request.end(body)
  })
}

const tooLong = (status: number): KesFailure =>
  new KesFailure(status, 'TOO_LONG', `its answer is over ${limits.kesAnswerBytesMax} bytes`)

function successOf({ status, contentType, body }: RawAnswer): KesAnswer {
  if (status === 200) return { contentType, body }
  throw new KesFailure(status, 'KES', messageOf(contentType, body))
}

/** `{"message": …}`, or `{"error": …}` of older servers; '' where the answer is no JSON of KES. */
function messageOf(contentType: string, body: string): string {
  if (!contentType.startsWith('application/json')) return ''
  try {
    const { message, error } = JSON.parse(body) as { message?: unknown; error?: unknown }
    const said = [error, message].find((one) => typeof one === 'string' && one !== '')
    return String(said ?? '').slice(0, 500)
  } catch {
    return ''
  }
}
