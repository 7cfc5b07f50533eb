import type { StoreRequest } from '../db/open/store-request.ts'
import { runAct } from '../db/states/acts.ts'
import { type OpenedStore, openStore } from '../db/store.ts'
import { hasCode } from '../errors/errors.ts'
import { isS3Url } from '../storage/s3/s3-url.ts'

/** What changes something outside a store: at a key server, or a bucket's rules. */
export interface ActRequest {
  /** Its audit log tells of the act; absent, in a bucket, or where there is none: no log does. */
  readonly store?: StoreRequest
  readonly signal?: AbortSignal
}

/**
 * Runs such an act between its intent and its outcome in the store's audit log. Where
 * the log cannot be written, nothing is done.
 *
 * @throws what openStore throws, but NOT_FOUND; what the work throws
 */
export async function auditedAct<T>(
  { store: request }: ActRequest,
  input: { readonly act: string; readonly details: Readonly<Record<string, unknown>> },
  work: () => Promise<T>,
): Promise<T> {
  const store = await storeOf(request)
  if (store === undefined) return await work()
  try {
    return await runAct(store.environment, input, async () => ({
      result: await work(),
      outcome: {},
    }))
  } finally {
    await store.close()
  }
}

async function storeOf(request: StoreRequest | undefined): Promise<OpenedStore | undefined> {
  if (request === undefined || isS3Url(request.url)) return undefined
  const { signal: _, ...rest } = request
  try {
    return await openStore({ ...rest, mode: 'write' })
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    throw error
  }
}
