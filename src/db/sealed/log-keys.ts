import { certificateKey } from '../../audit/layout.ts'
import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import { isCertifiedLogKey } from '../../trust/log-key.ts'
import { parsePublicKey } from '../../trust/public-key-file.ts'
import type { PublicKey } from '../../trust/signer.ts'
import { type KeyVersions, readSealed, type SmallReads } from './target.ts'

/** Log whose folder a key lies in; undefined for keys elsewhere. */
export const logIdOfKey = (key: string): string | undefined =>
  /^audit\/([0-9a-f]{64})\//.exec(key)?.[1]

/**
 * The keys that may sign for the logs of a target: those that the caller trusts, and the log keys
 * that one of those vouches for.
 *
 * @param trusted awaited when all that they are asked about has been read
 */
export async function trustedLogKeys(
  reads: SmallReads,
  listed: ReadonlyMap<string, KeyVersions>,
  trusted: Promise<readonly PublicKey[]>,
): Promise<readonly PublicKey[]> {
  const found = [...listed.values()].map(async (pem) => {
    const logId = logIdOfKey(pem.key)
    if (logId === undefined || pem.key !== `audit/${logId}/key.pem`) return undefined
    return await certifiedKey(reads, { pem, dsse: listed.get(certificateKey(logId)) }, trusted)
  })
  const certified = (await Promise.all(found)).filter((key) => key !== undefined)
  return [...new Map([...(await trusted), ...certified].map((key) => [key.keyId, key])).values()]
}

/** A log's key, where a trusted key vouches for it. */
async function certifiedKey(
  reads: SmallReads,
  { pem, dsse }: { readonly pem: KeyVersions; readonly dsse: KeyVersions | undefined },
  trusted: Promise<readonly PublicKey[]>,
): Promise<PublicKey | undefined> {
  if (dsse === undefined) return undefined
  const logId = logIdOfKey(pem.key) ?? ''
  const bytesMax = limits.auditKeyBytesMax
  const key = readSealed(reads, pem, bytesMax, (bytes) => parsed(bytes, logId))
  // Its failure is that of the wait for it, below.
  key.catch(() => undefined)
  return await readSealed(reads, dsse, bytesMax, async (certificate) => {
    const certified = await key
    if (certified === undefined) return undefined
    return certifies(certified, certificate, await trusted) ? certified : undefined
  })
}

function parsed(bytes: Uint8Array, logId: string): PublicKey | undefined {
  try {
    const key = parsePublicKey(bytes, 'key.pem')
    return key.keyId === logId ? key : undefined
  } catch (error) {
    if (hasCode(error, 'BAD_INPUT')) return undefined
    throw error
  }
}

function certifies(
  key: PublicKey,
  certificate: Uint8Array,
  trusted: readonly PublicKey[],
): boolean {
  try {
    return isCertifiedLogKey(key, certificate, trusted)
  } catch (error) {
    if (hasCode(error, 'SIGNATURE')) return false
    throw error
  }
}
