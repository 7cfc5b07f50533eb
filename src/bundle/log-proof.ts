import { verifyProof } from '../audit/proof.ts'
import { AkidbError } from '../errors/errors.ts'
import { isCertifiedLogKey } from '../trust/log-key.ts'
import { parsePublicKey } from '../trust/public-key-file.ts'
import type { PublicKey } from '../trust/signer.ts'
import { certificateName, keyName } from './bundle-format.ts'
import type { BundleHead } from './head.ts'

export interface LogProofInput {
  readonly head: BundleHead
  readonly headDigest: string
  readonly proof: Uint8Array
  /** Members below keys/, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Keys that the reader trusts. */
  readonly keys: readonly PublicKey[]
}

/**
 * Checks that the export of this very head stands in the audit log that the head names, under a
 * checkpoint by that log's key, and that a trusted key vouches for the log's key (or that it is
 * trusted itself).
 *
 * @throws UNTRUSTED where nobody vouches; AUDIT_BROKEN, SIGNATURE, INTEGRITY where the proof shows
 *   something else
 */
export function checkLogProof(input: LogProofInput): void {
  const { head, headDigest } = input
  if (head.log.logId !== head.origin.logId) throw broken('it is about another log')
  const logKey = logKeyOf(input)
  const { seq, entry } = verifyProof(input.proof, [logKey])
  if (entry.act !== 'export' || entry.details?.headDigest !== headDigest) {
    throw broken(`entry ${seq} is not the export of this head`)
  }
  if (seq < head.log.size || seq < head.sequence) {
    throw broken(`entry ${seq} is older than the head`)
  }
}

function logKeyOf({ head, files, keys }: LogProofInput): PublicKey {
  const { logId } = head.origin
  const trusted = keys.find((key) => key.keyId === logId)
  if (trusted !== undefined) return trusted
  const pem = files.get(keyName(logId))
  if (pem === undefined) throw untrusted(logId, 'the bundle does not carry it')
  const key = readKey(pem)
  if (key?.keyId !== logId) throw broken('the key of its log is another one, or none')
  const certificate = files.get(certificateName(logId))
  if (certificate === undefined || !isCertifiedLogKey(key, certificate, keys)) {
    throw untrusted(logId, 'no trusted key vouches for it')
  }
  return key
}

function readKey(pem: Uint8Array): PublicKey | undefined {
  try {
    return parsePublicKey(pem, 'the log key')
  } catch (error) {
    if (error instanceof AkidbError) return undefined
    throw error
  }
}

const broken = (what: string): AkidbError =>
  new AkidbError('AUDIT_BROKEN', `the proof does not fit the bundle: ${what}`, {
    hint: 'Ask the sender for a new export.',
  })

const untrusted = (logId: string, why: string): AkidbError =>
  new AkidbError('UNTRUSTED', `the key of audit log ${logId} is not trusted: ${why}`, {
    hint: 'Export with a key that has certified its log, or trust the log key itself.',
  })
