import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { LifecycleRule, ReplicationRule } from '../object-store.ts'
import { xmlOf } from './rule-xml.ts'
import { contentMd5, headersOnly, readText } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { readDocument } from './s3-document.ts'
import { childOf, childrenOf, escapeXml, parseExactXml, textOf, type XmlElement } from './s3-xml.ts'

/** What rules of a bucket are about. */
export type RulesKind = 'lifecycle' | 'replication'

/** Words of buckets that have no such rules. */
const unset = ['ReplicationConfigurationNotFoundError', 'NoSuchLifecycleConfiguration']
/** And of servers that know of none. */
const none = [...unset, 'NotImplemented', 'MethodNotAllowed']
const ROOTS = { lifecycle: 'LifecycleConfiguration', replication: 'ReplicationConfiguration' }
const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** The rules of a bucket, and in whose name copies are made. */
export interface RulesDocument {
  readonly rules: readonly XmlElement[]
  /** '': nobody's. */
  readonly role: string
  /** What else stands beside the rules. */
  readonly more: XmlElement
}

/** Source: Amazon S3 API, GetBucketReplication, GetBucketLifecycleConfiguration. */
export async function readRules(
  bucket: Bucket,
  kind: RulesKind,
  what: string,
): Promise<readonly XmlElement[]> {
  const bytesMax = limits.s3RulesBytesMax
  const found = await readDocument(bucket, { query: kind, root: ROOTS[kind], none, bytesMax, what })
  return childrenOf(found, 'Rule')
}

/**
 * The same, to be written again: all of it, as it stands there.
 *
 * @throws BAD_INPUT where it cannot all be written again, or the server does not tell
 */
export async function readAllOfRules(
  bucket: Bucket,
  kind: RulesKind,
  what: string,
): Promise<RulesDocument> {
  const found = await bucket.call<XmlElement | undefined>({
    method: 'GET',
    query: { [kind]: '' },
    what,
    expected: ({ code }) => (unset.includes(code) ? Promise.resolve({}) : undefined),
    read: async (response) => {
      const text = await readText(response, limits.s3RulesBytesMax)
      return parseExactXml(text, ROOTS[kind])
    },
  })
  if (found !== undefined) {
    const { Rule: _, Role: __, ...more } = found
    return { rules: childrenOf(found, 'Rule'), role: textOf(found, 'Role'), more }
  }
  throw new AkidbError('BAD_INPUT', `${what}: those that it has would lose something`, {
    hint: 'They hold attributes, comments or names that akidb does not write. Use another tool.',
  })
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
  { rules, role, more }: RulesDocument,
  what: string,
): Promise<void> {
  const root = ROOTS[kind]
  const content = { ...(role === '' ? {} : { Role: escapeXml(role) }), Rule: rules, ...more }
  const text = xmlOf(root, content).replace('>', ` xmlns="${NAMESPACE}">`)
  const bytes = Buffer.from(text)
  await bucket.call({
    method: 'PUT',
    query: { [kind]: '' },
    headers: { 'content-md5': contentMd5(bytes), 'content-type': 'application/xml' },
    body: { content: bytes, sha256: sha256Hex(bytes) },
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

/** What rules of both kinds have. */
export const commonOf = (rule: XmlElement): Omit<ReplicationRule, 'target'> => ({
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
