import { asUint32 } from '../format/views.ts'
import { BLOCK_BYTES, checksum, damagedIndex, type Part } from './field-index-format.ts'

/**
 * Reads the parts of a field index. Each block of bytes is checked when something in it is first
 * asked for, so that a look-up in a large index costs what it touches.
 */
export class PartReader {
  readonly #bytes: Uint8Array
  readonly #sums: Uint32Array
  readonly #checked: Uint8Array

  /**
   * @param bytes the parts
   * @param sums CRC-32 of each BLOCK_BYTES of them
   */
  constructor(bytes: Uint8Array, sums: Uint32Array) {
    this.#bytes = bytes
    this.#sums = sums
    this.#checked = new Uint8Array(sums.length)
  }

  /** @throws INTEGRITY where a block of the bytes from…to has another checksum */
  check(from: number, to: number): void {
    const last = Math.floor((to - 1) / BLOCK_BYTES)
    for (let block = Math.floor(from / BLOCK_BYTES); block <= last; block++) {
      if (this.#checked[block] === 1) continue
      const bytes = this.#bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)
      if (checksum(bytes) !== this.#sums[block]) {
        throw damagedIndex(`block ${block} has another checksum`)
      }
      this.#checked[block] = 1
    }
  }

  bytes(part: Part): CheckedBytes {
    return new CheckedBytes(this, this.#cut(part), part[0])
  }

  /** Whole numbers; exactly `count` where it is given. */
  uint32(part: Part, count?: number): CheckedNumbers<Uint32Array> {
    return new CheckedNumbers(this, asUint32(this.#sized(part, 4, count)), part[0])
  }

  float64(part: Part, count: number): CheckedNumbers<Float64Array> {
    const bytes = this.#sized(part, 8, count)
    const even = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()
    const doubles = new Float64Array(even.buffer, even.byteOffset, count)
    return new CheckedNumbers(this, doubles, part[0])
  }

  #sized(part: Part, width: number, count: number | undefined): Uint8Array {
    const fits = count === undefined ? part[1] % width === 0 : part[1] === count * width
    if (!fits || part[0] % 8 !== 0) throw damagedIndex('a part has another length')
    return this.#cut(part)
  }

  #cut([offset, length]: Part): Uint8Array {
    if (offset + length > this.#bytes.byteLength) throw damagedIndex('a part lies outside')
    return this.#bytes.subarray(offset, offset + length)
  }
}

/** Numbers that are checked when they are asked for. */
export class CheckedNumbers<T extends Uint32Array | Float64Array> {
  readonly length: number
  readonly #reader: PartReader
  readonly #numbers: T
  readonly #offset: number

  constructor(reader: PartReader, numbers: T, offset: number) {
    this.length = numbers.length
    this.#reader = reader
    this.#numbers = numbers
    this.#offset = offset
  }

  /** @throws INTEGRITY also where there is none at this place */
  at(i: number): number {
    const number = this.#numbers[i]
    if (number === undefined) throw damagedIndex('a part is too short')
    const at = this.#offset + i * this.#numbers.BYTES_PER_ELEMENT
    this.#reader.check(at, at + 1)
    return number
  }

  /** All numbers, of which those from…to are checked. */
  range(from: number, to: number): T {
    if (!(from <= to && to <= this.length)) throw damagedIndex('a part is too short')
    const width = this.#numbers.BYTES_PER_ELEMENT
    if (from < to) this.#reader.check(this.#offset + from * width, this.#offset + to * width)
    return this.#numbers
  }

  all(): T {
    return this.range(0, this.length)
  }
}

/** Bytes that are checked when they are asked for. */
export class CheckedBytes {
  readonly length: number
  readonly #reader: PartReader
  readonly #bytes: Uint8Array
  readonly #offset: number

  constructor(reader: PartReader, bytes: Uint8Array, offset: number) {
    this.length = bytes.length
    this.#reader = reader
    this.#bytes = bytes
    this.#offset = offset
  }

  /** Those from…to, as a view. */
  slice(from: number, to: number): Buffer {
    if (!(from <= to && to <= this.length)) throw damagedIndex('a part is too short')
    if (from < to) this.#reader.check(this.#offset + from, this.#offset + to)
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, to - from)
  }
}
