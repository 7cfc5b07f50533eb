import type { Ledger } from '../../db/sealed/ledger.ts'
import { domainOf, envelopeDomainOf } from '../../db/sealed/target.ts'
import type { OpenedStore } from '../../db/store.ts'
import { AkidbError } from '../../errors/errors.ts'
import { encryptionOf } from '../sealed/write-ledger.ts'
import type { EnvelopeSealing } from './envelope-body.ts'

/** How what is pushed is encrypted: by the server, here, or not. */
export interface EncryptionOptions {
  /** Key of the bucket's KMS. */
  readonly kmsKey?: string
  /** Encrypts the blobs here, before they are sent; not together with `kmsKey`. */
  readonly envelope?: EnvelopeSealing
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
}

/** Where the blobs lie: each key has a domain of its own. */
export const blobDomain = ({ kmsKey, envelope }: EncryptionOptions): string =>
  envelope === undefined ? domainOf(kmsKey) : envelopeDomainOf(envelope.keyId)

/**
 * A key that cannot be used shows before anything is sent.
 *
 * @throws USAGE for two ways to encrypt at once; what KesClient.generateDataKey throws
 */
export async function tryEnvelopes({
  envelope,
  kmsKey,
  dryRun,
  signal,
}: EncryptionOptions): Promise<void> {
  if (envelope === undefined) return
  if (kmsKey !== undefined) {
    throw new AkidbError('USAGE', 'blobs are encrypted by the server or here, not both', {
      hint: 'Give --kms-key or --envelope-key.',
    })
  }
  if (dryRun === true) return
  const context = Buffer.from('akidb push')
  const { plaintext } = await envelope.server.generateDataKey(envelope.keyId, context, signal)
  plaintext.fill(0)
}

/** Keys of a KMS are easily forgotten, and what was sealed without stays so. */
export function warnOfPlain(
  { environment }: OpenedStore,
  ledger: Ledger,
  options: EncryptionOptions,
): void {
  const enveloped = [...ledger.expected.values()].find(({ object }) => object.envelope)
  const keyId = encryptionOf(ledger).encryption?.keyId ?? enveloped?.object.envelope?.keyId
  if ((options.kmsKey ?? options.envelope) !== undefined || keyId === undefined) return
  const message = `what was sealed there before is encrypted under ${keyId}; this push is not`
  environment.warn({ code: 'NOT_ENCRYPTED', message })
}
