import { Bitset } from '../../core/bitset.ts'
import { MemoryTextIndex } from '../../search/text-memory.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { LogRow, LogRows } from '../segment/log-rows.ts'

/** The rows of a log as one more segment. */
export interface LogText {
  readonly index: MemoryTextIndex
  /** Rows of the index that are in the log. */
  readonly alive: Bitset
  row(number: number): LogRow
}

/** Rows that are gone may be as many as those that are there, and this many more. */
const SPARE_ROWS = 1_024

const indexes = new WeakMap<CollectionCore, LogTextIndex>()

/**
 * The text index of the open log's rows. Each row is read once: later states of the log, and older
 * ones, share it. To be used before anything is awaited: another search may add rows.
 */
export function logText(core: CollectionCore, rows: LogRows, fields: readonly string[]): LogText {
  const known = indexes.get(core)
  if (known?.fits(fields) === true) return known.view(rows)
  const index = new LogTextIndex(fields)
  indexes.set(core, index)
  return index.view(rows)
}

class LogTextIndex {
  #index: MemoryTextIndex
  /** By row of the index. */
  #rows: LogRow[] = []
  /** Rows are never changed: another value of an id is another object. */
  #numbers = new Map<LogRow, number>()
  #last: { readonly log: LogRows; readonly changes: number; readonly view: LogText } | undefined

  constructor(fields: readonly string[]) {
    this.#index = new MemoryTextIndex(fields)
  }

  fits(fields: readonly string[]): boolean {
    const own = this.#index.fields
    return own.length === fields.length && own.every((field, i) => field === fields[i])
  }

  view(log: LogRows): LogText {
    const last = this.#last
    const isSame = last?.log === log && last.changes === log.changes
    if (last !== undefined && isSame && last.view.index.rows === last.view.alive.length) {
      return last.view
    }
    if (this.#index.rows > 2 * log.live + SPARE_ROWS) this.#clear()
    const numbers: number[] = []
    for (const row of log.rows()) numbers.push(this.#numbers.get(row) ?? this.#add(row))
    const rows = this.#rows
    const view = {
      index: this.#index,
      alive: Bitset.from(this.#index.rows, numbers),
      row: (number: number) => rows[number] as LogRow,
    }
    this.#last = { log, changes: log.changes, view }
    return view
  }

  #add(row: LogRow): number {
    const number = this.#index.add(row.payload)
    this.#rows.push(row)
    this.#numbers.set(row, number)
    return number
  }

  /** Rows of the log are read anew: as many as were added since the last time, at most. */
  #clear(): void {
    this.#index = new MemoryTextIndex(this.#index.fields)
    this.#rows = []
    this.#numbers = new Map()
  }
}
