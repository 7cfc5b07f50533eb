import { logSearches } from '../db/audit-ops.ts'
import { openStore } from '../db/store.ts'
import type { StoreRequest } from '../db/store-request.ts'
import { type ServerRequest, serve } from './serve.ts'

export interface ServeStoreRequest
  extends StoreRequest,
    Pick<ServerRequest, 'host' | 'port' | 'onReady' | 'onLog'> {}

/**
 * Opens a store, becomes the owner of its write-ahead log and serves it until `signal` aborts; then commits the log.
 *
 * @throws LOCKED where another process owns the log or the port is taken, NOT_FOUND, AUTH
 */
export async function serveStore(
  request: ServeStoreRequest,
): Promise<{ readonly requests: number; readonly elapsedMs: number }> {
  const startedMs = performance.now()
  const store = await openStore({ ...request, mode: 'write' })
  try {
    await store.own()
    const { requests } = await serve(store, {
      ...request,
      rowsAtRisk: () => store.rowsAtRisk(),
      onSearches: (batches) =>
        logSearches(
          store,
          batches.map(({ collection, stateRoot, queries }) => ({
            collection,
            stateRoot,
            policy: 'digest',
            query: queries.join('\n'),
            queries: queries.length,
          })),
        ),
    })
    return { requests, elapsedMs: Math.round(performance.now() - startedMs) }
  } finally {
    await store.close()
  }
}
