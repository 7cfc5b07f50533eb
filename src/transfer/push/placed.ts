import { limits } from '../../core/limits.ts'
import type { SealedObject } from '../../db/sealed/seal-record.ts'
import { AkidbError } from '../../errors/errors.ts'
import type {
  SealedBody,
  SealedInfo,
  SealedStore,
  SealOptions,
} from '../../storage/object-store.ts'
import { type RetentionChange, retentionChange } from '../sealed/retention.ts'

/** What became of one object. */
export interface Placed {
  readonly object: SealedObject
  /** It was sent now. */
  readonly uploaded: boolean
  readonly retention: RetentionChange
  /** A new record must tell of it. */
  readonly news: boolean
}

/** Of a larger body the store's checksum is not the digest. */
export const isInParts = ({ bytes }: Pick<SealedBody, 'bytes'>): boolean =>
  bytes > limits.s3PutBytesMax

/** A smaller body is sent before anybody looks whether it is there. */
export const LOOK_BYTES_MIN = 64 * 1024

/** An object that was sent now, or would be: then it has no version. */
export async function uploaded(
  target: SealedStore,
  object: SealedObject,
  { retention }: SealOptions,
): Promise<Placed> {
  const { key, versionId } = object
  const isSent = versionId !== '' && isInParts(object)
  const info = isSent ? await target.headVersion(key, versionId) : undefined
  const checksum = info?.checksum
  return {
    object: checksum === undefined ? object : { ...object, checksum },
    uploaded: true,
    retention: retention ? 'set' : 'kept',
    news: true,
  }
}

/** An object that is there already: its retention and hold only grow. */
export async function keep(
  target: SealedStore,
  object: SealedObject,
  info: SealedInfo,
  options: SealOptions & { readonly dryRun?: boolean; readonly news: boolean },
): Promise<Placed> {
  const { key } = object
  const { versionId } = info
  const { change, retention } = retentionChange(key, info.retention, options.retention)
  const needsHold = options.legalHold === true && !info.legalHold
  if (options.dryRun !== true) {
    if (retention !== undefined) await target.setRetention(key, versionId, retention)
    if (needsHold) await target.setLegalHold(key, versionId, true)
  }
  return {
    object,
    uploaded: false,
    retention: change,
    news: options.news || change !== 'kept' || needsHold,
  }
}

export const otherBytes = (target: SealedStore, key: string): AkidbError =>
  new AkidbError('CONFLICT', `${target.url}/${key} was sealed with other bytes`, {
    hint: 'Two stores push one name there, or a label was given anew. Push to another prefix.',
    details: { key },
  })
