import type { Place } from '../segment/view.ts'

/** A row on its way into the hits. */
export interface CandidateRow<T> {
  readonly value: T
  readonly idBytes: Uint8Array
  readonly place?: Place
}

/** The first `count` rows by `compare`, ties by bytewise lower id, however many are offered. */
export class FirstRows<T> {
  readonly #count: number
  readonly #compare: (a: T, b: T) => number
  #rows: CandidateRow<T>[] = []
  /** The last one that is kept, once there are enough. */
  #worst: CandidateRow<T> | undefined

  constructor(count: number, compare: (a: T, b: T) => number) {
    this.#count = count
    this.#compare = compare
  }

  /** @param idBytes asked for only where the row may be among the first */
  offer(value: T, idBytes: () => Uint8Array, place?: Place): void {
    if (this.#worst !== undefined && this.#compare(value, this.#worst.value) > 0) return
    this.#rows.push({ value, idBytes: idBytes(), ...(place === undefined ? {} : { place }) })
    if (this.#rows.length >= 2 * this.#count + 64) this.#cut()
  }

  sorted(): readonly CandidateRow<T>[] {
    this.#cut()
    return this.#rows
  }

  #cut(): void {
    this.#rows.sort(
      (a, b) => this.#compare(a.value, b.value) || Buffer.compare(a.idBytes, b.idBytes),
    )
    this.#rows.length = Math.min(this.#rows.length, this.#count)
    if (this.#rows.length === this.#count) this.#worst = this.#rows.at(-1)
  }
}
