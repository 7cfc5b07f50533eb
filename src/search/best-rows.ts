/** A row of one of several segments, with its score. */
export interface RankedRow {
  /** Place in the list of segments. */
  readonly segment: number
  readonly row: number
  readonly score: number
}

/** Negative where the first of two rows of equal score comes before the second. */
export type TieOrder = (segmentA: number, rowA: number, segmentB: number, rowB: number) => number

/** Equal scores by segment, then row. */
export const byPlace: TieOrder = (segmentA, rowA, segmentB, rowB) =>
  segmentA - segmentB || rowA - rowB

/**
 * The k best rows of all that were offered: a heap with the worst on top, in typed arrays. What it
 * holds in the end does not depend on the order of the offers.
 */
export class BestRows {
  readonly #k: number
  readonly #ties: TieOrder
  readonly #scores: Float64Array
  readonly #segments: Uint32Array
  readonly #rows: Uint32Array
  #count = 0

  constructor(k: number, ties: TieOrder = byPlace) {
    this.#k = k
    this.#ties = ties
    this.#scores = new Float64Array(k)
    this.#segments = new Uint32Array(k)
    this.#rows = new Uint32Array(k)
  }

  /** A row of a lower score is none of the best; −Infinity while there is room. */
  get threshold(): number {
    return this.#count < this.#k ? -Infinity : (this.#scores[0] as number)
  }

  offer(segment: number, row: number, score: number): void {
    if (this.#count < this.#k) {
      this.#put(this.#count++, segment, row, score)
      this.#rise(this.#count - 1)
      return
    }
    const worst = this.#scores[0] as number
    if (score < worst) return
    const tied = (): number =>
      this.#ties(segment, row, this.#segments[0] as number, this.#rows[0] as number)
    if (score === worst && tied() >= 0) return
    this.#put(0, segment, row, score)
    this.#sink()
  }

  /** Best first. */
  sorted(): RankedRow[] {
    const places = Array.from({ length: this.#count }, (_, place) => place)
    places.sort((a, b) => this.#compare(a, b))
    return places.map((place) => ({
      segment: this.#segments[place] as number,
      row: this.#rows[place] as number,
      score: this.#scores[place] as number,
    }))
  }

  #put(place: number, segment: number, row: number, score: number): void {
    this.#segments[place] = segment
    this.#rows[place] = row
    this.#scores[place] = score
  }

  /** Negative where the row at place a is better than that at b. */
  #compare(a: number, b: number): number {
    return (
      (this.#scores[b] as number) - (this.#scores[a] as number) ||
      this.#ties(
        this.#segments[a] as number,
        this.#rows[a] as number,
        this.#segments[b] as number,
        this.#rows[b] as number,
      )
    )
  }

  #rise(start: number): void {
    for (let i = start; i > 0; ) {
      const parent = (i - 1) >>> 1
      if (this.#compare(i, parent) <= 0) return
      this.#swap(i, parent)
      i = parent
    }
  }

  #sink(): void {
    for (let i = 0; ; ) {
      const left = 2 * i + 1
      let worst = i
      if (left < this.#count && this.#compare(left, worst) > 0) worst = left
      if (left + 1 < this.#count && this.#compare(left + 1, worst) > 0) worst = left + 1
      if (worst === i) return
      this.#swap(i, worst)
      i = worst
    }
  }

  #swap(a: number, b: number): void {
    const score = this.#scores[a] as number
    const segment = this.#segments[a] as number
    const row = this.#rows[a] as number
    this.#put(a, this.#segments[b] as number, this.#rows[b] as number, this.#scores[b] as number)
    this.#put(b, segment, row, score)
  }
}
