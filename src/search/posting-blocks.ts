import { AkidbError } from '../errors/errors.ts'
import type { GrowingWords } from './growing-array.ts'

/** Postings of a full block. */
export const BLOCK_POSTINGS = 128

/** Bits that hold every number up to `max`, a u32. */
export const bitsOf = (max: number): number => 32 - Math.clz32(max)

/** Words that a packed block of numbers of so many bits takes. */
export const packedWords = (bits: number): number => (BLOCK_POSTINGS * bits) / 32

/**
 * Appends 128 numbers of `bits` bits each, the lowest bits of a word first: 4 · bits words.
 *
 * @param values shape (128,), each below 2^bits
 */
export function packBlock(values: Uint32Array, bits: number, out: GrowingWords): void {
  if (bits === 0) return
  let word = 0
  let filled = 0
  for (let i = 0; i < BLOCK_POSTINGS; i++) {
    const value = values[i] as number
    word |= value << filled
    filled += bits
    if (filled >= 32) {
      out.push(word >>> 0)
      filled -= 32
      // A shift by 32 would be one by 0.
      word = filled === 0 ? 0 : value >>> (bits - filled)
    }
  }
}

/** The reverse of `packBlock`; the words must be there. */
export function unpackBlock(
  words: Uint32Array,
  { start, bits }: { readonly start: number; readonly bits: number },
  out: Uint32Array,
): void {
  if (bits === 0) {
    out.fill(0, 0, BLOCK_POSTINGS)
    return
  }
  const mask = bits === 32 ? 0xffffffff : (1 << bits) - 1
  let at = start
  let bit = 0
  for (let i = 0; i < BLOCK_POSTINGS; i++) {
    let value = (words[at] as number) >>> bit
    bit += bits
    if (bit >= 32) {
      at++
      bit -= 32
      if (bit > 0) value |= (words[at] as number) << (bits - bit)
    }
    out[i] = value & mask
  }
}

/** Rows from the steps between them, less one; the first is counted from `before` on. */
export function rowsFromSteps(rows: Uint32Array, before: number): number {
  let row = before
  for (let i = 0; i < BLOCK_POSTINGS; i++) {
    row += (rows[i] as number) + 1
    rows[i] = row
  }
  return row
}

/** A growing buffer of bytes and varints (LEB128, u32). */
export class ByteWriter {
  #bytes = new Uint8Array(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#length++] = value
  }

  varint(value: number): void {
    this.#room(5)
    this.#length = putVarint(this.#bytes, this.#length, value)
  }

  append(bytes: Uint8Array): void {
    this.#room(bytes.byteLength)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.byteLength
  }

  /** What was written so far; valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const wider = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes))
    wider.set(this.#bytes)
    this.#bytes = wider
  }
}

/** Puts a u32 as LEB128; returns where it ends. */
export function putVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start
  let left = value
  while (left > 0x7f) {
    bytes[at++] = (left & 0x7f) | 0x80
    left >>>= 7
  }
  bytes[at++] = left
  return at
}

/** Bytes of a u32 as LEB128. */
export const varintBytes = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5

/** Reads numbers of a part of some bytes. */
export class VarintReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  at: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.#end = end
    this.at = start
  }

  get done(): boolean {
    return this.at >= this.#end
  }

  /** @throws INTEGRITY where it has no end or is no u32 */
  next(): number {
    const first = this.at < this.#end ? (this.#bytes[this.at] as number) : 0x80
    if (first < 0x80) {
      this.at++
      return first
    }
    let value = 0
    for (let shift = 0; shift < 35 && this.at < this.#end; shift += 7) {
      const byte = this.#bytes[this.at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffffffff) throw brokenPostings('a number is too large')
        return value
      }
    }
    throw brokenPostings('a number has no end')
  }
}

/**
 * Offsets of parts that lie one behind the other, from 0 to `end`. @throws INTEGRITY where they go
 * back, or stand still though no part is empty
 */
export function checkOffsets(
  offsets: Uint32Array,
  end: number,
  { mayBeEmpty }: { readonly mayBeEmpty: boolean },
): void {
  if (offsets[0] !== 0 || offsets[offsets.length - 1] !== end) {
    throw brokenPostings('offsets are wrong')
  }
  let before = 0
  for (let i = 1; i < offsets.length; i++) {
    const offset = offsets[i] as number
    if (mayBeEmpty ? offset < before : offset <= before) throw brokenPostings('offsets go back')
    before = offset
  }
}

export const brokenPostings = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the postings of a segment are damaged: ${what}`)
