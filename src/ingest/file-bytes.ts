import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { type Compression, compressionOf, decompressed } from './decompress.ts'
import { piecesByReadAt } from './input-bytes.ts'
import type { InputBytes } from './records.ts'

/**
 * The decompressed bytes of an input, which can be looked at once before they are read.
 *
 * Where the input has random access the look is a read of its own; a pipe's pieces are kept
 * meanwhile, at most limits.sampleBytesMax of them (a longer look just ends there).
 */
export class FileBytes {
  readonly head: Uint8Array
  readonly compression: Compression | undefined
  /** Bytes consumed so far, as stored. */
  bytesRead = 0
  /** Whether a look ended because a pipe's pieces cannot all be kept. */
  lookCut = false
  readonly #input: InputBytes
  readonly #kept: Uint8Array[] = []
  readonly #pipe: AsyncIterator<Uint8Array> | undefined
  /** The pipe's read under way; a look that was left can leave one behind. */
  #reading: Promise<IteratorResult<Uint8Array>> | undefined

  private constructor(input: InputBytes, head: Uint8Array, pipe?: AsyncIterator<Uint8Array>) {
    this.#input = input
    this.#pipe = pipe
    if (pipe !== undefined && head.length > 0) this.#kept.push(head)
    this.head = head
    this.compression = compressionOf(head)
  }

  static async open(input: InputBytes): Promise<FileBytes> {
    if (input.readAt !== undefined) return new FileBytes(input, await input.readAt(0, HEAD_BYTES))
    const pipe = input.stream()[Symbol.asyncIterator]()
    const pieces: Uint8Array[] = []
    let length = 0
    while (length < HEAD_BYTES) {
      const next = await pipe.next()
      if (next.done === true) break
      pieces.push(next.value)
      length += next.value.length
    }
    return new FileBytes(input, Buffer.concat(pieces), pipe)
  }

  /** Only before `pieces`; the one before must have ended or been left. */
  look(): AsyncIterable<Uint8Array> {
    const { readAt, bytes } = this.#input
    if (readAt === undefined) return this.#unpacked(this.#keeping())
    return this.#unpacked(piecesByReadAt((offset, count) => readAt(offset, count), bytes ?? 0))
  }

  /** The first decompressed bytes, HEAD_BYTES or all there are. */
  async textHead(): Promise<Uint8Array> {
    if (this.compression === undefined) return this.head
    const parts: Uint8Array[] = []
    let length = 0
    for await (const piece of this.look()) {
      parts.push(piece)
      length += piece.length
      if (length >= HEAD_BYTES) break
    }
    return Buffer.concat(parts)
  }

  /** All bytes from the start, once. */
  pieces(): AsyncIterable<Uint8Array> {
    return this.#unpacked(
      this.#counted(this.#pipe === undefined ? this.#input.stream() : this.#replayed()),
    )
  }

  #unpacked(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return this.compression === undefined ? source : decompressed(source, this.compression)
  }

  async *#counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      this.bytesRead += piece.length
      yield piece
    }
    const { bytes, name } = this.#input
    if (bytes !== undefined && this.bytesRead !== bytes) {
      throw new AkidbError('BAD_INPUT', `${name} changed while it was read.`)
    }
  }

  async *#keeping(): AsyncGenerator<Uint8Array> {
    await this.#reading
    yield* this.#kept
    let length = this.#kept.reduce((sum, piece) => sum + piece.length, 0)
    while (this.#pipe !== undefined) {
      if (length >= limits.sampleBytesMax) {
        this.lookCut = true
        return
      }
      this.#reading = this.#pipe.next().then((next) => {
        if (next.done !== true) this.#kept.push(next.value)
        return next
      })
      const next = await this.#reading
      if (next.done === true) return
      length += next.value.length
      yield next.value
    }
  }

  async *#replayed(): AsyncGenerator<Uint8Array> {
    await this.#reading
    for (let piece = this.#kept.shift(); piece !== undefined; piece = this.#kept.shift())
      yield piece
    const pipe = this.#pipe
    while (pipe !== undefined) {
      const next = await pipe.next()
      if (next.done === true) return
      yield next.value
    }
  }
}

const HEAD_BYTES = 4_096
