import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import type { LifecycleRule, ReplicationRule } from '../object-store.ts'
import { xmlOf } from './rule-xml.ts'
import { contentMd5, headersOnly } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { readDocument } from './s3-document.ts'
import { childOf, childrenOf, textOf, type XmlElement } from './s3-xml.ts'

/** What rules of a bucket are about. */
export type RulesKind = 'lifecycle' | 'replication'

/** Words of servers, and of buckets, that have no such rules. */
const none = [
  'ReplicationConfigurationNotFoundError',
  'NoSuchLifecycleConfiguration',
  'NotImplemented',
  'MethodNotAllowed',
]
const ROOTS = { lifecycle: 'LifecycleConfiguration', replication: 'ReplicationConfiguration' }
const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** The rules of a bucket, and in whose name copies are made, as they stand there. */
export interface RulesDocument {
  readonly rules: readonly XmlElement[]
  /** '': nobody's. */
  readonly role: string
}

/** Source: Amazon S3 API, GetBucketReplication, GetBucketLifecycleConfiguration. */
export async function readRules(
  bucket: Bucket,
  kind: RulesKind,
  what: string,
): Promise<RulesDocument> {
  const bytesMax = limits.s3RulesBytesMax
  const found = await readDocument(bucket, { query: kind, root: ROOTS[kind], none, bytesMax, what })
  return { rules: childrenOf(found, 'Rule'), role: textOf(found, 'Role') }
}

/**
 * Replaces all rules of that kind. Source: Amazon S3 API, PutBucketReplication,
 * PutBucketLifecycleConfiguration.
 *
 * @throws BAD_INPUT where the server does not take them, with its words
 */
export async function putRules(
  bucket: Bucket,
  kind: RulesKind,
  { rules, role }: RulesDocument,
  what: string,
): Promise<void> {
  const root = ROOTS[kind]
  const named = role === '' ? '' : xmlOf('Role', role)
  const text = `<${root} xmlns="${NAMESPACE}">${named}${xmlOf('Rule', rules)}</${root}>`
  const content = Buffer.from(text)
  await bucket.call({
    method: 'PUT',
    query: { [kind]: '' },
    headers: { 'content-md5': contentMd5(content), 'content-type': 'application/xml' },
    body: { content, sha256: sha256Hex(content) },
    what,
    read: headersOnly,
  })
}

export const replicationRuleOf = (rule: XmlElement): ReplicationRule => ({
  ...commonOf(rule),
  // MinIO names the target arn:minio:replication:<region>:<id>:<bucket>.
  target: destinationOf(rule).replace(/^arn:[^:]*:[^:]*:.*:/, ''),
})

/** Where a rule's copies go, as it stands there; '' in a rule of another kind. */
export const destinationOf = (rule: XmlElement): string =>
  textOf(childOf(rule, 'Destination'), 'Bucket')

export function lifecycleRuleOf(rule: XmlElement): LifecycleRule {
  const expiration = childOf(rule, 'Expiration')
  return {
    ...commonOf(rule),
    expires: textOf(expiration, 'Days') !== '' || textOf(expiration, 'Date') !== '',
    expiresHidden: 'NoncurrentVersionExpiration' in rule,
    moves: 'Transition' in rule || 'NoncurrentVersionTransition' in rule,
  }
}

const commonOf = (rule: XmlElement) => ({
  id: textOf(rule, 'ID'),
  enabled: textOf(rule, 'Status') === 'Enabled',
  prefix: prefixOf(rule),
})

/** Of a rule for some tags alone it is '': who has the tags is not looked at. */
function prefixOf(rule: XmlElement): string {
  const filter = childOf(rule, 'Filter')
  return (
    textOf(rule, 'Prefix') || textOf(filter, 'Prefix') || textOf(childOf(filter, 'And'), 'Prefix')
  )
}
