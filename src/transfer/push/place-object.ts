import { limits } from '../../core/limits.ts'
import type { Ledger } from '../../db/sealed/ledger.ts'
import type { SealedObject } from '../../db/sealed/seal-record.ts'
import { AkidbError } from '../../errors/errors.ts'
import type {
  SealedBody,
  SealedInfo,
  SealedStore,
  SealOptions,
} from '../../storage/object-store.ts'
import { findVersion } from '../sealed/find-version.ts'
import { type RetentionChange, retentionChange } from '../sealed/retention.ts'
import type { Wanted } from './push-plan.ts'

/** What became of one object. */
export interface Placed {
  readonly object: SealedObject
  /** It was sent now. */
  readonly uploaded: boolean
  readonly retention: RetentionChange
  /** A new record must tell of it. */
  readonly news: boolean
}

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
  { key, body }: Wanted,
  { expected, retention }: Pick<PlaceOptions, 'expected' | 'retention'>,
): void {
  const known = expected.get(key)
  if (known === undefined) return
  if (known.object.sha256 !== body.sha256) throw otherBytes(target, key)
  retentionChange(key, known.retention, retention)
}

/** A smaller body is sent before anybody looks whether it is there. */
const LOOK_BYTES_MIN = 64 * 1024

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
      return await keep(target, wanted, info, { ...options, news })
    }
  }
  const isSmall = body.bytes < LOOK_BYTES_MIN && options.dryRun !== true
  if (!isSmall) {
    const orphan = await findVersion(target, key, body)
    if (orphan !== undefined) return await keep(target, wanted, orphan, { ...options, news: true })
  }
  if (options.dryRun === true) return uploaded(wanted, { versionId: '' }, options)
  const versionId = await target.seal(key, body, options)
  if (versionId !== undefined) {
    const info = isInParts(body) ? await target.headVersion(key, versionId) : undefined
    return uploaded(wanted, { versionId, checksum: info?.checksum }, options)
  }
  const orphan = await findVersion(target, key, body)
  if (orphan === undefined) throw otherBytes(target, key)
  return await keep(target, wanted, orphan, { ...options, news: true })
}

/** Of such a body the store's checksum is not the digest. */
const isInParts = ({ bytes }: SealedBody): boolean => bytes > limits.s3PutBytesMax

function uploaded(
  wanted: Wanted,
  version: { readonly versionId: string; readonly checksum?: string | undefined },
  { encryption, retention }: PlaceOptions,
): Placed {
  const object = sealedObject(wanted, { ...version, keyId: encryption?.keyId })
  return { object, uploaded: true, retention: retention ? 'set' : 'kept', news: true }
}

function sealedObject(
  { key, body }: Wanted,
  {
    versionId,
    keyId,
    checksum,
  }: Pick<SealedInfo, 'versionId' | 'keyId'> & { readonly checksum?: string | undefined },
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

async function keep(
  target: SealedStore,
  wanted: Wanted,
  info: SealedInfo,
  options: PlaceOptions & { readonly news: boolean },
): Promise<Placed> {
  const { key } = wanted
  const { versionId } = info
  const { change, retention } = retentionChange(key, info.retention, options.retention)
  const needsHold = options.legalHold === true && !info.legalHold
  if (options.dryRun !== true) {
    if (retention !== undefined) await target.setRetention(key, versionId, retention)
    if (needsHold) await target.setLegalHold(key, versionId, true)
  }
  return {
    object: sealedObject(wanted, info),
    uploaded: false,
    retention: change,
    news: options.news || change !== 'kept' || needsHold,
  }
}

const otherBytes = (target: SealedStore, key: string): AkidbError =>
  new AkidbError('CONFLICT', `${target.url}/${key} was sealed with other bytes`, {
    hint: 'Two stores push one name there, or a label was given anew. Push to another prefix.',
    details: { key },
  })
