import type { Ledger } from '../../db/sealed/ledger.ts'
import type { SealedObject } from '../../db/sealed/seal-record.ts'
import type { SealedInfo, SealedStore, SealOptions } from '../../storage/object-store.ts'
import { findVersion } from '../sealed/find-version.ts'
import { retentionChange } from '../sealed/retention.ts'
import { placeEnvelope } from './place-envelope.ts'
import { isInParts, keep, LOOK_BYTES_MIN, otherBytes, type Placed, uploaded } from './placed.ts'
import type { Wanted } from './push-plan.ts'

export interface PlaceOptions extends SealOptions {
  readonly expected: Ledger['expected']
  /** Say what would be done, and do nothing. */
  readonly dryRun?: boolean
}

/**
 * What is known to be refused is refused before anything is sent.
 *
 * @throws CONFLICT where other bytes were sealed under its key; RETENTION where it is held under
 *   COMPLIANCE, and GOVERNANCE would have to extend that
 */
export function checkPlaceable(
  target: SealedStore,
  { key, body, envelope }: Wanted,
  { expected, retention }: Pick<PlaceOptions, 'expected' | 'retention'>,
): void {
  const known = expected.get(key)
  if (known === undefined) return
  const { object } = known
  // The key of an enveloped blob says its digest; the envelope's own is another each time.
  const isSame =
    envelope === undefined ? object.sha256 === body.sha256 : object.envelope?.bytes === body.bytes
  if (!isSame) throw otherBytes(target, key)
  retentionChange(key, known.retention, retention)
}

/**
 * Sees to it that one object is in the target, sealed as is wanted: what a seal record or its
 * checksum shows to be there is not sent again, and its retention only grows.
 *
 * @throws CONFLICT where other bytes were sealed under its key; RETENTION, INTEGRITY, and what the
 *   server says
 */
export async function placeObject(
  target: SealedStore,
  wanted: Wanted,
  options: PlaceOptions,
): Promise<Placed> {
  const { key, body } = wanted
  checkPlaceable(target, wanted, options)
  const known = options.expected.get(key)
  if (known !== undefined) {
    const info = await target.headVersion(key, known.object.versionId)
    if (info !== undefined) {
      const told = known.retention?.untilMs ?? 0
      // A push that was killed extended it, and did not tell.
      const news = told < (options.retention?.untilMs ?? 0)
      const object = wanted.envelope === undefined ? sealedObject(wanted, info) : known.object
      return await keep(target, object, info, { ...options, news })
    }
  }
  if (wanted.envelope !== undefined) return await placeEnvelope(target, wanted, options)
  const sent = (versionId: string): Promise<Placed> => {
    const { encryption } = options
    const version = { versionId, keyId: encryption?.keyId, checksum: undefined }
    return uploaded(target, sealedObject(wanted, version), options)
  }
  const isSmall = body.bytes < LOOK_BYTES_MIN && options.dryRun !== true
  if (!isSmall) {
    const orphan = await findVersion(target, key, body)
    if (orphan !== undefined) {
      return await keep(target, sealedObject(wanted, orphan), orphan, { ...options, news: true })
    }
  }
  if (options.dryRun === true) return await sent('')
  const versionId = await target.seal(key, body, options)
  if (versionId !== undefined) return await sent(versionId)
  const orphan = await findVersion(target, key, body)
  if (orphan === undefined) throw otherBytes(target, key)
  return await keep(target, sealedObject(wanted, orphan), orphan, { ...options, news: true })
}

function sealedObject(
  { key, body }: Wanted,
  { versionId, keyId, checksum }: Pick<SealedInfo, 'versionId' | 'keyId' | 'checksum'>,
): SealedObject {
  return {
    key,
    versionId,
    sha256: body.sha256,
    bytes: body.bytes,
    ...(keyId === undefined ? {} : { keyId }),
    ...(checksum === undefined || !isInParts(body) ? {} : { checksum }),
  }
}
