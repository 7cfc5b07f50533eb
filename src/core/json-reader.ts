import { AkidbError } from '../errors/errors.ts'
import { isPlainNumber, plainNumbers, scanNumber } from './json-number.ts'
import type { JsonValue } from './json-value.ts'
import { KeyMemory } from './key-memory.ts'

/** What of a record's top level the caller wants in another form. */
export interface RecordKeys {
  /** Member whose array of numbers becomes `JsonRecord.vector`. */
  readonly vector?: string
  /** Member of which `JsonRecord.idIsInteger` tells how its number was written. */
  readonly id?: string
}

export interface JsonRecord {
  readonly value: JsonValue
  /**
   * Components in f64, where the member `keys.vector` is an array of numbers alone; ±Infinity
   * where one is beyond f64. That member is then missing in `value`.
   */
  readonly vector: Float64Array | undefined
  /**
   * true: `keys.id` is a number written as an integer; false: a number written otherwise;
   * undefined: no number.
   */
  readonly idIsInteger: boolean | undefined
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const MINUS = 0x2d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/**
 * A strict reader of JSON (RFC 8259) in UTF-8 bytes that are known to be valid UTF-8.
 *
 * It recurses once a level, so `depthMax` also bounds the stack. It can be used again for text
 * after text.
 */
export class JsonReader {
  readonly #depthMax: number
  #bytes: Buffer = Buffer.alloc(0)
  #end = 0
  #at = 0
  #depth = 0
  /** Room for the components of a vector; made where there is one. */
  #numbers = NO_NUMBERS
  readonly #keys = new KeyMemory()

  constructor(depthMax: number) {
    this.#depthMax = depthMax
  }

  /** Throws BAD_INPUT or LIMIT with `details.byte`. */
  parse(bytes: Buffer): JsonValue {
    this.#start(bytes)
    const value = this.#value()
    this.#finish()
    return value
  }

  /** The same for one record, with two members of its top level treated as `keys` says. */
  parseRecord(bytes: Buffer, keys: RecordKeys): JsonRecord {
    this.#start(bytes)
    if (this.#peek() !== OPEN_BRACE) {
      const value = this.#value()
      this.#finish()
      return { value, vector: undefined, idIsInteger: undefined }
    }
    let vector: Float64Array | undefined
    let idIsInteger: boolean | undefined
    const value = this.#object((key, seen) => {
      if (key === keys.vector && this.#peek() === OPEN_BRACKET) {
        if (vector !== undefined) throw this.#duplicate(key)
        vector = this.#numberArray()
        return vector !== undefined
      }
      // The vector is not among the members, so the second of two would pass unseen.
      if (vector !== undefined && key === keys.vector) throw this.#duplicate(key)
      if (key === keys.id && !seen) idIsInteger = this.#integerAhead()
      return false
    })
    if (vector !== undefined && keys.vector !== undefined && value.has(keys.vector)) {
      throw this.#duplicate(keys.vector)
    }
    this.#finish()
    return { value, vector, idIsInteger }
  }

  #start(bytes: Buffer): void {
    this.#bytes = bytes
    this.#end = bytes.length
    this.#at = 0
    this.#depth = 0
    this.#keys.start()
    this.#space()
  }

  #finish(): void {
    this.#space()
    if (this.#at < this.#end) throw this.#unexpected('after the value')
  }

  /** Reads the value that starts here, and no white space behind it. */
  #value(): JsonValue {
    switch (this.#peek()) {
      case OPEN_BRACE:
        return this.#object()
      case OPEN_BRACKET:
        return this.#array()
      case QUOTE:
        return this.#string()
      case 0x74:
        return this.#word('true', true)
      case 0x66:
        return this.#word('false', false)
      case 0x6e:
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  /** `take` may read a member's value itself and returns whether it did. */
  #object(take?: (key: string, seen: boolean) => boolean): Map<string, JsonValue> {
    this.#enter()
    const members = new Map<string, JsonValue>()
    this.#at++
    this.#space()
    if (this.#peek() === CLOSE_BRACE) {
      this.#leave()
      return members
    }
    for (;;) {
      if (this.#peek() !== QUOTE) throw this.#unexpected('where a key in double quotes belongs')
      const keyAt = this.#at
      const key = this.#key()
      const seen = members.has(key)
      if (seen) throw this.#duplicate(key, keyAt)
      this.#space()
      if (this.#peek() !== COLON) throw this.#unexpected('where a colon belongs')
      this.#at++
      this.#space()
      if (take === undefined || !take(key, seen)) members.set(key, this.#value())
      this.#space()
      const next = this.#peek()
      if (next === CLOSE_BRACE) break
      if (next !== COMMA) throw this.#unexpected('where a comma or "}" belongs')
      this.#at++
      this.#space()
    }
    this.#leave()
    return members
  }

  #array(): JsonValue[] {
    this.#enter()
    const numbers = plainNumbers(this.#bytes, this.#at)
    if (numbers?.values.every(isPlainNumber) === true) {
      this.#at = numbers.end - 1
      this.#leave()
      return numbers.values
    }
    const items: JsonValue[] = []
    this.#at++
    this.#space()
    if (this.#peek() === CLOSE_BRACKET) {
      this.#leave()
      return items
    }
    for (;;) {
      items.push(this.#value())
      this.#space()
      const next = this.#peek()
      if (next === CLOSE_BRACKET) break
      if (next !== COMMA) throw this.#unexpected('where a comma or "]" belongs')
      this.#at++
      this.#space()
    }
    this.#leave()
    return items
  }

  /** An array of numbers alone; undefined, with nothing read, where it is another array. */
  #numberArray(): Float64Array | undefined {
    const start = this.#at
    const bytes = this.#bytes
    const numbers = plainNumbers(bytes, start)
    if (numbers !== undefined) {
      this.#at = numbers.end
      return Float64Array.from(numbers.values)
    }
    let count = 0
    this.#at++
    this.#space()
    for (;;) {
      const first = this.#peek()
      const number = isNumberStart(first) ? scanNumber(bytes, this.#at, this.#end) : undefined
      if (number === undefined) {
        this.#at = start
        return undefined
      }
      this.#at = number.end
      if (count === this.#numbers.length) {
        const grown = new Float64Array(Math.max(NUMBERS_MIN, count * 2))
        grown.set(this.#numbers)
        this.#numbers = grown
      }
      this.#numbers[count++] = number.value
      let next = bytes[this.#at]
      if (next !== COMMA && next !== CLOSE_BRACKET) {
        this.#space()
        next = this.#peek()
      }
      this.#at++
      if (next === CLOSE_BRACKET) return this.#numbers.slice(0, count)
      if (next !== COMMA) {
        this.#at = start
        return undefined
      }
      this.#space()
    }
  }

  #number(): JsonValue {
    const at = this.#at
    const number = isNumberStart(this.#peek()) ? scanNumber(this.#bytes, at, this.#end) : undefined
    if (number === undefined) throw this.#unexpected('where a value belongs')
    this.#at = number.end
    if (!number.integer) {
      return Number.isFinite(number.value)
        ? number.value
        : this.#bytes.toString('latin1', at, number.end)
    }
    if (Number.isSafeInteger(number.value)) return number.value
    const text = this.#bytes.toString('latin1', at, number.end)
    // 2⁶⁴ has 20 digits: whatever is longer need not become a bigint to be known as wider.
    if (text.length > 21) return text
    const exact = BigInt(text)
    return exact >= -(2n ** 63n) && exact < 2n ** 64n ? exact : text
  }

  #integerAhead(): boolean | undefined {
    if (!isNumberStart(this.#peek())) return undefined
    return scanNumber(this.#bytes, this.#at, this.#end)?.integer
  }

  #key(): string {
    const known = this.#keys.next(this.#bytes, this.#at, this.#end)
    if (known !== undefined) {
      this.#at += known.length + 2
      return known
    }
    const key = this.#string()
    this.#keys.keep(key)
    return key
  }

  #string(): string {
    const bytes = this.#bytes
    const start = this.#at + 1
    let ascii = true
    for (let at = start; at < this.#end; at++) {
      const byte = bytes[at] as number
      if (byte === QUOTE) {
        this.#at = at + 1
        return ascii ? bytes.toString('latin1', start, at) : bytes.toString('utf8', start, at)
      }
      if (byte === BACKSLASH) return this.#escapedString(start, at)
      if (byte < 0x20) {
        this.#at = at
        throw this.#unexpected('inside a string, where JSON wants an escape')
      }
      if (byte >= 0x80) ascii = false
    }
    this.#at = start - 1
    throw this.#bad('The string does not end.', 'TORN')
  }

  #escapedString(start: number, firstEscape: number): string {
    const bytes = this.#bytes
    const parts: string[] = []
    let from = start
    for (let at = firstEscape; at < this.#end; ) {
      const byte = bytes[at] as number
      if (byte === QUOTE) {
        parts.push(bytes.toString('utf8', from, at))
        this.#at = at + 1
        const text = parts.join('')
        if (text.isWellFormed()) return text
        this.#at = start - 1
        throw this.#bad('The string holds a lone surrogate.')
      }
      if (byte < 0x20) {
        this.#at = at
        throw this.#unexpected('inside a string, where JSON wants an escape')
      }
      if (byte !== BACKSLASH) {
        at++
        continue
      }
      parts.push(bytes.toString('utf8', from, at))
      this.#at = at
      parts.push(this.#escape())
      at = this.#at
      from = at
    }
    this.#at = start - 1
    throw this.#bad('The string does not end.', 'TORN')
  }

  #escape(): string {
    const letter = this.#bytes[this.#at + 1] ?? 0
    if (letter === 0x75) {
      const hex = this.#bytes.toString('latin1', this.#at + 2, Math.min(this.#at + 6, this.#end))
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#bad('\\u needs four hexadecimal digits.')
      this.#at += 6
      return String.fromCharCode(Number.parseInt(hex, 16))
    }
    const char = ESCAPES.get(letter)
    if (char === undefined) throw this.#bad('JSON has no such escape.')
    this.#at += 2
    return char
  }

  #word<T>(word: string, value: T): T {
    if (
      this.#bytes.toString('latin1', this.#at, Math.min(this.#at + word.length, this.#end)) !== word
    ) {
      throw this.#unexpected('where a value belongs')
    }
    this.#at += word.length
    return value
  }

  #enter(): void {
    if (++this.#depth <= this.#depthMax) return
    throw new AkidbError(
      'LIMIT',
      `The JSON nests deeper than ${this.#depthMax} levels at byte ${this.#at}.`,
      { details: { limit: 'payloadDepthMax', max: this.#depthMax, byte: this.#at } },
    )
  }

  #leave(): void {
    this.#depth--
    this.#at++
  }

  #peek(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] as number) : -1
  }

  #space(): void {
    while (this.#at < this.#end) {
      const byte = this.#bytes[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#at++
    }
  }

  #unexpected(where: string): AkidbError {
    if (this.#at >= this.#end) return this.#bad('The JSON is cut short.', 'TORN')
    const char = this.#bytes.toString('utf8', this.#at, Math.min(this.#at + 4, this.#end))
    return this.#bad(`${JSON.stringify([...char][0] ?? '')} stands ${where}.`)
  }

  #duplicate(key: string, at = this.#at): AkidbError {
    this.#at = at
    const shown = key.length > 64 ? `${key.slice(0, 64)}…` : key
    return this.#bad(`The key ${JSON.stringify(shown)} stands twice.`, 'DUPLICATE_KEY')
  }

  #bad(sentence: string, reason = 'BAD_JSON'): AkidbError {
    return new AkidbError('BAD_INPUT', `${sentence.slice(0, -1)} (byte ${this.#at}).`, {
      details: { reason, byte: this.#at },
    })
  }
}

const NO_NUMBERS = new Float64Array(0)
const NUMBERS_MIN = 1_024

const isNumberStart = (byte: number): boolean => byte === MINUS || (byte >= 0x30 && byte <= 0x39)

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '"'],
  [0x5c, '\\'],
  [0x2f, '/'],
  [0x62, '\b'],
  [0x66, '\f'],
  [0x6e, '\n'],
  [0x72, '\r'],
  [0x74, '\t'],
])
