import { setImmediate } from 'node:timers/promises'
import type { SearchPlan } from '../api/search-api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { RankedRecord } from '../search/search-vector.ts'
import type { SearchCourse } from '../search/under-way.ts'
import type { View } from '../segment/view.ts'

/** The one pinned state that a query sees. */
export interface QueryContext {
  readonly core: CollectionCore
  readonly view: View
  readonly signal: AbortSignal | undefined
}

/** The same for one that ranks. */
export interface RankingContext extends QueryContext {
  /** How its vector searches are done at this moment. */
  readonly course: () => SearchCourse
}

/** Hits in their order, best first, and how they were found. */
export interface Ranked {
  readonly hits: readonly RankedRecord[]
  readonly plan: SearchPlan
}

/** Rows between two looks at the signal. */
const ROWS_A_TURN = 8_192

/**
 * Called for every row of long work: now and then lets others run and looks whether it is to go on.
 */
export function turns(signal: AbortSignal | undefined): () => Promise<void> | undefined {
  let rows = 0
  return () => {
    if (++rows % ROWS_A_TURN !== 0) return undefined
    signal?.throwIfAborted()
    return setImmediate()
  }
}

/** Stops to wait where the signal says so; the shared work itself goes on for others. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const stop = (): void => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
    work.catch(() => undefined)
  }
}
