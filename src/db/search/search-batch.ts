import { setImmediate } from 'node:timers/promises'
import type { WorkerPool } from '../../ann/worker-pool.ts'
import { limits } from '../../core/limits.ts'
import type { BatchOptions, BatchSearch, SearchResult } from '../api/api.ts'
import { checkIterable } from '../api/check-call.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { View } from '../segment/view.ts'
import { checkSearch, completeResult, type RankedHits, rankRecords } from './search-run.ts'
import { EARLY_SEARCHES_MAX } from './under-way.ts'

/** A query whose records are being ranked. */
interface UnderWay {
  readonly request: BatchSearch
  readonly ranked: Promise<RankedHits>
}

/** Searches on the calling thread after which it looks at timers, signals and new workers. */
const SEARCHES_A_TURN = 8

/**
 * Searches one held state many times (see Collection.searchBatch). Workers rank while this thread
 * fetches payloads, and this thread ranks too while it would wait for them; what is fetched is one
 * result at a time, so that memory does not grow with the number of searches under way.
 */
export async function* searchBatch(
  core: CollectionCore,
  requests: Iterable<BatchSearch> | AsyncIterable<BatchSearch>,
  { asOf, signal, preload }: BatchOptions,
): AsyncGenerator<SearchResult> {
  checkIterable('searchBatch', requests)
  // It may say no before anybody listens.
  const wanted = Promise.resolve(preload).catch(() => false)
  const workers = core.environment.workers?.()
  const many = (workers?.threads ?? 1) > 1
  if (many) workers?.warm()
  const stop = new AbortController()
  const ends = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const { view, hold } = await core.hold(asOf)
  // Its failure is that of the first search.
  const opening = openedEarly(core, view, wanted, ends).catch(() => undefined)
  const underWay: UnderWay[] = []
  const finish = async ({ request, ranked }: UnderWay): Promise<SearchResult> => {
    if (workers !== undefined) await helpUntil(workers, ranked)
    return await completeResult(core, view, request, await ranked)
  }
  const rank = async (request: BatchSearch): Promise<RankedHits> => {
    const whole = underWay.length >= EARLY_SEARCHES_MAX
    const search = { ...checkSearch(request), signal: ends, parallel: many, whole }
    return await rankRecords(core, view, request, search)
  }
  try {
    let taken = 0
    let failure: { readonly error: unknown } | undefined
    const onFailure = (error: unknown): void => {
      failure = { error }
    }
    for await (const request of untilFailure(requests, onFailure)) {
      signal?.throwIfAborted()
      if (hold.isOld()) await hold.renew()
      if (workers?.ready !== true && taken % SEARCHES_A_TURN === 0) await setImmediate()
      taken++
      const ranked = rank(request)
      // It is awaited in its turn; until then a failure is not unhandled.
      ranked.catch(() => undefined)
      underWay.push({ request, ranked })
      const first = underWay.length >= inFlightMax(workers?.ready) ? underWay.shift() : undefined
      if (first !== undefined) yield await finish(first)
    }
    for (let first = underWay.shift(); first !== undefined; first = underWay.shift()) {
      signal?.throwIfAborted()
      yield await finish(first)
    }
    if (failure !== undefined) throw failure.error
  } finally {
    stop.abort()
    await Promise.allSettled(underWay.map(({ ranked }) => ranked))
    await opening
    await hold.release()
  }
}

/** Searches on this thread too while those before it are with workers, which have enough to do. */
async function helpUntil(workers: WorkerPool, ranked: Promise<unknown>): Promise<void> {
  let isDone = false
  const done = (): void => {
    isDone = true
  }
  ranked.then(done, done)
  // It may be done already.
  await undefined
  while (!isDone && workers.help()) await setImmediate()
}

async function openedEarly(
  core: CollectionCore,
  view: View,
  wanted: Promise<boolean | undefined>,
  signal: AbortSignal,
): Promise<void> {
  if (await wanted) await core.open(view, signal)
}

/** So that queries before one that cannot be read are answered first, as they would be alone. */
async function* untilFailure<T>(
  items: Iterable<T> | AsyncIterable<T>,
  onFailure: (error: unknown) => void,
): AsyncGenerator<T> {
  try {
    yield* items
  } catch (error) {
    onFailure(error)
  }
}

/** Where no worker runs nothing is gained by having more than one under way. */
const inFlightMax = (ready: boolean | undefined): number =>
  ready === true ? limits.batchSearchesMax : 1
