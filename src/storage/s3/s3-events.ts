import type { IncomingMessage } from 'node:http'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { BucketEvents, EventPlace } from '../events/bucket-events.ts'
import { eventLines } from '../events/event-lines.ts'
import { readNotification } from '../events/event-records.ts'
import {
  EventsRefused,
  type FollowParts,
  followLink,
  type LinkNews,
} from '../events/follow-link.ts'
import type { S3Access } from './s3-access.ts'
import { failureOf } from './s3-answers.ts'
import { meaningOf, S3Failure } from './s3-errors.ts'
import type { S3Transport } from './s3-request.ts'
import { createTransport } from './s3-transport.ts'
import { parseS3Url, s3UrlOf } from './s3-url.ts'

export interface S3EventsOptions extends S3Access, FollowParts {
  /** Only keys below this are told of; default: all of the store. */
  readonly below?: string
  /** Time between two signs of life, whole seconds; default limits.eventPingMs. */
  readonly pingMs?: number
}

/** Answers of servers that have no such API, or do not let us use it. */
const REFUSALS = new Set([400, 401, 403, 404, 405, 501])
/** Of those, what passes by itself. */
const PASSING = new Set(['RequestTimeTooSkewed', 'ExpiredToken'])

const EVENTS = ['s3:ObjectCreated:*', 's3:ObjectRemoved:*']

/**
 * Events of a store in a bucket through MinIO's listen API: one GET whose answer never ends, a line
 * of JSON for each event, and one without records (or a blank) as a sign of life. The server sends
 * nothing, headers neither, before the first of these; it listens by then.
 *
 * MinIO built from its sources after commit 52eee5a2f (23 October 2025) does not flush: what it
 * says comes when 4 KiB of it have gathered, which may be never.
 *
 * Nothing of it is kept for those who are not connected, and a server with too much to say to one
 * of its listeners drops events without a word.
 *
 * Source: MinIO, cmd/listen-notification-handlers.go.
 *
 * @param url `s3://bucket/prefix` of the store
 * @throws USAGE for addresses that are none; NOT_FOUND, AUTH, BAD_INPUT for TLS files
 */
export async function openS3Events(url: string, options: S3EventsOptions): Promise<BucketEvents> {
  const { below = '', pingMs = limits.eventPingMs, clock, random, ...access } = options
  const place = { ...parseS3Url(url), below }
  const { signal: _, ...rest } = access
  const idleTimeoutMs = access.idleTimeoutMs ?? limits.eventSilenceMs
  const transport = await createTransport({ ...rest, idleTimeoutMs })
  const what = `cannot listen to events of ${s3UrlOf(place)} at ${transport.url}`
  const link = {
    url: `${transport.url} (${s3UrlOf(place)})`,
    open: (signal: AbortSignal) => listen({ transport, place, pingMs, what }, signal),
  }
  return followLink(link, { clock, random })
}

interface Listening {
  readonly transport: S3Transport
  readonly place: EventPlace
  readonly pingMs: number
  /** For messages. */
  readonly what: string
}

async function* listen(listening: Listening, signal: AbortSignal): AsyncGenerator<LinkNews> {
  let response: IncomingMessage | undefined
  let isConnected = false
  try {
    response = await connect(listening, signal)
    isConnected = true
    yield { type: 'connected' }
    for await (const line of eventLines(response, limits.eventBytesMax)) {
      const news = newsOf(line, listening.place)
      if (news !== undefined) yield news
    }
  } catch (error) {
    signal.throwIfAborted()
    throw meant(error, listening.what, isConnected)
  } finally {
    response?.destroy()
  }
}

async function connect(
  { transport, place, pingMs }: Listening,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const prefix = place.prefix + place.below
  const query = {
    events: EVENTS,
    ping: String(Math.max(1, Math.round(pingMs / 1_000))),
    ...(prefix === '' ? {} : { prefix }),
  }
  const response = await transport.send({ method: 'GET', bucket: place.bucket, query, signal })
  const { 'content-type': type = '', 'content-length': length } = response.headers
  // A server that knows none of this lists the bucket.
  if (/^text\/event-stream\b/.test(type) && length === undefined) return response
  response.destroy()
  throw new S3Failure(501, 'NotImplemented', `it answers with "${type}"`)
}

function newsOf(
  line: { readonly text: string } | { readonly tooLong: true },
  place: EventPlace,
): LinkNews | undefined {
  if ('tooLong' in line) return { type: 'gap', why: `a line over ${limits.eventBytesMax} bytes` }
  const events = readNotification(line.text, place)
  if (events === undefined) return { type: 'gap', why: 'a line that is no notification' }
  return events.length === 0 ? undefined : { type: 'events', events }
}

function meant(error: unknown, what: string, isConnected: boolean): unknown {
  const failure = failureOf(error)
  if (!(failure instanceof S3Failure)) return failure
  if (failure.code === 'TIMEOUT' && !isConnected) {
    return new AkidbError('TIMEOUT', `${what}: the server says nothing`, { hint: MUTE })
  }
  const { code, message, hint, details, cause } = meaningOf(failure, what)
  const isRefused = REFUSALS.has(failure.status) && !PASSING.has(failure.code)
  if (!isRefused) return meaningOf(failure, what)
  return new EventsRefused(code, message, {
    hint: failure.status === 501 || failure.status === 400 ? NO_API : (hint ?? NO_API),
    details,
    ...(cause === undefined ? {} : { cause }),
  })
}

const MUTE = 'MinIO built from its sources since October 2025 does so: use NATS, or a release.'
const NO_API = 'Only MinIO has this API; it needs ListenBucketNotification. See --events.'
