/** Keys that are kept from text to text, and their length. */
const KEYS_MAX = 64
const LENGTH_MAX = 64
/** A key whose bytes are its characters, with nothing that is written otherwise. */
const PLAIN = /^[ !#-[\]-~]*$/
const QUOTE = 0x22

/**
 * The keys of the JSON text before, by their place among all: records of one kind have the same
 * ones, and to compare them is faster than to make strings of them again.
 */
export class KeyMemory {
  readonly #keys: string[] = []
  #place = 0

  /** A new text begins. */
  start(): void {
    this.#place = 0
  }

  /** The next key, where the text before had the one that begins behind `at` at this place too. */
  next(bytes: Buffer, at: number, end: number): string | undefined {
    const key = this.#keys[this.#place]
    if (key === undefined) return undefined
    const from = at + 1
    const to = from + key.length
    if (to >= end || bytes[to] !== QUOTE) return undefined
    for (let i = 0; i < key.length; i++) {
      if (bytes[from + i] !== key.charCodeAt(i)) return undefined
    }
    this.#place++
    return key
  }

  /** The next key, where `next` did not know it. */
  keep(key: string): void {
    const place = this.#place++
    if (place >= KEYS_MAX) return
    if (key.length <= LENGTH_MAX && PLAIN.test(key)) this.#keys[place] = key
  }
}
