/** Unsigned 32-bit numbers that come one by one. */
export class GrowingWords {
  #numbers = new Uint32Array(16)
  length = 0

  push(number: number): void {
    if (this.length === this.#numbers.length) {
      const wider = new Uint32Array(this.length * 2)
      wider.set(this.#numbers)
      this.#numbers = wider
    }
    this.#numbers[this.length++] = number
  }

  at(place: number): number {
    return this.#numbers[place] as number
  }

  /** What has come so far; valid until the next. */
  view(): Uint32Array {
    return this.#numbers.subarray(0, this.length)
  }
}

/** The same of doubles: a class of its own, so that each is compiled for one kind of array. */
export class GrowingDoubles {
  #numbers = new Float64Array(16)
  length = 0

  push(number: number): void {
    if (this.length === this.#numbers.length) {
      const wider = new Float64Array(this.length * 2)
      wider.set(this.#numbers)
      this.#numbers = wider
    }
    this.#numbers[this.length++] = number
  }

  /** What has come so far; valid until the next. */
  view(): Float64Array {
    return this.#numbers.subarray(0, this.length)
  }
}
