import { AkidbError } from '../../errors/errors.ts'
import type { SealedStore, SealOptions } from '../../storage/object-store.ts'

/** Servers keep retention to the second. */
const SECOND_MS = 1_000

/**
 * Whether an object was born as was asked: a server that does not know a header may pass it over
 * without a word. Asked of the first object of a store, and of each push's manifests.
 *
 * @throws RETENTION where it is not locked as it should be, AUTH where it is not encrypted
 */
export async function checkBorn(
  target: SealedStore,
  { key, versionId }: { readonly key: string; readonly versionId: string },
  { retention, legalHold, encryption }: SealOptions,
): Promise<void> {
  const info = await target.headVersion(key, versionId)
  const found = info?.retention
  const isLocked =
    retention === undefined ||
    (found?.mode === retention.mode && found.untilMs > retention.untilMs - SECOND_MS)
  if (!isLocked || (legalHold === true && info?.legalHold !== true)) {
    throw new AkidbError('RETENTION', `the server took ${key}, and did not lock it as was asked`, {
      hint: 'It does not know object lock. Nothing that was sent is sealed: use another server.',
      details: { key, versionId },
    })
  }
  if (encryption === undefined || info?.keyId === encryption.keyId) return
  throw new AkidbError('AUTH', `the server took ${key}, and did not encrypt it as was asked`, {
    hint: 'It does not know SSE-KMS. Nothing that was sent is sealed: use another server.',
    details: { key, versionId, keyId: info?.keyId },
  })
}
