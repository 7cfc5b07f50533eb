import { X509Certificate } from 'node:crypto'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'
import { AkidbError } from '../../errors/errors.ts'
import { parseServerUrl, type ServerUrl } from '../server-url.ts'
import { readTlsFiles, type TlsPaths } from '../tls-files.ts'

/** How a bucket's server is reached, and as whom. Its `caFile` is beside those of the system. */
export interface S3Access extends TlsPaths {
  /** `http://` or `https://`, host, port. Never guessed: an address is only what was named. */
  readonly endpoint?: string
  /** Default: us-east-1. */
  readonly region?: string
  /** Where the bucket's name stands: in the path (default) or before the host. */
  readonly addressing?: 'path' | 'virtual'
  readonly accessKey?: string
  readonly secretKey?: string
  readonly sessionToken?: string
  /** Refuse every address but the loopback. */
  readonly offline?: boolean
  /** How long a request that fails is tried again; default limits.s3RetryForMs. */
  readonly retryForMs?: number
  /**
   * Told once an outage that a request has been tried again, or waits for an answer, for
   * limits.s3RetryNoteMs.
   */
  readonly onOutage?: (message: string) => void
  /** Ends every request that is under way, and all that would follow. */
  readonly signal?: AbortSignal
  /** Silence after which a request counts as lost; default limits.s3IdleTimeoutMs. */
  readonly idleTimeoutMs?: number
}

/** @throws USAGE where there is none, it is not one, or it is refused by `offline` */
export function parseEndpoint({ endpoint, offline, addressing }: S3Access): ServerUrl {
  if (endpoint === undefined) {
    throw new AkidbError('USAGE', 'no server was named for the bucket', {
      hint: 'Give --s3-endpoint https://host:port (or AKIDB_S3_ENDPOINT, AWS_ENDPOINT_URL_S3).',
    })
  }
  const server = parseServerUrl(endpoint, offline === true)
  // What stands before the host makes it another one, whose address is asked of a name server.
  const isNumber = server.host.includes(':') || /^[\d.]+$/.test(server.host)
  if (addressing === 'virtual' && (offline === true || isNumber)) {
    const why = isNumber ? 'an address of numbers' : '--offline'
    throw new AkidbError('USAGE', `the bucket's name cannot stand before the host with ${why}`, {
      hint: 'Give --s3-addressing path.',
    })
  }
  return server
}

/** Who asks; undefined for nobody. @throws USAGE for half a pair */
export function credentialsOf({
  accessKey = '',
  secretKey = '',
}: S3Access): { readonly accessKey: string; readonly secretKey: string } | undefined {
  if ((accessKey === '') !== (secretKey === '')) {
    throw new AkidbError('USAGE', 'an access key needs its secret key, and a secret key its own', {
      hint: 'Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    })
  }
  return accessKey === '' ? undefined : { accessKey, secretKey }
}

/**
 * Whom we trust and who we are, for TLS; made once, as the system's authorities are many.
 *
 * @throws NOT_FOUND, AUTH for a file that cannot or may not be read; USAGE for half a pair;
 *   BAD_INPUT for a file that is no certificate or key
 */
export async function readSecureContext(access: S3Access): Promise<SecureContext> {
  const { ca, ...own } = await readTlsFiles(access, '--s3')
  // A file without a certificate would otherwise pass for one that adds nobody.
  if (ca !== undefined) usable(access.caFile, () => new X509Certificate(ca))
  const trusted = ca === undefined ? {} : { ca: [...rootCertificates, ca] }
  return usable(access.clientCertFile, () => createSecureContext({ ...own, ...trusted }))
}

function usable<T>(path: string | undefined, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const { message } = cause as Error
    throw new AkidbError('BAD_INPUT', `cannot use ${path} for TLS: ${message}`, {
      hint: 'A PEM file is wanted; a private key must be that of its certificate, and not locked.',
      details: { path },
      cause,
    })
  }
}
