import type { Clock, RandomBytes } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { BucketEvents, BucketNews } from './bucket-events.ts'

/** The source has no events, or none for us: asking soon again would not help. */
export class EventsRefused extends AkidbError {}

/** What one connection says. */
export type LinkNews = Extract<BucketNews, { readonly type: 'connected' | 'events' | 'gap' }>

/** One connection at a time to a source of events. */
export interface EventLink {
  readonly url: string
  /**
   * 'connected' first, as soon as nothing is missed any more; then what comes. Ends or throws when
   * the connection is lost.
   *
   * @throws EventsRefused; other AkidbErrors for what another try may mend; the signal's reason
   */
  open(signal: AbortSignal): AsyncIterable<LinkNews>
}

export interface FollowParts {
  readonly clock: Clock
  readonly random: RandomBytes
}

/** Upper bound of the first pause. */
const RETRY_PAUSE_MS = 500

/**
 * Keeps one connection to a source. After each that was lost there is a pause with full jitter, so
 * that many who lost the same server do not come back as one; a connection that lived for the
 * longest pause makes the next pause short again.
 */
export function followLink(link: EventLink, { clock, random }: FollowParts): BucketEvents {
  const chance = (): number => Buffer.from(random(4)).readUInt32LE() / 2 ** 32
  return {
    url: link.url,
    async *follow(signal) {
      let failures = 0
      let isRefused = false
      while (!signal.aborted) {
        let connectedMs: number | undefined
        let error: AkidbError
        try {
          for await (const news of link.open(signal)) {
            if (news.type === 'connected') connectedMs = clock.nowMs()
            yield news
          }
          error = new AkidbError('UNREACHABLE', `${link.url} ended the connection`)
        } catch (cause) {
          if (signal.aborted) return
          if (!(cause instanceof AkidbError)) throw cause
          error = cause
        }
        if (signal.aborted) return
        const livedMs = connectedMs === undefined ? 0 : clock.nowMs() - connectedMs
        failures = livedMs >= limits.eventRetryPauseMaxMs ? 1 : failures + 1
        const isNew = connectedMs !== undefined || !isRefused
        isRefused = error instanceof EventsRefused
        const pauseMs = isRefused
          ? limits.eventRefusedPauseMs * (0.5 + chance() / 2)
          : chance() * pauseMaxMs(failures)
        if (!isRefused || isNew) yield { type: isRefused ? 'refused' : 'lost', error, pauseMs }
        await pause(clock, pauseMs, signal)
      }
    },
  }
}

const pauseMaxMs = (failures: number): number =>
  Math.min(limits.eventRetryPauseMaxMs, RETRY_PAUSE_MS * 2 ** Math.min(failures - 1, 16))

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
