import { createHash } from 'node:crypto'
import { ChunkHasher } from '../format/chunk-hasher.ts'
import { type ChunkLayout, chunkLayout, chunkRoot, HASH_BYTES } from '../format/chunks.ts'
import type { BlobRef } from '../format/manifest.ts'
import type { ProblemList } from './problems.ts'

/**
 * Checks one blob while its bytes go by: each chunk against the list that stands before the blob,
 * the list inside the blob against that same list, and everything against the blob's name. Holds
 * the list and no data.
 */
export class BlobCheck {
  readonly ref: BlobRef
  readonly #problems: ProblemList
  readonly #layout: ChunkLayout
  readonly #whole = createHash('sha256')
  readonly #chunks: ChunkHasher
  #list: Buffer | undefined
  #at = 0
  #member = ''
  /** Where in the bundle's file byte 0 of the current member minus its place in the blob is. */
  #origin = 0
  #bad = false

  constructor(ref: BlobRef, problems: ProblemList) {
    const layout = chunkLayout(ref.bytes, ref.chunkBytes)
    if (layout === undefined) throw new Error(`no blob is ${ref.bytes} bytes long`)
    this.ref = ref
    this.#problems = problems
    this.#layout = layout
    const compare = (digest: Buffer, index: number) => this.#compare(digest, index)
    this.#chunks = new ChunkHasher(ref.chunkBytes, layout.bodyBytes, compare)
  }

  /** Bytes of the blob that went by. */
  get at(): number {
    return this.#at
  }

  /** Takes the list of chunk hashes; one with another root is a problem and is not used. */
  list(bytes: Uint8Array, member: string, offset: number): void {
    if (bytes.byteLength === this.#layout.listBytes && chunkRoot(bytes) === this.ref.chunkRoot) {
      this.#list = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    } else {
      this.#problems.add('INTEGRITY', member, offset, 'its hashes are not those of the record')
      this.#bad = true
    }
  }

  /**
   * Says that the next bytes come from this member, whose content begins at `offset` of the
   * bundle's file.
   */
  enter(member: string, offset: number): void {
    this.#member = member
    this.#origin = offset - this.#at
  }

  /** The next bytes of the blob, in pieces of any size. */
  update(piece: Uint8Array): void {
    this.#whole.update(piece)
    let from = 0
    if (this.#at < this.#layout.bodyBytes) {
      from = Math.min(piece.byteLength, this.#layout.bodyBytes - this.#at)
      this.#body(piece.subarray(0, from))
    }
    if (from < piece.byteLength) this.#end(piece.subarray(from))
  }

  /** After the last byte: whether the blob is the one that its record names. */
  finish(): boolean {
    const whole = this.#at === this.ref.bytes && this.#whole.digest('hex') === this.ref.digest
    if (!whole && !this.#bad) this.#report(0, 'its content has another digest than its name')
    return whole && !this.#bad
  }

  #body(piece: Uint8Array): void {
    // Without a list there is nothing to compare them with.
    if (this.#list !== undefined) this.#chunks.update(piece)
    this.#at += piece.byteLength
  }

  #compare(digest: Buffer, index: number): void {
    const at = index * HASH_BYTES
    if (this.#list?.compare(digest, 0, HASH_BYTES, at, at + HASH_BYTES) === 0) return
    const from = index * this.ref.chunkBytes
    const end = Math.min(from + this.ref.chunkBytes, this.#layout.bodyBytes)
    this.#report(from, `chunk ${index} is altered: bytes ${from} to ${end - 1} of the blob`)
  }

  /**
   * The list at the end of the blob must be the one that came before it; the tail is in the digest
   * alone.
   */
  #end(piece: Uint8Array): void {
    const from = this.#at - this.#layout.listOffset
    const bytes = Math.min(piece.byteLength, this.#layout.listBytes - from)
    if (bytes > 0 && this.#list?.compare(piece, 0, bytes, from, from + bytes) !== 0) {
      if (this.#list !== undefined) this.#report(this.#at, 'the chunk list inside it is altered')
    }
    this.#at += piece.byteLength
  }

  #report(at: number, message: string): void {
    this.#bad = true
    this.#problems.add('INTEGRITY', this.#member, this.#origin + at, message)
  }
}
