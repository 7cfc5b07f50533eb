import { AkidbError } from '../../errors/errors.ts'
import type { S3Access } from '../s3/s3-access.ts'
import { isS3Url, parseS3Url } from '../s3/s3-url.ts'
import { systemClock } from '../system-clock.ts'
import { systemRandom } from '../system-random.ts'
import type { BucketEvents } from './bucket-events.ts'
import { isNatsUrl, type NatsAccess } from './nats-access.ts'

/** Which source of events a store is followed by. */
export interface EventsRequest {
  /** Address of the store. */
  readonly url: string
  /** How the server of its bucket is reached. */
  readonly s3?: S3Access
  /**
   * `minio`: the listen API of the bucket's server; `nats://…` or `tls://…`: a NATS server that it
   * publishes to; `off`; `auto`: minio for a store in a bucket, else off.
   */
  readonly events: string
  /** For a NATS server, beside its address. */
  readonly nats?: Omit<NatsAccess, 'url'> | undefined
}

/** Of a store's keys only these are listened to. */
const BELOW = 'collections/'

/**
 * The source of events that was named, connected to nothing yet.
 *
 * @returns undefined for none
 * @throws USAGE for a source that is none, or of a store that lies in no bucket; NOT_FOUND, AUTH,
 *   BAD_INPUT for files
 */
export async function openBucketEvents(request: EventsRequest): Promise<BucketEvents | undefined> {
  const { url, s3 = {}, events, nats } = request
  const isBucket = isS3Url(url)
  if (events === 'off' || (events === 'auto' && !isBucket)) return undefined
  const isNats = isNatsUrl(events)
  if (!isNats && events !== 'minio' && events !== 'auto') throw unknown(events)
  if (!isBucket) {
    throw new AkidbError('USAGE', 'only a store in a bucket has events to follow', {
      hint: 'Leave --events out; other processes on this machine are seen without.',
    })
  }
  const parts = { clock: systemClock, random: systemRandom }
  if (isNats) {
    const { openNatsEvents } = await import('./nats-events.ts')
    const place = { ...parseS3Url(url), below: BELOW }
    return await openNatsEvents(place, { ...parts, access: { ...nats, url: events } })
  }
  const { openS3Events } = await import('../s3/s3-events.ts')
  return await openS3Events(url, { ...s3, ...parts, below: BELOW })
}

const unknown = (events: string): AkidbError => {
  // What stands before an @ may be a password.
  const shown = events.slice(0, 200).replace(/^(.*:\/\/)?.*@/, '$1…@')
  return new AkidbError('USAGE', `"${shown}" is no source of events`, {
    hint: 'Write auto, minio, off, or nats://host:port.',
  })
}
