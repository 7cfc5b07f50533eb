import type { JsonObject } from '../core/json.ts'

/** A row of the write-ahead log that no commit has replaced. */
export interface LogRow {
  readonly id: string
  readonly vector: Float32Array | undefined
  readonly payload: JsonObject
}

/** The newest word of the write-ahead log on every id that it touched: a row, or its deletion. */
export class LogRows {
  #rows = new Map<string, LogRow | undefined>()
  /** Every id in the order of its changes. */
  readonly #journal: string[] = []
  #live = 0
  /** Grows with every change: what is derived from the rows is made anew when it does. */
  version = 0

  /** Ids with a row here. */
  get live(): number {
    return this.#live
  }

  /** Ids with a row or a deletion here. */
  get touched(): number {
    return this.#rows.size
  }

  touchedIds(): Iterable<string> {
    return this.#rows.keys()
  }

  put(row: LogRow): void {
    this.forget(row.id)
    this.#rows.set(row.id, row)
    this.#live++
  }

  remove(id: string): void {
    this.forget(id)
    this.#rows.set(id, undefined)
  }

  /** A later commit decides about this id. */
  forget(id: string): void {
    if (this.#rows.get(id) !== undefined) this.#live--
    this.#rows.delete(id)
    this.#journal.push(id)
    this.version++
  }

  /** How many changes there were: a mark for `changedSince`. */
  get changes(): number {
    return this.#journal.length
  }

  /** Ids that changed after a mark, repeats included. */
  changedSince(mark: number): readonly string[] {
    return this.#journal.slice(mark)
  }

  has(id: string): boolean {
    return this.#rows.has(id)
  }

  get(id: string): LogRow | undefined {
    return this.#rows.get(id)
  }

  *rows(): Iterable<LogRow> {
    for (const row of this.#rows.values()) if (row !== undefined) yield row
  }

  /** A copy that later changes do not reach. */
  snapshot(): LogRows {
    const copy = new LogRows()
    copy.#rows = new Map(this.#rows)
    copy.#live = this.#live
    copy.version = this.version
    return copy
  }
}
