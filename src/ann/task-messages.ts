import { Bitset } from '../core/bitset.ts'
import { AkidbError } from '../errors/errors.ts'
import type { ErrorCode } from '../errors/exit-codes.ts'
import type { RankedRows } from './ranked-search.ts'
import type { RowSearch, SharedIndex } from './vector-index.ts'

/** An index that a worker is to search from now on, with the context that is its own. */
export interface Attachment {
  readonly index: number
  readonly shared: SharedIndex
  readonly context: number
}

/** A RowSearch as it crosses threads. */
export interface SentSearch extends Omit<RowSearch, 'query' | 'allowed'> {
  readonly task: number
  readonly index: number
  /** Components of its query. */
  readonly components: number
  /** Words of the bitset; shared memory where the sender has it there, else copied. */
  readonly allowed?: { readonly length: number; readonly words: Uint32Array }
}

/** What the pool asks of a worker. Searches are answered together, digests when they are done. */
export type TaskMessage =
  | {
      readonly kind: 'search'
      /** Indexes of these searches that the worker has not seen yet. */
      readonly attach: readonly Attachment[]
      readonly searches: readonly SentSearch[]
      /**
       * Their queries, one after the other, in memory of their own that is moved: a view that is
       * sent takes all of its buffer with it, and a caller's may be a whole file.
       */
      readonly queries: Float32Array<ArrayBuffer>
    }
  | {
      readonly kind: 'digest'
      readonly task: number
      readonly bytes: Uint8Array
      readonly chunkBytes: number
    }
  /** Lets go of memories; not answered. */
  | { readonly kind: 'detach'; readonly indexes: readonly number[] }

/** What became of one task. */
export interface TaskAnswer {
  readonly task: number
  readonly ranked?: RankedRows
  readonly digests?: Uint8Array
  /** The bytes that were hashed, given back. */
  readonly bytes?: Uint8Array
  readonly error?: SentError
}

/** An error as it crosses threads; without a code it is a bug. */
export interface SentError {
  readonly code?: ErrorCode
  readonly message: string
  readonly hint?: string
  readonly details?: AkidbError['details']
}

/** An error ready to be posted. */
export function describeError(error: unknown): SentError {
  if (!(error instanceof AkidbError)) return { message: String(error) }
  const { code, message, hint, details } = error
  return hint === undefined ? { code, message, details } : { code, message, hint, details }
}

/** The error that was posted. @param what failed, for those that are bugs */
export function reviveError(what: string, { code, message, hint, details = {} }: SentError): Error {
  if (code === undefined) return new Error(`${what} failed: ${message}`)
  return new AkidbError(code, message, hint === undefined ? { details } : { hint, details })
}

/** A search of a message as the kernel wants it, with its query. */
export function receivedSearch(
  { allowed, components: _components, ...same }: SentSearch,
  query: Float32Array,
): RowSearch {
  if (allowed === undefined) return { ...same, query }
  return { ...same, query, allowed: new Bitset(allowed.length, allowed.words) }
}
