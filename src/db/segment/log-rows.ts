import type { JsonObject } from '../../core/json.ts'

/** A row of the write-ahead log that no commit has replaced. */
export interface LogRow {
  readonly id: string
  readonly vector: Float32Array | undefined
  readonly payload: JsonObject
}

/** A row that was put, or the deletion of an id. */
interface LogChange {
  readonly id: string
  readonly row: LogRow | undefined
  /** Number of the change of the same id before it, or NONE. */
  readonly before: number
  /** Number of the change of the same id after it, or NONE. */
  after: number
}

const NONE = -1

/** All changes in their order; grows only, so that every moment of it stays readable. */
interface LogHistory {
  readonly changes: LogChange[]
  /** Newest change of each id. */
  readonly latest: Map<string, number>
}

/**
 * The newest word of the write-ahead log on every id that it touched: a row, or its deletion.
 *
 * Changes have numbers from 0, which stay: an index over rows may name them by number for every
 * snapshot of the same history.
 */
export class LogRows {
  readonly #history: LogHistory
  #changes = 0
  #live = 0
  #touched = 0

  constructor(history: LogHistory = { changes: [], latest: new Map() }) {
    this.#history = history
  }

  /** Ids with a row here. */
  get live(): number {
    return this.#live
  }

  /** Ids with a row or a deletion here. */
  get touched(): number {
    return this.#touched
  }

  /** How many changes there were: a mark for `changedSince`. */
  get changes(): number {
    return this.#changes
  }

  /** The same object for all snapshots of one history. */
  get history(): object {
    return this.#history
  }

  put(row: LogRow): void {
    this.#add(row.id, row)
  }

  remove(id: string): void {
    this.#add(id, undefined)
  }

  has(id: string): boolean {
    return this.#find(id) !== undefined
  }

  get(id: string): LogRow | undefined {
    return this.#find(id)?.row
  }

  /** The row of a change, where it is the newest of its id. */
  rowAt(number: number): LogRow | undefined {
    const change = this.#history.changes[number]
    return change !== undefined && this.#isNewest(change) ? change.row : undefined
  }

  /** Vectors of all changes from a number on, also of those that later ones replaced. */
  vectorsFrom(first: number): (Float32Array | undefined)[] {
    return this.#history.changes.slice(first, this.#changes).map(({ row }) => row?.vector)
  }

  /** Ids that changed after a mark, repeats included. */
  changedSince(mark: number): readonly string[] {
    return this.#history.changes.slice(mark, this.#changes).map(({ id }) => id)
  }

  *touchedIds(): Iterable<string> {
    for (let number = 0; number < this.#changes; number++) {
      const change = this.#history.changes[number] as LogChange
      if (this.#isNewest(change)) yield change.id
    }
  }

  *rows(): Iterable<LogRow> {
    for (let number = 0; number < this.#changes; number++) {
      const row = this.rowAt(number)
      if (row !== undefined) yield row
    }
  }

  /** This moment, which later changes do not reach. Copies nothing; takes no changes itself. */
  snapshot(): LogRows {
    const moment = new LogRows(this.#history)
    moment.#changes = this.#changes
    moment.#live = this.#live
    moment.#touched = this.#touched
    return moment
  }

  #add(id: string, row: LogRow | undefined): void {
    const { changes, latest } = this.#history
    const number = changes.length
    if (number !== this.#changes) throw new Error('a snapshot of the log takes no changes')
    const before = latest.get(id) ?? NONE
    const former = changes[before]
    if (former !== undefined) former.after = number
    if (former === undefined) this.#touched++
    this.#live += (row === undefined ? 0 : 1) - (former?.row === undefined ? 0 : 1)
    changes.push({ id, row, before, after: NONE })
    latest.set(id, number)
    this.#changes++
  }

  #find(id: string): LogChange | undefined {
    const { changes, latest } = this.#history
    let number = latest.get(id) ?? NONE
    while (number >= this.#changes) number = (changes[number] as LogChange).before
    return changes[number]
  }

  #isNewest({ after }: LogChange): boolean {
    return after === NONE || after >= this.#changes
  }
}
