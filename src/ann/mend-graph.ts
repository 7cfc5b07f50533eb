import type { Segment } from './segment.ts'

/** Rows that fewer others link to are looked for. */
const LINKED_FROM_MIN = 6
/** Candidates of the walk that looks for one. */
const LOOK_EF = 16
/** Rows that link to one that was not found. */
const LINKS_ADDED = 2
const UNBOUNDED = 0xffffffff

/**
 * Links to rows that a walk does not come upon. A row whose neighbours have nearer ones of their
 * own loses their links to it, and a tight group of rows all those from outside: no search would
 * find these, not even by their own vectors. Each row that few others link to is looked for, in the
 * order of the rows, and where a walk misses it, the nearest rows that the walk did find link to
 * it: in place of their farthest link to a row that enough others link to, where they have no room.
 *
 * A pure function of the rows and the graph. On one thread, a hundredth of the time that the graph
 * took on one.
 */
export function mendGraph(segment: Segment): void {
  const lists = new BottomLinks(segment)
  for (let row = 0; row < segment.rows; row++) {
    if (lists.isLinkedOften(row)) continue
    const found = rowsFound(segment, row)
    if (found.includes(row)) continue
    let added = 0
    for (const from of found) {
      if (added === LINKS_ADDED) break
      added += lists.add(from, row) ? 1 : 0
    }
  }
}

/** The nearest rows by a walk for a row's own vector, the nearest first. */
function rowsFound(segment: Segment, row: number): Uint32Array {
  const { context, dimension, plan, f32, u32, exports, rows } = segment
  const { raw, outIds } = context.arrays as { raw: number; outIds: number }
  const from = segment.address('vectors') / 4 + row * plan.stride
  f32.copyWithin(raw / 4, from, from + dimension)
  segment.setContext('budget', UNBOUNDED)
  const ef = Math.min(LOOK_EF, rows)
  const count = exports.search(plan.index, context.address, ef, ef, 0, 0)
  return u32.slice(outIds / 4, outIds / 4 + count)
}

/** The links of level 0. */
class BottomLinks {
  readonly #segment: Segment
  readonly #capacity: number
  readonly #links: number
  readonly #distances: number
  /** Of each row, how many others link to it. */
  readonly #linkedFrom: Uint32Array

  constructor(segment: Segment) {
    this.#segment = segment
    this.#capacity = segment.getIndex('m0')
    this.#links = segment.address('links0') / 4
    this.#distances = segment.address('distances0') / 4
    this.#linkedFrom = new Uint32Array(segment.rows)
    for (let row = 0; row < segment.rows; row++) {
      for (const to of this.#list(row)) this.#count(to, 1)
    }
  }

  isLinkedOften(row: number): boolean {
    return (this.#linkedFrom[row] as number) >= LINKED_FROM_MIN
  }

  /** @returns false where none of its links may be given up for it */
  add(from: number, to: number): boolean {
    const { u32, f32 } = this.#segment
    const list = this.#list(from)
    if (from === to || list.includes(to)) return false
    const at = from * (this.#capacity + 1)
    const place = list.length < this.#capacity ? list.length : this.#farthest(from)
    if (place === undefined) return false
    if (place < list.length) this.#count(list[place] as number, -1)
    else u32[this.#links + at] = list.length + 1
    u32[this.#links + at + 1 + place] = to
    // It is the last to be given up.
    f32[this.#distances + at + 1 + place] = Number.NEGATIVE_INFINITY
    this.#count(to, 1)
    return true
  }

  /** Place of the farthest link to a row that enough others link to; of equal ones the first. */
  #farthest(from: number): number | undefined {
    const { f32 } = this.#segment
    const start = this.#distances + from * (this.#capacity + 1) + 1
    let best: number | undefined
    for (const [place, to] of this.#list(from).entries()) {
      if ((this.#linkedFrom[to] as number) <= LINKED_FROM_MIN) continue
      const isFarther =
        best === undefined || (f32[start + place] as number) > (f32[start + best] as number)
      if (isFarther) best = place
    }
    return best
  }

  #list(row: number): Uint32Array {
    const { u32 } = this.#segment
    const at = this.#links + row * (this.#capacity + 1)
    return u32.subarray(at + 1, at + 1 + (u32[at] as number))
  }

  #count(row: number, by: number): void {
    this.#linkedFrom[row] = (this.#linkedFrom[row] as number) + by
  }
}
