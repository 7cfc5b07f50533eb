import { logSearches, type QueryPolicy } from '../db/audit-search.ts'
import type { StoreRequest } from '../db/open/store-request.ts'
import { openStore } from '../db/store.ts'
import { type EventsRequest, openBucketEvents } from '../storage/events/open-bucket-events.ts'
import type { SearchBatch } from './search-journal.ts'
import { type ServerRequest, serve } from './serve.ts'

/** Which store to serve, where to listen, and whom to tell. */
export interface ServeStoreRequest
  extends StoreRequest,
    Pick<ServerRequest, 'host' | 'port' | 'onReady' | 'onLog' | 'bucketEvents'> {
  /** Who tells of other processes' commits (see EventsRequest); default: off. */
  readonly events?: string
  readonly nats?: EventsRequest['nats']
  /** What the audit log keeps of searches; default 'digest'. */
  readonly auditQueries?: QueryPolicy
  /** Refuse searches while their entries cannot be written. */
  readonly auditRequired?: boolean
}

/** What a server did until it was stopped. */
export interface ServeResult {
  readonly requests: number
  readonly elapsedMs: number
}

/**
 * Opens a store, becomes the owner of its write-ahead log and serves it until `signal` aborts; then
 * commits the log.
 *
 * @throws LOCKED where another process owns the log or the port is taken, NOT_FOUND, AUTH
 */
export async function serveStore(request: ServeStoreRequest): Promise<ServeResult> {
  const startedMs = performance.now()
  const policy = request.auditQueries ?? 'digest'
  const opening = openingSignal(request.signal)
  const store = await openStore({
    ...request,
    ...(request.s3 === undefined ? {} : { s3: { ...request.s3, signal: opening.signal } }),
    mode: 'write',
  })
  try {
    const { events = 'off' } = request
    const bucketEvents = request.bucketEvents ?? (await openBucketEvents({ ...request, events }))
    await store.own()
    opening.end()
    const onSearches = (batches: readonly SearchBatch[]): Promise<void> =>
      logSearches(
        store,
        batches.map(({ collection, stateRoot, queries }) => ({
          collection,
          stateRoot,
          policy,
          query: queries.join('\n'),
          queries: queries.length,
        })),
      )
    const { requests } = await serve(store, {
      ...request,
      ...(bucketEvents === undefined ? {} : { bucketEvents }),
      rowsAtRisk: () => store.rowsAtRisk(),
      unsent: () => store.unsent(),
      results: () => store.environment.results?.usage,
      searchesRequired: request.auditRequired === true,
      ...(policy === 'off' ? {} : { onSearches }),
    })
    return { requests, elapsedMs: Math.round(performance.now() - startedMs) }
  } finally {
    await store.close()
  }
}

/**
 * What stops the server ends requests to a bucket while the store is opened, and no later: it must
 * not end those that commit its log.
 */
function openingSignal(stop: AbortSignal | undefined): {
  readonly signal: AbortSignal
  end(): void
} {
  const controller = new AbortController()
  const onStop = (): void => controller.abort(stop?.reason)
  if (stop?.aborted === true) onStop()
  stop?.addEventListener('abort', onStop, { once: true })
  return { signal: controller.signal, end: () => stop?.removeEventListener('abort', onStop) }
}
