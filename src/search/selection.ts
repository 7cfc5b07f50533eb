import { Bitset } from '../core/bitset.ts'

/**
 * What a filter selects, as far as an index knows: surely `sure`, at most `maybe`. One and the same
 * set where it knows all.
 */
export interface Selection {
  readonly sure: Bitset
  readonly maybe: Bitset
}

export const exactly = (rows: Bitset): Selection => ({ sure: rows, maybe: rows })

const isExact = ({ sure, maybe }: Selection): boolean => sure === maybe

/** Sets that are changed in place; `maybe` is made when it first differs from `sure`. */
export class SelectionBuilder {
  #sure: Bitset
  #maybe: Bitset

  /** @param rows belongs to the builder from now on */
  constructor(rows: Bitset) {
    this.#sure = rows
    this.#maybe = rows
  }

  and(part: Selection): void {
    this.#apart(part)
    this.#sure.and(part.sure)
    if (this.#maybe !== this.#sure) this.#maybe.and(part.maybe)
  }

  or(part: Selection): void {
    this.#apart(part)
    this.#sure.or(part.sure)
    if (this.#maybe !== this.#sure) this.#maybe.or(part.maybe)
  }

  andNot(part: Selection): void {
    this.#apart(part)
    this.#sure.andNot(part.maybe)
    if (this.#maybe !== this.#sure) this.#maybe.andNot(part.sure)
  }

  #apart(part: Selection): void {
    if (this.#maybe === this.#sure && !isExact(part)) this.#maybe = this.#sure.clone()
  }

  finish(): Selection {
    return { sure: this.#sure, maybe: this.#maybe }
  }
}

/**
 * Rows that at least `count` of the parts have: one counter a row, kept as planes of bits.
 *
 * @param parts asked for one after the other; each may be used again by its maker
 */
export function atLeast(rows: number, count: number, parts: Iterable<Selection>): Selection {
  const sure = new RowCounters(rows)
  let maybe = sure
  for (const part of parts) {
    if (maybe === sure && !isExact(part)) maybe = sure.clone()
    sure.add(part.sure)
    if (maybe !== sure) maybe.add(part.maybe)
  }
  const surely = sure.atLeast(count)
  return maybe === sure ? exactly(surely) : { sure: surely, maybe: maybe.atLeast(count) }
}

class RowCounters {
  readonly #rows: number
  readonly #planes: Uint32Array[]

  constructor(rows: number, planes: Uint32Array[] = []) {
    this.#rows = rows
    this.#planes = planes
  }

  clone(): RowCounters {
    return new RowCounters(
      this.#rows,
      this.#planes.map((plane) => plane.slice()),
    )
  }

  add({ words }: Bitset): void {
    for (let i = 0; i < words.length; i++) {
      let carry = words[i] as number
      for (let level = 0; carry !== 0; level++) {
        if (level === this.#planes.length) this.#planes.push(new Uint32Array(words.length))
        const plane = this.#planes[level] as Uint32Array
        const bits = plane[i] as number
        plane[i] = bits ^ carry
        carry = bits & carry
      }
    }
  }

  /** Compares from the highest bit: greater, or equal so far. */
  atLeast(count: number): Bitset {
    const equal = Bitset.full(this.#rows)
    if (count >= 2 ** this.#planes.length) return new Bitset(this.#rows)
    const greater = new Bitset(this.#rows)
    for (let level = this.#planes.length - 1; level >= 0; level--) {
      const plane = new Bitset(this.#rows, this.#planes[level])
      if (Math.floor(count / 2 ** level) % 2 === 1) equal.and(plane)
      else {
        greater.or(equal.clone().and(plane))
        equal.andNot(plane)
      }
    }
    return greater.or(equal)
  }
}
