import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { systemClock } from '../system-clock.ts'
import { systemRandom } from '../system-random.ts'
import {
  type Credentials,
  type ReplicaTarget,
  replicaArn,
  setReplicaTarget,
} from './minio-admin.ts'
import { keysOf, type NewRule, type NewRules } from './new-rules.ts'
import { isSameElement, lostFrom } from './rule-xml.ts'
import { credentialsOf, type S3Access } from './s3-access.ts'
import { Bucket } from './s3-bucket.ts'
import {
  commonOf,
  destinationOf,
  putRules,
  type RulesDocument,
  type RulesKind,
  readAllOfRules,
} from './s3-rules.ts'
import { createTransport } from './s3-transport.ts'
import { parseS3Url } from './s3-url.ts'
import { escapeXml, type XmlElement } from './s3-xml.ts'

/** What became of a rule, or would become. */
export interface RuleChange {
  readonly kind: RulesKind
  readonly id: string
  readonly change: 'added' | 'changed' | 'none'
  readonly enabled: boolean
  readonly prefix: string
  readonly to?: string
}

export interface SetRulesOptions {
  /** Of the user at the other server, where rules name a bucket by its address. */
  readonly replica?: Credentials | undefined
  /** Only looks what would change. */
  readonly dryRun?: boolean | undefined
}

/** The rules of one bucket, to be changed. */
export interface BucketRules {
  /**
   * Puts rules in place of those of the same ids; the bucket's others stay as they are. What is
   * there already is not written again. Then looks whether they are there.
   *
   * @throws AUTH; BAD_INPUT as the server says; USAGE for a replica without credentials; CONFLICT
   *   where a rule of the same id is for keys outside the prefix, and where somebody else changed
   *   them at the same time
   */
  set(rules: NewRules, options?: SetRulesOptions): Promise<RuleChange[]>
  close(): void
}

/** @param url `s3://bucket/prefix` @throws USAGE, NOT_FOUND, AUTH for addresses and TLS files */
export async function openBucketRules(url: string, access: S3Access): Promise<BucketRules> {
  const { bucket, prefix } = parseS3Url(url)
  const transport = await createTransport(access)
  // Where buckets stand before the host, "minio" would be another host.
  const isVirtual = access.addressing === 'virtual'
  const plain = isVirtual ? await createTransport({ ...access, addressing: 'path' }) : transport
  const common = {
    clock: systemClock,
    random: () => (systemRandom(1)[0] ?? 0) / 256,
    signal: access.signal,
    onOutage: access.onOutage,
  }
  const retryForMs = access.retryForMs ?? limits.s3RetryForMs
  return new Rules(bucket, {
    prefix,
    bucket: new Bucket({ ...common, transport, bucket, retryForMs }),
    // What it says of another server that does not answer, or refuses us, looks like an outage.
    admin: new Bucket({ ...common, transport: plain, bucket: 'minio', retryForMs: 0 }),
    own: access,
    close: () => {
      transport.close()
      plain.close()
    },
  })
}

interface RulesPlace {
  /** Whose keys the rules may be for. */
  readonly prefix: string
  readonly bucket: Bucket
  readonly admin: Bucket
  readonly own: S3Access
  readonly close: () => void
}

class Rules implements BucketRules {
  readonly #name: string
  readonly #at: RulesPlace

  constructor(name: string, at: RulesPlace) {
    this.#name = name
    this.#at = at
  }

  async set(asked: NewRules, options: SetRulesOptions = {}): Promise<RuleChange[]> {
    const { kind } = asked
    const rules: NewRule[] = []
    for (const rule of asked.rules) rules.push(await this.#resolved(rule, options))
    const what = `cannot set the ${kind} rules of bucket ${this.#name}`
    const before = await readAllOfRules(this.#at.bucket, kind, what)
    this.#checkFormer(rules, before.rules, what)
    const ids = new Set(rules.map(({ id }) => id))
    const others = before.rules.filter((rule) => !ids.has(commonOf(rule).id))
    const role = asked.role || roleBeside(before.role, others, rules, what)
    const isSameRole = role === before.role
    const changes = rules.map((rule) => changeOf(rule, { kind, before: before.rules, isSameRole }))
    const isDone = changes.every(({ change }) => change === 'none')
    if (isDone || options.dryRun === true) return changes
    const all = [...others, ...rules.map(({ element }) => element)]
    const document = { ...before, rules: all, role }
    await putRules(this.#at.bucket, kind, document, what)
    const after = await readAllOfRules(this.#at.bucket, kind, what)
    checkThere({ ...document, rules: rules.map(({ element }) => element) }, after, what)
    return changes
  }

  /** Who sets up one prefix of a bucket takes no rule from the others in it. */
  #checkFormer(rules: readonly NewRule[], before: readonly XmlElement[], what: string): void {
    const ids = new Set(rules.map(({ id }) => id))
    const former = before.map(commonOf).filter(({ id }) => ids.has(id))
    const other = former.find(({ prefix }) => !prefix.startsWith(this.#at.prefix))
    if (other === undefined) return
    const message = `${what}: it has a rule "${other.id}" for ${keysOf(other)}`
    throw new AkidbError('CONFLICT', message, {
      hint: `Give the rule another ID, or name the bucket alone: --target s3://${this.#name}`,
    })
  }

  /** A rule whose copies go to what the server knows: its own name for it, not an address. */
  async #resolved(rule: NewRule, { replica, dryRun }: SetRulesOptions): Promise<NewRule> {
    const { to } = rule
    if (to === undefined) return rule
    if (!/^https?:/i.test(to)) return to.startsWith('arn:minio:') ? withDestination(rule, to) : rule
    const target = replicaTarget(to)
    const { admin, own } = this.#at
    const known = await replicaArn(admin, this.#name, target)
    if (dryRun === true || (replica === undefined && known !== undefined)) {
      return known === undefined ? rule : withDestination(rule, known)
    }
    const self = credentialsOf(own)
    if (self === undefined) {
      throw new AkidbError('USAGE', `who has bucket ${target.bucket} made known here?`, {
        hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
      })
    }
    if (replica === undefined) {
      throw new AkidbError('USAGE', `who writes the copies in bucket ${target.bucket} there?`, {
        hint: 'Give --replica-credentials <file>: {"accessKey":"…","secretKey":"…"}.',
      })
    }
    const access = { own: self, there: replica, arn: known }
    return withDestination(rule, await setReplicaTarget(admin, this.#name, target, access))
  }

  close(): void {
    this.#at.close()
  }
}

/**
 * The role of rules that are set beside others. A MinIO takes its name of a target there for that
 * of all rules, whatever they say: in its first versions rules had no target of their own.
 *
 * @throws CONFLICT where copies would go there, and not where the new rules say
 */
function roleBeside(
  role: string,
  others: readonly XmlElement[],
  rules: readonly NewRule[],
  what: string,
): string {
  const isTarget = role.startsWith('arn:minio:replication:')
  if (!isTarget || rules.every(({ to }) => to === role)) return role
  if (others.every((rule) => destinationOf(rule) === role)) return ''
  throw new AkidbError('CONFLICT', `${what}: all that it has copied goes to its Role, ${role}`, {
    hint: 'See mc replicate ls; remove what is no longer meant, and the Role with it.',
  })
}

/** @throws BAD_INPUT for what is no address of a bucket */
function replicaTarget(address: string): ReplicaTarget {
  const url = URL.canParse(address) ? new URL(address) : undefined
  const bucket = url?.pathname.slice(1) ?? ''
  const isPlain =
    url !== undefined && `${url.username}${url.password}${url.search}${url.hash}` === ''
  if (!isPlain || !/^https?:$/.test(url.protocol) || !/^[a-z0-9][a-z0-9.-]{1,61}$/.test(bucket)) {
    throw new AkidbError('BAD_INPUT', 'the Destination of a rule is no address of a bucket', {
      hint: 'Write https://host:port/bucket, or an ARN.',
    })
  }
  return { endpoint: url.host, tls: url.protocol === 'https:', bucket }
}

/** What a MinIO takes for granted is said: a second run finds what the first one sent. */
const REPLICA_CHANGES = { ReplicaModifications: { Status: 'Enabled' } }

const withDestination = (rule: NewRule, arn: string): NewRule => {
  const former = rule.element.Destination
  const destination = { ...(typeof former === 'object' ? former : {}), Bucket: escapeXml(arn) }
  const element = { SourceSelectionCriteria: REPLICA_CHANGES, ...rule.element }
  return { ...rule, to: arn, element: { ...element, Destination: destination } }
}

interface Before {
  readonly kind: RulesKind
  readonly before: readonly XmlElement[]
  /** Where it is not, the rules mean something else. */
  readonly isSameRole: boolean
}

function changeOf(rule: NewRule, { kind, before, isSameRole }: Before): RuleChange {
  const { id, enabled, prefix, to, element } = rule
  const former = before.find((each) => commonOf(each).id === id)
  const isSame = former !== undefined && isSameElement(former, element) && isSameRole
  const change = former === undefined ? 'added' : isSame ? 'none' : 'changed'
  return { kind, id, change, enabled, prefix, ...(to === undefined ? {} : { to }) }
}

/**
 * Servers leave out what they do not know, without a word: of a filter that would be keys that
 * nobody meant.
 *
 * @throws CONFLICT
 */
function checkThere(sent: RulesDocument, after: RulesDocument, what: string): void {
  const found = new Map(after.rules.map((rule) => [commonOf(rule).id, rule]))
  const lost = sent.rules.flatMap((rule) => {
    const { id } = commonOf(rule)
    return lostFrom(rule, found.get(id) ?? {}).map((name) => `${name} of "${id}"`)
  })
  const isRole = after.role === sent.role || after.role === ''
  const [first] = isRole ? lost : ['Role']
  if (first === undefined) return
  throw new AkidbError('CONFLICT', `${what}: not all is there as it was sent: ${first}`, {
    hint: 'Somebody else may be changing them, or the server left out what it does not know.',
  })
}
