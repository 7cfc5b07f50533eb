import { parseDsse, signDetached, verifyDetached } from './dsse.ts'
import { encodePublicKey } from './public-key-file.ts'
import type { PublicKey, Signer } from './signer.ts'

/** DSSE payload type of a log key's certificate. */
export const LOG_KEY_PAYLOAD_TYPE = 'application/vnd.akidb.log-key+pem'

/**
 * The certificate of a log's public key, detached (`audit/<log id>/key.dsse`): who trusts one of
 * the signers trusts the checkpoints of that log. What is signed is the key's PEM without a name
 * line.
 */
export const certifyLogKey = (logKey: PublicKey, signers: readonly Signer[]): Uint8Array =>
  signDetached(LOG_KEY_PAYLOAD_TYPE, payloadOf(logKey), signers)

/**
 * Whether one of `keys` certified this log key.
 *
 * @throws SIGNATURE where the certificate is malformed
 */
export function isCertifiedLogKey(
  logKey: PublicKey,
  certificate: Uint8Array,
  keys: readonly PublicKey[],
): boolean {
  const dsse = parseDsse(certificate)
  const verdict = verifyDetached(dsse, LOG_KEY_PAYLOAD_TYPE, payloadOf(logKey), keys)
  return verdict.valid.length > 0 && verdict.bad.length === 0
}

const payloadOf = ({ keyId, raw }: PublicKey): Uint8Array =>
  Buffer.from(encodePublicKey({ keyId, raw }))
