import { type JsonValue, parseJson } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { elementOf } from './rule-xml.ts'
import { commonOf, destinationOf, type RulesKind } from './s3-rules.ts'
import { parseS3Url } from './s3-url.ts'
import { childOf, type XmlElement } from './s3-xml.ts'

/** A rule that a bucket is to have. */
export interface NewRule {
  readonly id: string
  readonly enabled: boolean
  /** Of whole keys; '': all. */
  readonly prefix: string
  /** Where copies go, of a rule for replication: an ARN, or the address of a bucket. */
  readonly to?: string
  readonly element: XmlElement
}

export interface NewRules {
  readonly kind: RulesKind
  readonly rules: readonly NewRule[]
  /** In whose name copies are made; '': as the bucket has it. */
  readonly role: string
}

/**
 * Rules in the JSON that S3's command lines take: `{"Rules": […]}`, of one kind. Where its rules
 * have a `Destination` it is for replication, else for the lifecycle.
 *
 * @param name what the text is called in messages
 * @throws BAD_INPUT; LIMIT for more rules than a bucket has
 */
export function parseRules(text: string, name: string): NewRules {
  const wrong = (why: string): AkidbError =>
    new AkidbError('BAD_INPUT', `${name}: ${why}`, {
      hint: 'See templates/s3/lifecycle.json and templates/s3/replication.json.',
    })
  const json = jsonOf(text, name)
  if (!(json instanceof Map)) throw wrong('expected an object with "Rules"')
  const unknown = [...json.keys()].find((key) => key !== 'Rules' && key !== 'Role')
  if (unknown !== undefined) throw wrong(`no member "${unknown.slice(0, 64)}"`)
  const list = json.get('Rules')
  const role = json.get('Role') ?? ''
  if (typeof role !== 'string' || /\p{Cc}/u.test(role)) throw wrong('Role: expected text')
  if (!Array.isArray(list) || list.length === 0) throw wrong('expected rules')
  if (list.length > limits.s3RulesMax) {
    throw new AkidbError('LIMIT', `${name}: over ${limits.s3RulesMax} rules`)
  }
  const rules = list.map((rule, i) => newRule(rule, `${name}: Rules[${i}]`))
  if (new Set(rules.map(({ id }) => id)).size < rules.length) throw wrong('two rules of one ID')
  const kinds = new Set(rules.map(({ to }) => (to === undefined ? 'lifecycle' : 'replication')))
  const [kind = 'lifecycle'] = kinds
  if (kinds.size > 1) throw wrong('rules of two kinds; give each kind a file of its own')
  if (kind === 'lifecycle' && json.has('Role')) throw wrong('Role: only copies have one')
  return { kind, rules, role }
}

function jsonOf(text: string, name: string): JsonValue {
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    throw new AkidbError('BAD_INPUT', `${name}: ${error.message}`, { cause: error })
  }
}

function newRule(json: JsonValue, path: string): NewRule {
  const element = elementOf(json, path)
  const { id, enabled, prefix } = commonOf(element)
  const wrong = (why: string): AkidbError => new AkidbError('BAD_INPUT', `${path}: ${why}`)
  if (id === '' || id.length > 255) throw wrong('a rule needs an ID, of at most 255 characters')
  if (element.Status !== 'Enabled' && element.Status !== 'Disabled') {
    throw wrong('Status: expected Enabled or Disabled')
  }
  if (prefixesIn(element) > 1) throw wrong('it has two prefixes; servers differ in which counts')
  const to = destinationOf(element)
  if ('Destination' in element && to === '') throw wrong('Destination: expected a Bucket')
  return { id, enabled, prefix, element, ...(to === '' ? {} : { to }) }
}

/** Where a rule can have one: the first form of S3 had it in the rule itself. */
function prefixesIn(rule: XmlElement): number {
  const filter = childOf(rule, 'Filter')
  return [rule, filter, childOf(filter, 'And')].filter((place) => 'Prefix' in place).length
}

/** Who sets up one prefix of a bucket does nothing to the others in it. @throws BAD_INPUT */
export function checkKeys({ rules }: NewRules, target: string): void {
  const { bucket, prefix } = parseS3Url(target)
  const outside = rules.find((rule) => !rule.prefix.startsWith(prefix))
  if (outside === undefined) return
  throw new AkidbError('BAD_INPUT', `the rule "${outside.id}" is for ${keysOf(outside)}`, {
    hint: `Give it the prefix "${prefix}", or name the bucket alone: --target s3://${bucket}`,
  })
}

/** The keys that a rule is for, in messages. */
export const keysOf = ({ prefix }: Pick<NewRule, 'prefix'>): string =>
  prefix === '' ? 'all of the bucket' : `keys below "${prefix}"`
