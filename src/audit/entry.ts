import { isSha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'

/** Who acted: the operating system's word for it. */
export interface AuditActor {
  readonly user: string
  readonly uid?: number
  readonly sudoUser?: string
  readonly host: string
}

/** `intent` before an act, `outcome` after it, `event` for what has no before. */
export const AUDIT_PHASES = ['intent', 'outcome', 'event'] as const
export type AuditPhase = (typeof AUDIT_PHASES)[number]

/** What a caller hands in; the log adds seq, prev and time. */
export interface AuditEntryInput {
  /** 1 to 64 characters of [a-z0-9._-]. */
  readonly act: string
  readonly phase: AuditPhase
  /** Joins an intent with its outcome. */
  readonly actId?: string
  readonly actor: AuditActor
  readonly collection?: string
  readonly reason?: string
  /** Plain JSON without bigints. Large or personal data only as digests. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** One entry of the log. */
export interface AuditEntry extends AuditEntryInput {
  /** From 0; its leaf in the tree. */
  readonly seq: number
  /** SHA-256 of the exact bytes of the entry before, hex; 64 zeros for the first. */
  readonly prev: string
  /** ISO 8601 UTC with milliseconds. */
  readonly time: string
}

/** `prev` of the first entry. */
export const NO_ENTRY = '0'.repeat(64)

const OPTIONAL_TEXTS = ['actId', 'collection', 'reason'] as const
const NAMES = new Set([
  'seq',
  'prev',
  'time',
  'act',
  'phase',
  'actor',
  'details',
  ...OPTIONAL_TEXTS,
])

/**
 * The exact bytes of an entry: one JSON object without a line end.
 * @throws LIMIT over limits.auditEntryBytesMax
 */
export function encodeEntry(entry: AuditEntry): Uint8Array {
  const { seq, prev, time, act, phase, actId, actor, collection, reason, details } = entry
  const { user, uid, sudoUser, host } = actor
  const text = JSON.stringify({
    ...{ seq, prev, time, act, phase, actId },
    ...{ actor: { user, uid, sudoUser, host }, collection, reason, details },
  })
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length > limits.auditEntryBytesMax) {
    throw new AkidbError('LIMIT', `audit entry of act "${act}" has ${bytes.length} bytes`, {
      hint: `limits.auditEntryBytesMax is ${limits.auditEntryBytesMax}: shorten --reason.`,
      details: { limit: 'auditEntryBytesMax', bytes: bytes.length },
    })
  }
  return bytes
}

/** The entry in some bytes, or in words why they are none. */
export function parseEntry(bytes: Uint8Array): AuditEntry | string {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return 'it is no JSON in UTF-8'
  }
  if (!isObject(value)) return 'it is no JSON object'
  const { seq, prev, time, act, phase, actor, details } = value
  if (!isCount(seq)) return 'its seq is no count'
  if (!isSha256Hex(prev)) return 'its prev is no SHA-256'
  if (typeof time !== 'string' || !isUtcTime(time)) return 'its time is no UTC time'
  if (typeof act !== 'string' || !/^[a-z0-9._-]{1,64}$/.test(act)) return 'its act is no name'
  if (!AUDIT_PHASES.some((name) => name === phase)) return 'its phase is unknown'
  if (!isActor(actor)) return 'its actor is incomplete'
  if (details !== undefined && !isObject(details)) return 'its details are no object'
  for (const name of OPTIONAL_TEXTS) {
    if (!isOptionalText(value[name])) return `its ${name} is no text`
  }
  const strange = Object.keys(value).find((name) => !NAMES.has(name))
  if (strange !== undefined) return `it has an unknown field ${JSON.stringify(strange)}`
  return value as unknown as AuditEntry
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

const isOptionalText = (value: unknown): boolean => value === undefined || typeof value === 'string'

function isUtcTime(text: string): boolean {
  const milliseconds = Date.parse(text)
  return Number.isFinite(milliseconds) && new Date(milliseconds).toISOString() === text
}

function isActor(value: unknown): value is AuditActor {
  if (!isObject(value)) return false
  const { user, uid, sudoUser, host } = value
  if (typeof user !== 'string' || typeof host !== 'string') return false
  return (uid === undefined || isCount(uid)) && isOptionalText(sudoUser)
}
