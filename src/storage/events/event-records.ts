import { checkKey, KEY_BYTES_MAX } from '../keys.ts'
import type { BucketEvent, EventPlace } from './bucket-events.ts'

/** Names of events, with or without the scheme that MinIO writes before them. */
const NAME = /^(?:s3:)?Object(Created|Removed):[A-Za-z:]+$/

/**
 * The events of one notification that are of a store. Everything else in it is passed over: other
 * buckets, other keys, other kinds of events.
 *
 * Keys come as they are from MinIO's listen API, and encoded as in a URL's query from its targets
 * and from Amazon: those have no `/` but `%2F`, and a store's key never holds a `%`.
 *
 * Source: Amazon S3 user guide, "Event message structure".
 *
 * @param text JSON: `{"Records":[{"eventName","s3":{"bucket":{"name"},"object":{"key"}}}]}`
 * @returns undefined where it is no notification
 */
export function readNotification(
  text: string,
  place: EventPlace,
): readonly BucketEvent[] | undefined {
  const records = member(parsed(text), 'Records')
  // A sign of life.
  if (records === null) return []
  if (!Array.isArray(records)) return undefined
  const events: BucketEvent[] = []
  for (const record of records) {
    const event = eventOf(record, place)
    if (event === undefined) return undefined
    if (event !== 'other') events.push(event)
  }
  return events
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined

function eventOf(record: unknown, place: EventPlace): BucketEvent | 'other' | undefined {
  const s3 = member(record, 's3')
  const name = member(record, 'eventName')
  const bucket = member(member(s3, 'bucket'), 'name')
  const written = member(member(s3, 'object'), 'key')
  if (typeof name !== 'string' || typeof bucket !== 'string' || typeof written !== 'string') {
    return undefined
  }
  const [, happened] = NAME.exec(name) ?? []
  if (happened === undefined || bucket !== place.bucket) return 'other'
  const whole = decoded(written)
  if (whole === undefined) return undefined
  if (!whole.startsWith(place.prefix + place.below)) return 'other'
  const key = whole.slice(place.prefix.length)
  return isKey(key) ? { kind: happened === 'Created' ? 'created' : 'removed', key } : 'other'
}

/** Each byte of a key may take three characters. */
const WRITTEN_CHARS_MAX = 3 * KEY_BYTES_MAX

function decoded(written: string): string | undefined {
  if (written.length > WRITTEN_CHARS_MAX) return undefined
  if (!written.includes('%')) return written
  try {
    return decodeURIComponent(written.replaceAll('+', '%20'))
  } catch {
    return undefined
  }
}

function isKey(key: string): boolean {
  try {
    checkKey(key)
    return true
  } catch {
    return false
  }
}
