import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import type { FreeSpace, LifecycleRule, ReplicationRule } from '../object-store.ts'
import { readText } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { readDocument } from './s3-document.ts'
import { childOf, childrenOf, textOf, type XmlElement } from './s3-xml.ts'

/** Words of servers, and of buckets, that have no such rules. */
const none = [
  'ReplicationConfigurationNotFoundError',
  'NoSuchLifecycleConfiguration',
  'NotImplemented',
  'MethodNotAllowed',
]
const REPLICATION = { query: 'replication', root: 'ReplicationConfiguration', none }
const LIFECYCLE = { query: 'lifecycle', root: 'LifecycleConfiguration', none }

/** Source: Amazon S3 API, GetBucketReplication. */
export async function readReplication(bucket: Bucket, what: string): Promise<ReplicationRule[]> {
  const found = await readDocument(bucket, {
    ...REPLICATION,
    what,
    bytesMax: limits.s3RulesBytesMax,
  })
  return childrenOf(found, 'Rule').map((rule) => ({
    id: textOf(rule, 'ID'),
    enabled: textOf(rule, 'Status') === 'Enabled',
    prefix: prefixOf(rule),
    // MinIO names the target arn:minio:replication:<region>:<id>:<bucket>.
    target: textOf(childOf(rule, 'Destination'), 'Bucket').replace(/^arn:[^:]*:[^:]*:.*:/, ''),
  }))
}

/** Source: Amazon S3 API, GetBucketLifecycleConfiguration. */
export async function readLifecycle(bucket: Bucket, what: string): Promise<LifecycleRule[]> {
  const found = await readDocument(bucket, { ...LIFECYCLE, what, bytesMax: limits.s3RulesBytesMax })
  return childrenOf(found, 'Rule').map((rule) => {
    const expiration = childOf(rule, 'Expiration')
    return {
      id: textOf(rule, 'ID'),
      enabled: textOf(rule, 'Status') === 'Enabled',
      prefix: prefixOf(rule),
      expires: textOf(expiration, 'Days') !== '' || textOf(expiration, 'Date') !== '',
      expiresHidden: 'NoncurrentVersionExpiration' in rule,
      moves: 'Transition' in rule || 'NoncurrentVersionTransition' in rule,
    }
  })
}

/** Of a rule for some tags alone it is '': who has the tags is not looked at. */
function prefixOf(rule: XmlElement): string {
  const filter = childOf(rule, 'Filter')
  return (
    textOf(rule, 'Prefix') || textOf(filter, 'Prefix') || textOf(childOf(filter, 'And'), 'Prefix')
  )
}

/**
 * What MinIO says of its drives, all together; undefined where nobody says anything. S3 has no
 * question for it.
 *
 * @param admin the bucket "minio" of the server: its admin API lies there (StorageInfo, v3)
 */
export async function readFreeSpace(admin: Bucket): Promise<FreeSpace | undefined> {
  try {
    return await admin.call({
      method: 'GET',
      key: 'admin/v3/storageinfo',
      what: 'cannot ask for free space',
      read: async (response) => freeSpaceIn(await readText(response, limits.s3RulesBytesMax)),
    })
  } catch (error) {
    // Refused, or no MinIO: it is not known, which is no fault.
    if (hasCode(error, 'AUTH', 'NOT_FOUND', 'BAD_INPUT', 'UNREACHABLE', 'TIMEOUT')) return undefined
    throw error
  }
}

function freeSpaceIn(json: string): FreeSpace | undefined {
  let drives: unknown
  try {
    drives = (JSON.parse(json) as { readonly Disks?: unknown }).Disks
  } catch {
    return undefined
  }
  if (!Array.isArray(drives)) return undefined
  let [freeBytes, bytes] = [0, 0]
  for (const drive of drives as readonly unknown[]) {
    const { availspace, totalspace } = Object(drive) as Record<string, unknown>
    if (!isBytes(availspace) || !isBytes(totalspace)) continue
    freeBytes += availspace
    bytes += totalspace
  }
  return bytes === 0 || freeBytes > bytes ? undefined : { freeBytes, bytes }
}

const isBytes = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0
