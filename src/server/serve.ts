import { limits } from '../core/limits.ts'
import type { Store } from '../db/api/api.ts'
import { AkidbError } from '../errors/errors.ts'
import type { BucketEvents } from '../storage/events/bucket-events.ts'
import { Admission } from './admission.ts'
import { createApp, type RequestNote } from './app.ts'
import { serveCollections } from './collections.ts'
import { EventFollower } from './follow-events.ts'
import { type HttpServer, listenHttp } from './http-server.ts'
import { type Gauges, Metrics } from './metrics.ts'
import { isLoopback } from './origin-check.ts'
import { type SearchBatch, SearchJournal } from './search-journal.ts'

export interface ServerRequest {
  /** Address to listen on; other machines reach it only where this is not the loopback. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Called once, when connections are accepted. */
  readonly onReady: (address: { readonly url: string; readonly port: number }) => void
  /** One JSON-ready object for each thing worth logging. */
  readonly onLog?: (entry: Readonly<Record<string, unknown>>) => void
  /**
   * Writes the audit entries of searches, gathered over a second; absent: searches are not audited.
   */
  readonly onSearches?: (batches: readonly SearchBatch[]) => Promise<void>
  /** Refuse searches while their audit entries cannot be written. */
  readonly searchesRequired?: boolean
  /** Rows in the write-ahead log only, for /metrics. */
  readonly rowsAtRisk?: () => Promise<number>
  /** Rows acknowledged that are not in the bucket yet, for /metrics. */
  readonly unsent?: () => Promise<Gauges['unsent']>
  /** Tells of other processes' commits. */
  readonly bucketEvents?: BucketEvents
  /** How often searches were answered by earlier ones, for the metrics. */
  readonly results?: () => Gauges['results']
  /** Stops the server; without it the server never stops. */
  readonly signal?: AbortSignal
}

/**
 * Serves a store over HTTP until `signal` aborts: then it accepts nothing more, answers what it has
 * begun (at most limits.serverStopTimeoutMs), hands on what is to be audited and resolves. The
 * store is the caller's to close, which commits the write-ahead log.
 *
 * @param store opened for writing
 * @throws LOCKED (the port is taken), AUTH, USAGE where it cannot listen
 */
export async function serve(
  store: Store,
  request: ServerRequest,
): Promise<{ readonly requests: number }> {
  const log = request.onLog ?? (() => undefined)
  const loopback = isLoopback(request.host)
  const admission = new Admission()
  const metrics = new Metrics()
  const journal = journalOf(request, log)
  const follower = request.bucketEvents && new EventFollower(request.bucketEvents, store, log)
  const app = createApp({
    collections: serveCollections(store, journal, () => admission.requests > 1),
    admission,
    metrics,
    loopback,
    rowsAtRisk: async () => await request.rowsAtRisk?.().catch(() => undefined),
    unsent: async () => await request.unsent?.().catch(() => undefined),
    ...(follower === undefined ? {} : { events: () => follower.counts }),
    results: () => request.results?.(),
    onRequest: (note) => log({ event: 'request', ...rounded(note) }),
  })
  request.signal?.throwIfAborted()
  const server = await listenHttp(app, request)
  log({ event: 'listening', url: server.url, store: store.url })
  if (!loopback) log({ event: 'warning', message: NO_PASSWORD })
  request.onReady({ url: server.url, port: server.port })
  const unfollowing = new AbortController()
  const followed = follower?.run(unfollowing.signal)
  await aborted(request.signal)
  unfollowing.abort()
  await stop(server, admission, journal)
  await followed
  log({ event: 'stopped', requests: metrics.total })
  return { requests: metrics.total }
}

const NO_PASSWORD =
  'this version asks for no password: whoever reaches this address can read and change the store'

function journalOf(
  { onSearches, searchesRequired }: ServerRequest,
  log: (entry: Readonly<Record<string, unknown>>) => void,
): SearchJournal | undefined {
  if (onSearches === undefined) return undefined
  const onFailure = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error)
    const code = error instanceof AkidbError ? error.code : 'INTERNAL'
    log({ event: 'error', code, message: `cannot audit searches: ${message}` })
  }
  return new SearchJournal({ onSearches, required: searchesRequired === true, onFailure })
}

async function stop(
  server: HttpServer,
  admission: Admission,
  journal: SearchJournal | undefined,
): Promise<void> {
  server.stopAccepting()
  await admission.stop(limits.serverStopTimeoutMs)
  await server.close(CLOSE_TIMEOUT_MS)
  await journal?.flush()
}

/** The last answers are on their way; who does not take them loses them. */
const CLOSE_TIMEOUT_MS = 1_000

const rounded = (note: RequestNote): RequestNote => ({
  ...note,
  elapsedMs: Math.round(note.elapsedMs * 1_000) / 1_000,
})

const aborted = (signal: AbortSignal | undefined): Promise<void> =>
  new Promise((done) => {
    if (signal?.aborted === true) done()
    else signal?.addEventListener('abort', () => done(), { once: true })
  })
