import { asFloat32, asUint32 } from '../format/views.ts'
import { padded } from './text-index-layout.ts'

/** Cuts an index into its parts, one after the other, each padded to 4 bytes. */
export class IndexParts {
  readonly #bytes: Uint8Array
  readonly #broken: (what: string) => Error
  #at: number

  /**
   * @param at where the first part begins
   * @param broken makes the error of an index that ends too early or too late
   */
  constructor(bytes: Uint8Array, at: number, broken: (what: string) => Error) {
    this.#bytes = bytes
    this.#at = at
    this.#broken = broken
    this.#check()
  }

  take(length: number): Uint8Array {
    const start = this.#at
    this.#at += padded(length)
    this.#check()
    return this.#bytes.subarray(start, start + length)
  }

  words(count: number): Uint32Array {
    return asUint32(this.take(count * 4))
  }

  floats(count: number): Float32Array {
    return asFloat32(this.take(count * 4))
  }

  /** After the last part. */
  end(): void {
    if (this.#at !== this.#bytes.byteLength) throw this.#broken('something follows its end')
  }

  #check(): void {
    if (this.#at > this.#bytes.byteLength) throw this.#broken('it is cut off')
  }
}
