import { AkidbError } from '../errors/errors.ts'

/** A server's address, in the parts that a client wants. */
export interface ServerUrl {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/**
 * `http://` or `https://`, host and port, and nothing after them.
 *
 * @param endpoint as the operator wrote it; without a port it is the scheme's own
 * @throws USAGE where it is not one, or `offline` refuses it
 */
export function parseServerUrl(endpoint: string, offline: boolean): ServerUrl {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const isPlain = url !== undefined && url.pathname === '/' && url.search === '' && !url.username
  if (!isPlain || !/^https?:$/.test(url.protocol)) {
    // What stands before an @ may be a password.
    const shown = endpoint.slice(0, 200).replace(/^(.*:\/\/)?.*@/, '$1…@')
    throw new AkidbError('USAGE', `"${shown}" is no address of a server`, {
      hint: 'Write https://host:port, without a path.',
    })
  }
  const tls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (offline && !isLoopback(host)) {
    throw new AkidbError('USAGE', `--offline refuses the server ${host}`, {
      hint: 'Only loopback addresses are allowed offline.',
    })
  }
  return { host, port: url.port === '' ? (tls ? 443 : 80) : Number(url.port), tls }
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
