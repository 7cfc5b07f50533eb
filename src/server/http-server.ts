import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { Fetch } from './app.ts'

/** A server that accepts connections. */
export interface HttpServer {
  readonly url: string
  readonly port: number
  /** Accepts no more connections and ends those that are idle. */
  stopAccepting(): void
  /** Ends the rest, at the latest after `timeoutMs`. */
  close(timeoutMs: number): Promise<void>
}

/** Node looks this often for connections that are over their time. */
const CHECK_INTERVAL_MS = 1_000

/**
 * Listens with bounded headers, times and connections, so that slow or many clients hold nothing
 * for long.
 *
 * @throws LOCKED where the port is taken, AUTH where it may not be used, USAGE for an address that
 * is not ours
 */
export async function listenHttp(
  fetch: Fetch,
  address: { readonly host: string; readonly port: number },
): Promise<HttpServer> {
  const server = createServer(
    {
      maxHeaderSize: limits.serverHeaderBytesMax,
      headersTimeout: limits.serverHeaderTimeoutMs,
      requestTimeout: limits.serverRequestTimeoutMs,
      keepAliveTimeout: limits.serverIdleTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      requireHostHeader: true,
    },
    getRequestListener((request) => fetch(request), { overrideGlobalObjects: false }),
  )
  server.maxConnections = limits.serverConnectionsMax
  // A client that does not take its answer.
  server.setTimeout(limits.serverRequestTimeoutMs)
  await listen(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  let closed: Promise<void> | undefined
  const stopAccepting = (): void => {
    closed ??= new Promise((done) => server.close(() => done()))
    server.closeIdleConnections()
  }
  return {
    url: `http://${host}:${port}`,
    port,
    stopAccepting,
    close: async (timeoutMs) => {
      stopAccepting()
      const timer = setTimeout(() => server.closeAllConnections(), timeoutMs)
      await closed
      clearTimeout(timer)
    },
  }
}

function listen(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', (error) => failed(listenError(error, `${host}:${port}`)))
    server.listen({ host, port }, done)
  })
}

function listenError(error: NodeJS.ErrnoException, address: string): Error {
  const cannot = `cannot listen on ${address}`
  switch (error.code) {
    case 'EADDRINUSE':
      return new AkidbError('LOCKED', `${cannot}: the port is taken`, {
        hint: 'Choose another with --listen; port 0 takes a free one.',
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
      return new AkidbError('AUTH', `${cannot}: permission denied`, {
        hint: 'Ports under 1024 belong to root.',
        cause: error,
      })
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAFNOSUPPORT':
      return new AkidbError('USAGE', `${cannot}: that is no address of this machine`, {
        hint: 'The loopback is 127.0.0.1, all addresses are 0.0.0.0.',
        cause: error,
      })
    default:
      return error
  }
}
