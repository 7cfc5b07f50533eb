import { limits } from '../core/limits.ts'
import type { RemoteNews } from '../db/api/remote-api.ts'
import { AkidbError } from '../errors/errors.ts'
import type { BucketEvents, BucketNews } from '../storage/events/bucket-events.ts'

/** What /metrics shows of a source of events. */
export interface EventCounts {
  readonly connected: boolean
  /** Events of the store's collections. */
  readonly received: number
  /** Times that something may have been missed. */
  readonly gaps: number
}

type Log = (entry: Readonly<Record<string, unknown>>) => void

/** A manifest's key, and in it the collection's name. */
const MANIFEST = /^collections\/([A-Za-z0-9_][A-Za-z0-9._-]{0,127})\/manifests\/\d{20}\.json$/

/**
 * Has a store look at what events tell of, and at everything after each gap. Nothing depends on it:
 * without events the store looks by itself, only later.
 */
export class EventFollower {
  readonly #events: BucketEvents
  readonly #store: RemoteNews
  readonly #log: Log
  readonly #counts = { connected: false, received: 0, gaps: 0 }
  #wasConnected = false
  /** What was logged last of a connection that is lost. */
  #isLossLogged = false
  #gapLoggedMs = Number.NEGATIVE_INFINITY

  constructor(events: BucketEvents, store: RemoteNews, log: Log) {
    this.#events = events
    this.#store = store
    this.#log = log
  }

  get counts(): EventCounts {
    return this.#counts
  }

  /** Follows until `signal` aborts, or until a bug ends it, which is logged. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for await (const news of this.#events.follow(signal)) this.#take(news)
      this.#tell('ended')
    } catch (error) {
      this.#tell('failed', said(error))
    } finally {
      this.#setConnected(false)
    }
  }

  #take(news: BucketNews): void {
    if (news.type === 'connected') this.#connected()
    else if (news.type === 'events') this.#look(news.events.map(({ key }) => key))
    else if (news.type === 'gap') this.#gap(news.why)
    else this.#lost(news)
  }

  #connected(): void {
    if (this.#wasConnected) this.#counts.gaps++
    this.#tell('connected', this.#wasConnected ? { gaps: this.#counts.gaps } : {})
    this.#wasConnected = true
    this.#isLossLogged = false
    this.#setConnected(true)
    this.#store.noteRemoteChange()
  }

  #look(keys: readonly string[]): void {
    this.#counts.received += keys.length
    for (const key of keys) {
      const [, name] = MANIFEST.exec(key) ?? []
      if (name !== undefined) this.#store.noteRemoteChange(name)
    }
  }

  #gap(why: string): void {
    this.#counts.gaps++
    this.#store.noteRemoteChange()
    // Whoever may publish can make as many as he likes.
    const now = performance.now()
    if (now - this.#gapLoggedMs < limits.eventGapLogMs) return
    this.#gapLoggedMs = now
    this.#tell('gap', { message: why, gaps: this.#counts.gaps })
  }

  /** Tries that fail one after another are one line. */
  #lost({ type, error }: Extract<BucketNews, { readonly type: 'lost' | 'refused' }>): void {
    this.#setConnected(false)
    if (this.#isLossLogged && type === 'lost') return
    this.#isLossLogged = true
    this.#tell(type, said(error))
  }

  #setConnected(connected: boolean): void {
    this.#counts.connected = connected
    this.#store.noteFollowed(connected)
  }

  #tell(state: string, more: Readonly<Record<string, unknown>> = {}): void {
    this.#log({ event: 'events', state, source: this.#events.url, ...more })
  }
}

const said = (error: unknown): Readonly<Record<string, unknown>> =>
  error instanceof AkidbError
    ? { code: error.code, message: error.message, hint: error.hint }
    : { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) }
