import type { AkidbError } from '../../errors/errors.ts'

/** An object of a store that came, or went. Who hears of it looks for himself. */
export interface BucketEvent {
  readonly kind: 'created' | 'removed'
  /** Below the store's prefix; a valid key (see checkKey). */
  readonly key: string
}

/** What a source of events says to whoever follows it. */
export type BucketNews =
  /** From now on events come. What happened before is not told: list. */
  | { readonly type: 'connected' }
  | { readonly type: 'events'; readonly events: readonly BucketEvent[] }
  /** Something was told that could not be read: list. */
  | { readonly type: 'gap'; readonly why: string }
  /** The connection is lost; after the pause there is another try. */
  | { readonly type: 'lost'; readonly error: AkidbError; readonly pauseMs: number }
  /** There is no such source, or it refuses. Told once until it connects; tried again seldom. */
  | { readonly type: 'refused'; readonly error: AkidbError; readonly pauseMs: number }

/**
 * Tells of what happens in a bucket. A hint, never a truth: events may be late, doubled, forged or
 * missing, and each of these costs its hearer one look, or a delay until the next.
 */
export interface BucketEvents {
  /** Address of the source, without secrets. */
  readonly url: string
  /**
   * News until `signal` aborts, which ends it without an error. What is not taken stays with the
   * source.
   */
  follow(signal: AbortSignal): AsyncIterable<BucketNews>
}

/** Where a store's events are picked out of those of its bucket. */
export interface EventPlace {
  readonly bucket: string
  /** The store's beginning of all keys: '' or text that ends with '/'. */
  readonly prefix: string
  /** Only keys below this are told of: '' or 'collections/'. It stays in the keys. */
  readonly below: string
}
