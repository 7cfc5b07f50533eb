/** A fixed-length set of row numbers, one bit each; bits beyond `length` are always zero. */
export class Bitset {
  readonly length: number
  /** Bit i is bit (i & 31) of word i >>> 5: the layout that the kernel reads. */
  readonly words: Uint32Array

  constructor(length: number, words?: Uint32Array) {
    this.length = length
    this.words = words ?? new Uint32Array((length + 31) >>> 5)
  }

  static full(length: number): Bitset {
    const set = new Bitset(length)
    set.words.fill(0xffffffff)
    set.#trim()
    return set
  }

  static from(length: number, rows: Iterable<number>): Bitset {
    const set = new Bitset(length)
    for (const row of rows) set.add(row)
    return set
  }

  has(row: number): boolean {
    return (((this.words[row >>> 5] ?? 0) >>> (row & 31)) & 1) === 1
  }

  add(row: number): void {
    this.words[row >>> 5] = (this.words[row >>> 5] as number) | (1 << (row & 31))
  }

  remove(row: number): void {
    this.words[row >>> 5] = (this.words[row >>> 5] as number) & ~(1 << (row & 31))
  }

  clone(): Bitset {
    return new Bitset(this.length, this.words.slice())
  }

  /** In place; the other must be of the same length. */
  and(other: Bitset): this {
    for (let i = 0; i < this.words.length; i++) {
      this.words[i] = (this.words[i] as number) & (other.words[i] as number)
    }
    return this
  }

  or(other: Bitset): this {
    for (let i = 0; i < this.words.length; i++) {
      this.words[i] = (this.words[i] as number) | (other.words[i] as number)
    }
    return this
  }

  andNot(other: Bitset): this {
    for (let i = 0; i < this.words.length; i++) {
      this.words[i] = (this.words[i] as number) & ~(other.words[i] as number)
    }
    return this
  }

  not(): this {
    for (let i = 0; i < this.words.length; i++) this.words[i] = ~(this.words[i] as number)
    this.#trim()
    return this
  }

  count(): number {
    let count = 0
    for (let i = 0; i < this.words.length; i++) count += popcount(this.words[i] as number)
    return count
  }

  /** Members, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.words.length; i++) {
      for (let bits = this.words[i] as number; bits !== 0; bits &= bits - 1) {
        yield i * 32 + (31 - Math.clz32(bits & -bits))
      }
    }
  }

  #trim(): void {
    const tail = this.length & 31
    if (tail !== 0) {
      const last = this.words.length - 1
      this.words[last] = (this.words[last] as number) & ((1 << tail) - 1)
    }
  }
}

function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555)
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333)
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
