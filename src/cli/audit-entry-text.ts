import type { AuditEntry } from '../index.ts'
import { escapeLine } from './escape.ts'
import { shortDigest } from './human.ts'
import { jsonLine } from './json-document.ts'

/**
 * An entry of the audit log as one line: number, time, who, what, on which collection, and how it
 * went. Digests are shortened; `--json` has all.
 */
export function entryText({ seq, time, act, ...rest }: AuditEntry): string {
  const { phase, actor, collection, reason, details } = rest
  const { result, code, ...facts } = isObject(details) ? details : {}
  const end = phase === 'outcome' ? `: ${String(result ?? 'done')}` : ''
  const why = code === undefined ? '' : ` (${String(code)})`
  const parts = [
    String(seq),
    time,
    actorText(actor),
    `${act}${phase === 'intent' ? ' begins' : end}${why}`,
    ...(typeof collection === 'string' ? [collection] : []),
    ...(typeof reason === 'string' ? [`reason "${reason}"`] : []),
    ...Object.entries(facts).map(([name, value]) => `${name} ${valueText(value)}`),
  ]
  return escapeLine(parts.join('  '))
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const actorText = (actor: unknown): string => {
  if (!isObject(actor)) return String(actor ?? '-')
  const { user, host, sudoUser } = actor
  const via = typeof sudoUser === 'string' ? ` (sudo of ${sudoUser})` : ''
  return `${String(user)}@${String(host)}${via}`
}

const valueText = (value: unknown): string => {
  const text = typeof value === 'string' ? value : jsonLine(value).trim()
  return text.replace(/[0-9a-f]{64}/g, shortDigest)
}
