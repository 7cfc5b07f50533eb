import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { EventFollower } from '../../src/server/follow-events.ts'
import { type ServeStoreRequest, serveStore } from '../../src/server/serve-store.ts'
import type { BucketEvents, BucketNews } from '../../src/storage/events/bucket-events.ts'
import { ROOT } from '../support/sources.ts'
import { makeStoreFolder, removeFolder } from './support.ts'

const POLL_MS = 20

/** A source that says what the test tells it to. */
class TestEvents implements BucketEvents {
  readonly url = 'test://source'
  readonly #said: BucketNews[] = []
  #wake = Promise.withResolvers<void>()

  say(...news: readonly BucketNews[]): void {
    this.#said.push(...news)
    this.#wake.resolve()
  }

  async *follow(signal: AbortSignal): AsyncGenerator<BucketNews> {
    signal.addEventListener('abort', () => this.#wake.resolve())
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers()
      while (this.#said.length > 0) yield this.#said.shift() as BucketNews
      if (!signal.aborted && this.#said.length === 0) await this.#wake.promise
    }
  }
}

const manifestOf = (name: string): string =>
  `collections/${name}/manifests/99999999999999999997.json`
const created = (...keys: readonly string[]): BucketNews => ({
  type: 'events',
  events: keys.map((key) => ({ kind: 'created', key })),
})
const lost = (type: 'lost' | 'refused' = 'lost'): BucketNews => ({
  ...{ type, pauseMs: 1 },
  error: new AkidbError('UNREACHABLE', 'gone', { hint: 'go on' }),
})

describe('who follows events', () => {
  /** What a store and a log were told of some news. */
  async function told(...news: readonly BucketNews[]) {
    const calls: unknown[] = []
    const log: Readonly<Record<string, unknown>>[] = []
    const stopping = new AbortController()
    const store = {
      noteRemoteChange: (name?: string) => void calls.push(name ?? 'all'),
      noteFollowed: (isFollowed: boolean) => void calls.push(isFollowed),
    }
    const events: BucketEvents = {
      url: 'test://source',
      async *follow() {
        yield* news
      },
    }
    const follower = new EventFollower(events, store, (entry) => void log.push(entry))
    await follower.run(stopping.signal)
    return { calls, log, states: log.map(({ state }) => state), counts: follower.counts }
  }

  it('looks at everything when it is connected, then at what is named', async () => {
    const { calls, states, counts } = await told({ type: 'connected' }, created(manifestOf('docs')))
    expect(calls).toEqual([true, 'all', 'docs', false])
    expect(states).toEqual(['connected', 'ended'])
    expect(counts).toEqual({ connected: false, received: 1, gaps: 0 })
  })

  it('passes over what is no manifest', async () => {
    const keys = [
      'collections/docs/snapshots/a.json',
      'collections/docs/manifests/1.json',
      'collections/@x/manifests/99999999999999999997.json',
      `x/${manifestOf('docs')}`,
      'akidb.json',
    ]
    const { calls, counts } = await told(created(...keys))
    expect(calls).toEqual([false])
    expect(counts.received).toBe(5)
  })

  it('looks at everything after each gap, and logs the first of many', async () => {
    const gap: BucketNews = { type: 'gap', why: 'garbage' }
    const { calls, log, counts } = await told({ type: 'connected' }, gap, gap, gap)
    expect(calls).toEqual([true, 'all', 'all', 'all', 'all', false])
    expect(counts.gaps).toBe(3)
    expect(log.filter(({ state }) => state === 'gap')).toEqual([
      { event: 'events', state: 'gap', source: 'test://source', message: 'garbage', gaps: 1 },
    ])
  })

  it('does not rely on events while the connection is lost, and counts that as a gap', async () => {
    const connected: BucketNews = { type: 'connected' }
    const { calls, states, counts } = await told(connected, lost(), lost(), lost(), connected)
    expect(calls).toEqual([true, 'all', false, false, false, true, 'all', false])
    expect(states).toEqual(['connected', 'lost', 'connected', 'ended'])
    expect(counts.gaps).toBe(1)
  })

  it('says that there are none, with what to do', async () => {
    const { log, calls } = await told(lost(), lost('refused'))
    expect(calls).not.toContain(true)
    expect(log).toMatchObject([
      { state: 'lost' },
      { state: 'refused', code: 'UNREACHABLE', message: 'gone', hint: 'go on' },
      { state: 'ended' },
    ])
  })

  it('lets the server live where a source breaks', async () => {
    const states: unknown[] = []
    const followed: boolean[] = []
    const events: BucketEvents = {
      url: 'test://source',
      // biome-ignore lint/correctness/useYield: it breaks before it says anything
      async *follow() {
        throw new Error('a bug')
      },
    }
    const store = {
      noteRemoteChange: () => undefined,
      noteFollowed: (is: boolean) => void followed.push(is),
    }
    const follower = new EventFollower(events, store, ({ state, code }) => {
      states.push([state, code])
    })
    await follower.run(new AbortController().signal)
    expect(states).toEqual([['failed', 'INTERNAL']])
    expect(followed).toEqual([false])
  })
})

describe('a server that is told of events', () => {
  const akidb = promisify(execFile)
  let folder: string
  let stop: (() => Promise<unknown>) | undefined

  beforeEach(async () => {
    folder = await makeStoreFolder()
  })
  afterEach(async () => {
    await stop?.()
    await removeFolder(folder)
  })

  async function start(options: Partial<ServeStoreRequest>) {
    const stopping = new AbortController()
    const log: Readonly<Record<string, unknown>>[] = []
    const ready = Promise.withResolvers<{ url: string }>()
    const ended = serveStore({
      ...{ url: folder, host: '127.0.0.1', port: 0, threads: 1, signal: stopping.signal },
      onReady: ready.resolve,
      onLog: (entry) => void log.push(entry),
      ...options,
    })
    ended.catch(ready.reject)
    stop = () => {
      stopping.abort()
      return ended
    }
    return { url: (await ready.promise).url, log }
  }

  const cli = (...args: readonly string[]) =>
    akidb(join(ROOT, 'bin/akidb'), ['--store', folder, ...args])

  async function until<T>(look: () => Promise<T>, isRight: (value: T) => boolean): Promise<T> {
    for (;;) {
      const value = await look()
      if (isRight(value)) return value
      await setTimeout(POLL_MS)
    }
  }

  it('merges what another process left to merge, long before its timer', async () => {
    const rows = Array.from({ length: 8 }, (_, n) =>
      JSON.stringify({ id: `r${n}`, vector: [n, 1], n }),
    )
    const file = join(folder, '..', `${Date.now()}.jsonl`)
    await writeFile(file, rows.join('\n'))
    const events = new TestEvents()
    const { url, log } = await start({ bucketEvents: events })
    const metrics = async (): Promise<string> => (await fetch(`${url}/metrics`)).text()
    // What it looks at when it is connected is an empty store: only the event below can tell it.
    events.say({ type: 'connected' })
    await until(metrics, (text) => /^akidb_events_connected 1$/m.test(text))
    await cli('ingest', 'docs', file)
    await cli('delete', 'docs', 'r1', 'r2', 'r3', '--yes')
    const segments = async (): Promise<readonly { rows: number; deleted: number }[]> =>
      ((await (await fetch(`${url}/collections/docs`)).json()) as { segments: [] }).segments
    expect(await segments()).toMatchObject([{ rows: 8, deleted: 3 }])
    const startMs = performance.now()
    events.say(created(manifestOf('docs')))
    await until(segments, ([first]) => first?.deleted === 0)
    expect(await segments()).toMatchObject([{ rows: 5, deleted: 0 }])
    expect(performance.now() - startMs).toBeGreaterThan(limits.remoteMergeQuietMs / 2)
    expect(await metrics()).toMatch(/^akidb_events_total 1$/m)
    expect(await metrics()).toMatch(/^akidb_event_gaps_total 0$/m)
    expect(log).toContainEqual({ event: 'events', state: 'connected', source: events.url })
    await stop?.()
    expect(log).toContainEqual({ event: 'events', state: 'ended', source: events.url })
  })

  it('stops at once while it waits for some', async () => {
    const { url } = await start({ bucketEvents: new TestEvents() })
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^akidb_events_connected 0$/m)
    await stop?.()
  })

  it('shows nothing of events where it follows none', async () => {
    const { url } = await start({ events: 'auto' })
    expect(await (await fetch(`${url}/metrics`)).text()).not.toContain('akidb_event')
  })

  it.each(['minio', 'nats://127.0.0.1:1', 'ftp://user:secret@x'])(
    'refuses %s for a store in a folder, or what is no source',
    async (events) => {
      const refused = start({ events })
      await expect(refused).rejects.toMatchObject({ code: 'USAGE' })
      await expect(refused).rejects.not.toThrow(/secret/)
      stop = undefined
    },
  )
})
