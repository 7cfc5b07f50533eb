import type { Manifest } from '../../format/manifest.ts'
import type { LogRows } from '../segment/log-rows.ts'

/**
 * Log rows on top of a head; undefined where there are none. 'stale': the log was committed since
 * the head was read, so that the two together lack rows, and the head is to be read again. The rows
 * may be shared: do not change them.
 */
export type LogView = LogRows | undefined | 'stale'

/**
 * Where the rows of a collection's write-ahead log come from: the owner's memory, or a replay of
 * the files.
 */
export interface LogSource {
  rows(head: Manifest): Promise<LogView>
  /** Bytes of the log of the head's epoch that exist now: what an append names as seen. */
  length(head: Manifest | undefined): Promise<number>
}
