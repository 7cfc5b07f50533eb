import { sha256Hex } from '../../core/digest.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { DeleteOptions, LockState, Retention, SealedInfo } from '../object-store.ts'
import { contentMd5, type Headers, headersOnly } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { readDocument } from './s3-document.ts'
import { isAbsent } from './s3-errors.ts'
import { headOf, type Readable } from './s3-read.ts'
import { childOf, childrenOf, textOf, type XmlElement } from './s3-xml.ts'

/** One version of one object. */
export interface Versioned extends Readable {
  readonly versionId: string
}

/** What the server says of a version; undefined where it is not there. */
export async function headVersion(
  at: Versioned,
  shownKey: string,
): Promise<SealedInfo | undefined> {
  const head = await headOf(at)
  if (head === undefined) return undefined
  const { headers, bytes, modifiedMs } = head
  return {
    key: shownKey,
    versionId: at.versionId,
    bytes,
    modifiedMs,
    retention: retentionIn(headers),
    legalHold: headers['x-amz-object-lock-legal-hold'] === 'ON',
    keyId: plainKeyId(headers['x-amz-server-side-encryption-aws-kms-key-id']),
    checksum: headers['x-amz-checksum-sha256'],
    replication: headers['x-amz-replication-status'],
  }
}

function retentionIn(headers: Headers): Retention | undefined {
  const mode = headers['x-amz-object-lock-mode']
  const untilMs = Date.parse(headers['x-amz-object-lock-retain-until-date'] ?? '')
  const isLocked = (mode === 'COMPLIANCE' || mode === 'GOVERNANCE') && !Number.isNaN(untilMs)
  return isLocked ? { mode, untilMs } : undefined
}

/** MinIO names keys `arn:aws:kms:<key id>`, whatever they were called in the request. */
const plainKeyId = (name: string | undefined): string | undefined =>
  name?.replace(/^arn:aws:kms:(?=[^:]+$)/, '')

/** Source: Amazon S3 API, PutObjectRetention. @throws RETENTION where that would shorten it */
export async function putRetention(at: Versioned, retention: Retention): Promise<void> {
  const until = new Date(retention.untilMs).toISOString()
  const xml =
    `<Retention><Mode>${retention.mode}</Mode>` +
    `<RetainUntilDate>${until}</RetainUntilDate></Retention>`
  try {
    await putDocument(at, 'retention', xml)
  } catch (error) {
    if (!hasCode(error, 'RETENTION') || !(await hardens(at, retention))) throw error
    await putDocument(at, 'retention', xml, { 'x-amz-bypass-governance-retention': 'true' })
  }
}

/**
 * Whether a version goes from GOVERNANCE to COMPLIANCE and is held no shorter: what the server
 * takes for an evasion, and allows to whom it allows those.
 */
async function hardens(at: Versioned, { mode, untilMs }: Retention): Promise<boolean> {
  const now = retentionIn((await headOf(at))?.headers ?? {})
  return mode === 'COMPLIANCE' && now?.mode === 'GOVERNANCE' && now.untilMs <= untilMs
}

/** Source: Amazon S3 API, PutObjectLegalHold. */
export const putLegalHold = async (at: Versioned, on: boolean): Promise<void> =>
  await putDocument(
    at,
    'legal-hold',
    `<LegalHold><Status>${on ? 'ON' : 'OFF'}</Status></LegalHold>`,
  )

async function putDocument(
  { bucket, key, versionId, what }: Versioned,
  name: string,
  xml: string,
  headers: Headers = {},
): Promise<void> {
  const content = Buffer.from(xml)
  await bucket.call({
    method: 'PUT',
    key,
    query: { [name]: '', versionId },
    headers: { ...headers, 'content-md5': contentMd5(content), 'content-type': 'application/xml' },
    body: { content, sha256: sha256Hex(content) },
    what,
    read: headersOnly,
  })
}

/** Words of servers, and of buckets, that have no such thing. */
const none = ['ObjectLockConfigurationNotFoundError', 'NotImplemented', 'MethodNotAllowed']
const VERSIONING = { query: 'versioning', root: 'VersioningConfiguration', none }
const LOCK = { query: 'object-lock', root: 'ObjectLockConfiguration', none }

/** Whether a bucket keeps versions, can lock them, and what it locks by itself. */
export async function readLockState(bucket: Bucket, what: string): Promise<LockState> {
  const versioning = await readDocument(bucket, { ...VERSIONING, what })
  const lock = await readDocument(bucket, { ...LOCK, what })
  return {
    versioned: textOf(versioning, 'Status') === 'Enabled',
    locked: textOf(lock, 'ObjectLockEnabled') === 'Enabled',
    defaultRetention: defaultRetention(lock),
  }
}

const DAYS_A_YEAR = 365

function defaultRetention(lock: XmlElement): LockState['defaultRetention'] {
  const rule = childrenOf(lock, 'Rule')[0]
  const retention = rule === undefined ? {} : childOf(rule, 'DefaultRetention')
  const mode = textOf(retention, 'Mode')
  const years = Number(textOf(retention, 'Years')) || 0
  const days = years * DAYS_A_YEAR + (Number(textOf(retention, 'Days')) || 0)
  return mode === '' ? undefined : { mode, days }
}

/** Removes one version for good, so that neither it nor a marker stays; without one the newest. */
export async function deleteObject(
  { bucket, key, versionId, what, tidies = false }: Readable,
  { notAfterMs, onDoubt }: Pick<DeleteOptions, 'notAfterMs' | 'onDoubt'> = {},
): Promise<void> {
  await bucket.call<unknown>({
    method: 'DELETE',
    key,
    notAfterMs,
    onDoubt,
    tidies,
    query: versionId === undefined ? {} : { versionId },
    what,
    read: headersOnly,
    expected: (failure) => (isAbsent(failure) ? Promise.resolve(undefined) : undefined),
  })
}

/** Without its id a request would be about the newest. @throws BAD_INPUT for what is no id */
export function checkVersionId(versionId: string): string {
  if (versionId === '') throw new AkidbError('INTERNAL', 'a version has an id')
  if (/^\w[\w.+=~-]{0,1023}$/.test(versionId)) return versionId
  throw new AkidbError('BAD_INPUT', `"${versionId.slice(0, 100)}" is no id of a version`)
}
