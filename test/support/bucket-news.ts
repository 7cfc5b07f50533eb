import type { BucketEvents, BucketNews } from '../../src/storage/events/bucket-events.ts'

/** Follows a source, and keeps all that it said. */
export class NewsReader {
  readonly heard: BucketNews[] = []
  /** Resolves when the source has ended. */
  readonly ended: Promise<void>
  readonly #stopping = new AbortController()
  #wake = Promise.withResolvers<void>()
  #taken = 0

  constructor(events: BucketEvents) {
    this.ended = this.#read(events)
    this.ended.catch(() => undefined)
  }

  /** The next news of this kind; what came before it is passed over. */
  async next<T extends BucketNews['type']>(type: T): Promise<Extract<BucketNews, { type: T }>> {
    for (;;) {
      const news = this.heard[this.#taken]
      if (news === undefined) {
        await Promise.race([this.#wake.promise, this.ended.then(() => failed(type))])
        continue
      }
      this.#taken++
      if (news.type === type) return news as Extract<BucketNews, { type: T }>
    }
  }

  /** Keys of the events from now on, until there are so many. */
  async keys(count: number): Promise<string[]> {
    const keys: string[] = []
    while (keys.length < count) {
      keys.push(...(await this.next('events')).events.map(({ kind, key }) => `${kind} ${key}`))
    }
    return keys
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.ended
  }

  async #read(events: BucketEvents): Promise<void> {
    for await (const news of events.follow(this.#stopping.signal)) {
      this.heard.push(news)
      this.#wake.resolve()
      this.#wake = Promise.withResolvers()
    }
  }
}

const failed = (type: string): never => {
  throw new Error(`it ended before it was ${type}`)
}
