import { damagedIndex } from './field-index-format.ts'
import type { CheckedNumbers } from './part-reader.ts'

/**
 * Sets of numbers (rows, mostly), as postings of values. `heads` has a u32 a set:
 *
 *   bit 31 set   the set has one number, which is in the other bits
 *   0x7fffffff   the set is empty
 *   else         where it begins in `words`, u32
 *
 * A set begins with its size. Where bit 31 of that is set, the numbers follow as they are,
 * ascending; else the number of containers follows, and the containers, ascending. A container
 * holds the numbers of one chunk of 2^16: a word chunk · 4 + kind, a word that counts, and then
 *
 *   kind 0  counted: numbers     two u16 a word, the lower first; ascending
 *   kind 1  counted: runs        a word each: first number, and (u16 above it) how many more follow
 *   kind 2  counted: words       bitmap; bit i of word w is number 32 · w + i
 *
 * The kind that takes the fewest words is used, of equals the first.
 * Source: Lemire et al., Roaring Bitmaps: Implementation of an Optimized Software Library,
 * arXiv:1709.07821.
 */
export const CHUNK = 2 ** 16
const ONE = 0x80000000
const EMPTY = 0x7fffffff
const PLAIN = 0x80000000
const CHUNK_WORDS = CHUNK / 32

const ARRAY = 0
const RUNS = 1
const BITMAP = 2

/** Words of a set of bits over `space` numbers. */
export const bitWords = (space: number): number => Math.ceil(space / 32)

/** Collects sets; the bytes depend on the sets and their order alone. */
export class PostingWriter {
  readonly #space: number
  readonly #heads: number[] = []
  #words = new Uint32Array(1024)
  #length = 0

  /** @param space all numbers are below it */
  constructor(space: number) {
    this.#space = space
  }

  /** The next set: ascending, without repeats. */
  add(numbers: ArrayLike<number>): void {
    if (numbers.length === 0) this.#heads.push(EMPTY)
    else if (numbers.length === 1) this.addOne(numbers[0] as number)
    else this.#addMany(numbers)
  }

  /** The next set, of one number. */
  addOne(number: number): void {
    this.#heads.push((number | ONE) >>> 0)
  }

  #addMany(numbers: ArrayLike<number>): void {
    this.#heads.push(this.#length)
    // What few numbers take in containers is never less.
    if (numbers.length <= 4) {
      this.#reserve(5)
      this.#addPlain(numbers)
      return
    }
    const chunks = chunksOf(numbers, this.#space)
    const words = chunks.reduce((sum, chunk) => sum + 2 + chunk.words, 2)
    this.#reserve(words)
    if (numbers.length + 1 <= words) {
      this.#addPlain(numbers)
      return
    }
    this.#push(numbers.length)
    this.#push(chunks.length)
    for (const chunk of chunks) this.#addChunk(numbers, chunk)
  }

  #addPlain(numbers: ArrayLike<number>): void {
    this.#push(numbers.length | PLAIN)
    for (let i = 0; i < numbers.length; i++) this.#push(numbers[i] as number)
  }

  #addChunk(numbers: ArrayLike<number>, { from, to, kind, counted, words }: Chunk): void {
    const first = numbers[from] as number
    this.#push(Math.floor(first / CHUNK) * 4 + kind)
    this.#push(counted)
    const start = this.#length
    this.#words.fill(0, start, start + words)
    this.#length += words
    for (let i = from, run = start - 1, last = -2; i < to; i++) {
      const low = (numbers[i] as number) & 0xffff
      if (kind === ARRAY) this.#or(start + ((i - from) >>> 1), low << (((i - from) & 1) * 16))
      else if (kind === BITMAP) this.#or(start + (low >>> 5), 1 << (low & 31))
      else if (low === last + 1) this.#words[run] = (this.#words[run] as number) + CHUNK
      else this.#words[++run] = low
      last = low
    }
  }

  #or(at: number, bits: number): void {
    this.#words[at] = (this.#words[at] as number) | bits
  }

  #push(word: number): void {
    this.#words[this.#length++] = word
  }

  #reserve(words: number): void {
    if (this.#length + words > 2 ** 30) throw new Error('postings of over 4 GiB')
    if (this.#length + words <= this.#words.length) return
    const wider = new Uint32Array(Math.max(this.#words.length * 2, this.#length + words))
    wider.set(this.#words.subarray(0, this.#length))
    this.#words = wider
  }

  finish(): { readonly heads: Uint32Array; readonly words: Uint32Array } {
    return { heads: Uint32Array.from(this.#heads), words: this.#words.slice(0, this.#length) }
  }
}

/** The part of a set that lies in one chunk: its numbers from…to, and how they are kept. */
interface Chunk {
  readonly from: number
  readonly to: number
  readonly kind: number
  readonly counted: number
  readonly words: number
}

function chunksOf(numbers: ArrayLike<number>, space: number): Chunk[] {
  const chunks: Chunk[] = []
  for (let from = 0; from < numbers.length; ) {
    const chunk = Math.floor((numbers[from] as number) / CHUNK)
    const end = (chunk + 1) * CHUNK
    let runs = 1
    let to = from + 1
    for (; to < numbers.length && (numbers[to] as number) < end; to++) {
      if (numbers[to] !== (numbers[to - 1] as number) + 1) runs++
    }
    const count = to - from
    const bitmap = Math.min(CHUNK_WORDS, bitWords(space) - chunk * CHUNK_WORDS)
    const list = (count + 1) >>> 1
    if (list <= runs && list <= bitmap) {
      chunks.push({ from, to, kind: ARRAY, counted: count, words: list })
    } else if (runs <= bitmap) {
      chunks.push({ from, to, kind: RUNS, counted: runs, words: runs })
    } else chunks.push({ from, to, kind: BITMAP, counted: bitmap, words: bitmap })
    from = to
  }
  return chunks
}

/** Sets as `PostingWriter` made them; nothing of them is believed. */
export class Postings {
  readonly #heads: CheckedNumbers<Uint32Array>
  readonly #words: CheckedNumbers<Uint32Array>
  readonly #space: number

  /** @param space numbers from here on are INTEGRITY */
  constructor(
    heads: CheckedNumbers<Uint32Array>,
    words: CheckedNumbers<Uint32Array>,
    space: number,
  ) {
    this.#heads = heads
    this.#words = words
    this.#space = space
  }

  /** How many numbers a set says to have; at most the space. */
  count(set: number): number {
    const head = this.#heads.at(set)
    if (head === EMPTY) return 0
    if (head >= ONE) return 1
    return Math.min(this.#space, this.#words.at(head) & EMPTY)
  }

  /** Adds a set's numbers as bits. @throws INTEGRITY where the set is damaged */
  add(set: number, bits: Uint32Array): void {
    this.#addHead(this.#heads.at(set), bits)
  }

  /** Adds the sets from…to. */
  addRun(from: number, to: number, bits: Uint32Array): void {
    if (from >= to) return
    const heads = this.#heads.range(from, to)
    for (let set = from; set < to; set++) this.#addHead(heads[set] as number, bits)
  }

  /** Adds the sets whose numbers are bits of `sets`; there must be as many. */
  addEach(sets: Uint32Array, bits: Uint32Array): void {
    const heads = this.#heads.all()
    for (let at = 0; at < sets.length; at++) {
      for (let left = sets[at] as number; left !== 0; left &= left - 1) {
        const head = heads[at * 32 + (31 - Math.clz32(left & -left))]
        if (head === undefined) throw damagedIndex('a posting is missing')
        this.#addHead(head, bits)
      }
    }
  }

  /**
   * Calls back with each number of a set.
   *
   * @param bits work space of `space` bits, all zero before and after
   */
  forEach(set: number, bits: Uint32Array, visit: (number: number) => void): void {
    const head = this.#heads.at(set)
    if (head === EMPTY) return
    if (head >= ONE) {
      const number = head & EMPTY
      if (number >= this.#space) throw damagedIndex(`a posting names ${number}`)
      visit(number)
      return
    }
    const size = this.#words.at(head)
    if (size >= PLAIN) {
      const end = head + 1 + (size & EMPTY)
      const words = this.#words.range(head, end)
      for (let i = head + 1; i < end; i++) {
        if ((words[i] as number) >= this.#space) throw damagedIndex(`a posting names ${words[i]}`)
        visit(words[i] as number)
      }
      return
    }
    this.#addContainers(head, bits, (chunk) => visitAndClear(bits, chunk * CHUNK_WORDS, visit))
  }

  /** Sets of one number, as those of ids and times, go by quickly. */
  #addHead(head: number, bits: Uint32Array): void {
    const number = head & EMPTY
    if (head >= ONE && number < this.#space) {
      bits[number >>> 5] = (bits[number >>> 5] as number) | (1 << (number & 31))
    } else if (head >= ONE) throw damagedIndex(`a posting names ${number}`)
    else if (head !== EMPTY) this.#addMany(head, bits)
  }

  #addOne(number: number, bits: Uint32Array): void {
    if (number >= this.#space) throw damagedIndex(`a posting names ${number}`)
    bits[number >>> 5] = (bits[number >>> 5] as number) | (1 << (number & 31))
  }

  #addMany(head: number, bits: Uint32Array): void {
    const size = this.#words.at(head)
    if (size >= PLAIN) {
      const end = head + 1 + (size & EMPTY)
      const words = this.#words.range(head, end)
      for (let i = head + 1; i < end; i++) this.#addOne(words[i] as number, bits)
      return
    }
    this.#addContainers(head, bits)
  }

  /** @param onChunk called after the bits of each chunk of a set are there */
  #addContainers(head: number, bits: Uint32Array, onChunk?: (chunk: number) => void): void {
    let at = head + 2
    for (let left = this.#words.at(head + 1), last = -1; left > 0; left--) {
      const chunk = this.#words.at(at) >>> 2
      if (chunk <= last || chunk * CHUNK >= this.#space) throw damagedIndex('a posting is mixed up')
      last = chunk
      at = this.#addContainer(at, chunk, bits)
      onChunk?.(chunk)
    }
  }

  /** Adds a container and returns where the next begins. */
  #addContainer(at: number, chunk: number, bits: Uint32Array): number {
    const kind = this.#words.at(at) & 3
    const counted = this.#words.at(at + 1)
    if (counted > CHUNK) throw damagedIndex('a posting is too long')
    const start = at + 2
    const end = start + (kind === ARRAY ? (counted + 1) >>> 1 : counted)
    const words = this.#words.range(start, end)
    const part = { words, start, end, base: chunk * CHUNK, counted }
    if (kind === ARRAY) this.#addArray(part, bits)
    else if (kind === RUNS) this.#addRuns(part, bits)
    else if (kind === BITMAP) this.#addBitmap(part, bits)
    else throw damagedIndex('a posting is of no kind')
    return end
  }

  #addArray({ words, start, base, counted }: Part, bits: Uint32Array): void {
    for (let i = 0; i < counted; i++) {
      const word = words[start + (i >>> 1)] as number
      this.#addOne(base + ((i & 1) === 0 ? word & 0xffff : word >>> 16), bits)
    }
  }

  #addRuns({ words, start, end, base }: Part, bits: Uint32Array): void {
    for (let i = start; i < end; i++) {
      const word = words[i] as number
      const from = base + (word & 0xffff)
      const to = from + (word >>> 16) + 1
      if (to > this.#space) throw damagedIndex(`a posting names ${to - 1}`)
      fill(bits, from, to)
    }
  }

  #addBitmap({ words, start, end, base }: Part, bits: Uint32Array): void {
    const first = base / 32
    const tail = this.#space & 31
    const last = tail === 0 ? -1 : bits.length - 1 - first
    if (end - start > Math.min(CHUNK_WORDS, bits.length - first)) {
      throw damagedIndex('a posting is too long')
    }
    for (let i = 0; i < end - start; i++) {
      const word = words[start + i] as number
      if (i === last && word >>> tail !== 0) throw damagedIndex('a posting names too much')
      bits[first + i] = (bits[first + i] as number) | word
    }
  }
}

/** The numbers of one chunk of bits, which are zero afterwards. */
function visitAndClear(bits: Uint32Array, first: number, visit: (number: number) => void): void {
  const end = Math.min(bits.length, first + CHUNK_WORDS)
  for (let at = first; at < end; at++) {
    for (let left = bits[at] as number; left !== 0; left &= left - 1) {
      visit(at * 32 + (31 - Math.clz32(left & -left)))
    }
    bits[at] = 0
  }
}

interface Part {
  readonly words: Uint32Array
  readonly start: number
  readonly end: number
  readonly base: number
  readonly counted: number
}

/** Sets the bits from…to. */
function fill(bits: Uint32Array, from: number, to: number): void {
  const [first, last] = [from >>> 5, (to - 1) >>> 5]
  const head = (0xffffffff << (from & 31)) >>> 0
  const tail = 0xffffffff >>> (31 - ((to - 1) & 31))
  if (first === last) {
    bits[first] = (bits[first] as number) | (head & tail)
    return
  }
  bits[first] = (bits[first] as number) | head
  bits.fill(0xffffffff, first + 1, last)
  bits[last] = (bits[last] as number) | tail
}
