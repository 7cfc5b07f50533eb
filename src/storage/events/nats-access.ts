import { AkidbError } from '../../errors/errors.ts'
import { parseServerUrl } from '../server-url.ts'
import { readTlsFiles, type TlsFiles, type TlsPaths } from '../tls-files.ts'
import { type NatsCredentials, readNatsCredentials } from './nats-credentials.ts'

/** How a NATS server is reached, and as whom. Its `caFile` stands in place of the system's. */
export interface NatsAccess extends TlsPaths {
  /** `nats://host:port`, or `tls://host:port`, which refuses a connection without TLS. */
  readonly url: string
  /** Where the server of the bucket publishes; default `bucketevents`. */
  readonly subject?: string
  /** Stream that keeps them; default: the one that takes that subject. */
  readonly stream?: string
  /** See readNatsCredentials. */
  readonly credentialsFile?: string
  /** Refuse every address but the loopback. */
  readonly offline?: boolean
}

/** A server's address and what proves both sides to each other, read and checked. */
export interface NatsPeer {
  /** For messages. */
  readonly url: string
  readonly host: string
  readonly hostPort: string
  readonly subject: string
  readonly stream: string | undefined
  /** Undefined: whatever the server offers. */
  readonly tls: TlsFiles | undefined
  readonly credentials: NatsCredentials | undefined
}

/** The name in MinIO's own documentation. */
const SUBJECT = 'bucketevents'
const PORT = 4222

/** Whether an address is that of a NATS server. */
export const isNatsUrl = (url: string): boolean => /^(nats|tls):\/\//i.test(url)

/**
 * Reads and checks what is named, and connects to nothing.
 *
 * @throws USAGE for an address or a name that is none, or is refused by `offline`; NOT_FOUND, AUTH
 *   for a file that cannot or may not be read; BAD_INPUT for one that holds something else
 */
export async function readNatsPeer(access: NatsAccess): Promise<NatsPeer> {
  const { url, subject = SUBJECT, stream, credentialsFile, offline } = access
  const { host, port, isTls } = parseAddress(url, offline === true)
  checkName('subject', subject, /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/)
  if (stream !== undefined) checkName('stream', stream, /^[A-Za-z0-9_-]+$/)
  const files = await readTlsFiles(access, '--nats')
  const wantsTls = isTls || Object.keys(files).length > 0
  const credentials =
    credentialsFile === undefined ? undefined : await readNatsCredentials(credentialsFile)
  const hostPort = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    url: `${wantsTls ? 'tls' : 'nats'}://${hostPort}`,
    host,
    hostPort,
    subject,
    stream,
    tls: wantsTls ? files : undefined,
    credentials,
  }
}

function parseAddress(
  url: string,
  offline: boolean,
): { readonly host: string; readonly port: number; readonly isTls: boolean } {
  const isTls = /^tls:/i.test(url)
  // As the others are read: a port of its own, no path, no password.
  const asHttp = url.replace(/^(nats|tls):/i, 'http:')
  const isPortless = !/:\d+\/?$/.test(url)
  const { host, port } = parseServerUrl(asHttp, offline)
  return { host, port: isPortless ? PORT : port, isTls }
}

function checkName(what: string, name: string, form: RegExp): void {
  if (form.test(name) && name.length <= 255) return
  throw new AkidbError('USAGE', `"${name.slice(0, 200)}" is no NATS ${what}`, {
    hint: 'Letters, digits, _ and -; a subject is such words joined by dots, without wildcards.',
  })
}
