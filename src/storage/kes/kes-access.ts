import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { sha256Hex } from '../../core/digest.ts'
import { AkidbError } from '../../errors/errors.ts'
import { parseServerUrl } from '../server-url.ts'
import { readTlsFiles, type TlsPaths } from '../tls-files.ts'

/** How a key server (MinIO KES) is reached, and as whom. */
export interface KesAccess extends TlsPaths {
  /** `https://`, host, port (7373 is usual). Never guessed. */
  readonly endpoint?: string
  /** Refuse every address but the loopback. */
  readonly offline?: boolean
  /** Wait for one whole answer; default limits.kesAnswerTimeoutMs. */
  readonly timeoutMs?: number
  /** How long a request that fails is tried again; default limits.kesRetryForMs. */
  readonly retryForMs?: number
}

/** An address, and what proves both sides to each other. */
export interface KesPeer {
  readonly host: string
  readonly port: number
  /** `https://host:port`, for messages. */
  readonly url: string
  /**
   * Who we are to the server: SHA-256 of the certificate's SubjectPublicKeyInfo, hex. Its policies
   * name it.
   */
  readonly identity: string
  /** Trusts the authorities of `caFile` alone, or where there is none those of the runtime. */
  readonly tls: SecureContext
}

/**
 * Reads and checks what is named, and connects to nothing.
 *
 * @throws USAGE for an address that is missing, is none or is refused, and for a missing
 *   certificate; NOT_FOUND, AUTH for a file that cannot or may not be read; BAD_INPUT for a file
 *   that is no certificate or key, or a key of another certificate
 */
export async function readKesPeer(access: KesAccess): Promise<KesPeer> {
  const { endpoint, offline } = access
  if (endpoint === undefined) {
    throw new AkidbError('USAGE', 'no key server was named', {
      hint: 'Give --kes-endpoint https://host:7373 (or AKIDB_KES_ENDPOINT).',
    })
  }
  const { host, port, tls } = parseServerUrl(endpoint, offline === true)
  if (!tls) {
    throw new AkidbError('USAGE', `"${endpoint.slice(0, 200)}": KES speaks TLS only`, {
      hint: 'Write https://host:7373.',
    })
  }
  const { ca, cert, key } = await readTlsFiles(access, '--kes')
  if (cert === undefined || key === undefined) {
    throw new AkidbError('USAGE', 'KES knows its clients by their certificates', {
      hint: 'Give --kes-client-cert and --kes-client-key.',
    })
  }
  // A file without a certificate would otherwise pass for one that trusts nobody.
  if (ca !== undefined) pemOf(access.caFile, () => new X509Certificate(ca))
  const identity = pemOf(access.clientCertFile, () => identityOf(cert))
  const trusted = ca === undefined ? {} : { ca }
  const context = pemOf(access.clientKeyFile, () => createSecureContext({ cert, key, ...trusted }))
  const shown = host.includes(':') ? `[${host}]` : host
  return { host, port, url: `https://${shown}:${port}`, identity, tls: context }
}

const identityOf = (cert: Buffer): string =>
  sha256Hex(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }))

function pemOf<T>(path: string | undefined, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message: string }
    const isPair = code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
    const why = isPair ? 'it is not the key of that certificate' : message
    throw new AkidbError('BAD_INPUT', `cannot use ${path} for TLS: ${why}`, {
      hint: 'A PEM file is wanted; the private key must not be locked by a passphrase.',
      details: { path },
      cause,
    })
  }
}
