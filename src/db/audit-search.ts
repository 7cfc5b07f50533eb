import { sha256Hex } from '../core/digest.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { OpenedStore } from './store.ts'

/** What the audit log keeps of a search: nothing, its digest, or also its text. */
export type QueryPolicy = 'off' | 'digest' | 'full'

/** What the audit log learns of a search. */
export interface SearchToAudit {
  readonly collection: string
  readonly policy: QueryPolicy
  /** Refuse the search where the entry cannot be written. */
  readonly required: boolean
  /** The search as asked, JSON text; stored whole or as its digest, by policy. */
  readonly query: string
  /** 0: a file of queries, which are not counted before the first answer. */
  readonly queries: number
  readonly stateRoot: string
  readonly reason?: string
}

/** Longest query text that goes into an entry whole. */
const QUERY_BYTES_MAX = 16 * 1024

/**
 * Writes the one audit entry of a search, by policy.
 *
 * @throws AUTH where it is required and cannot be written
 */
export async function auditSearch(store: OpenedStore, search: SearchToAudit): Promise<void> {
  if (search.policy === 'off') return
  try {
    await logSearches(store, [search])
  } catch (error) {
    if (!hasCode(error, 'AUTH', 'NO_SPACE', 'NOT_FOUND', 'LOCKED')) throw error
    if (search.required) {
      throw new AkidbError('AUTH', `the search cannot be logged: ${error.message}`, {
        hint: 'audit.required is set. Make the state folder writable, or give another --state.',
        cause: error,
      })
    }
    // A store without a state folder of its own (a read-only medium) has no log.
    if (error.code === 'NOT_FOUND') return
    const message = `the search was not logged: ${error.message}`
    store.environment.warn({ code: 'NOT_AUDITED', message })
  }
}

/** One entry for each of these searches or batches of searches. */
export async function logSearches(
  store: OpenedStore,
  searches: readonly Omit<SearchToAudit, 'required'>[],
): Promise<void> {
  const { environment } = store
  const audit = await environment.audit()
  const { actor } = environment
  await audit.append(
    searches.map(({ policy, query, queries, stateRoot, collection, reason }) => {
      const bytes = Buffer.from(query, 'utf8')
      const whole = policy === 'full' && bytes.byteLength <= QUERY_BYTES_MAX
      const text = whole ? { text: query } : {}
      const count = queries === 0 ? {} : { queries }
      const details = { query: sha256Hex(bytes), ...text, ...count, stateRoot }
      const why = reason === undefined ? {} : { reason }
      return { act: 'search', phase: 'event', actor, collection, ...why, details }
    }),
  )
}
