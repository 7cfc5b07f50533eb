import type { Manifest } from '../format/manifest.ts'
import type { LogRows } from './log-rows.ts'

/** Where the rows of a collection's write-ahead log come from: the owner's memory, or a replay of the files. */
export interface LogSource {
  /** Rows on top of this head, or undefined where there are none. The result may be shared: do not change it. */
  rows(head: Manifest): Promise<LogRows | undefined>
  /** Bytes of the log of the head's epoch that exist now: what an append names as seen. */
  length(head: Manifest | undefined): Promise<number>
}
