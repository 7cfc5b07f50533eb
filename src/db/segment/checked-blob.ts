import { hasCode } from '../../errors/errors.ts'
import {
  blobKey,
  checkChunk,
  checkChunkList,
  decodeBlobHead,
  HEADER_BYTES,
  SECTION_ENTRY_BYTES,
  SECTIONS_MAX,
} from '../../format/blob.ts'
import {
  type ChunkDigests,
  type ChunkLayout,
  chunkLayout,
  HASH_BYTES,
} from '../../format/chunks.ts'
import type { BlobRef } from '../../format/manifest.ts'
import { dropCopies } from '../../storage/drop-copies.ts'
import type { ByteRange, ObjectStore } from '../../storage/object-store.ts'
import { type RangeTarget, readRanges } from '../../storage/read-ranges.ts'
import { missingBlob } from '../states/blob-store.ts'

/** Chunks that one call reads and checks at once, in bytes. */
const CHECKED_AT_ONCE_BYTES = 4 * 1024 * 1024
/** Parts of a section that are being checked at once, while the next is read. */
const CHECKS_MAX = 8
/** Pieces of a streamed section, where its chunks are smaller. */
const PIECE_BYTES = 1024 * 1024

/** Who hashes chunks of a section that is read from front to back, and in which memory. */
export interface ChunkHashing {
  readonly digests: ChunkDigests
  /** Of `hashingMemory`; absent: memory of its own. One reader at a time. */
  readonly memory?: readonly Uint8Array[]
}

/** Memory for a few pieces that are hashed while the next are read, 4 MiB each. */
export const hashingMemory = (pieces: number): Uint8Array[] =>
  Array.from({ length: pieces }, () => sharedBytes(CHECKED_AT_ONCE_BYTES))

/**
 * A blob whose bytes stay in the store. Every chunk is checked against the manifest's root at its
 * first read; one bit a chunk says that it was, so that later only the bytes asked for are read.
 * The operating system keeps the pages that are read often. Where a chunk is damaged in a copy of
 * the store's (see BlobCache), it is read once more without it.
 */
export class CheckedBlob {
  readonly #store: ObjectStore
  readonly #ref: BlobRef
  readonly #layout: ChunkLayout
  readonly #list: Uint8Array
  readonly #checked: Uint8Array
  #sections: ReadonlyMap<string, ByteRange> = new Map()

  private constructor(store: ObjectStore, ref: BlobRef, layout: ChunkLayout, list: Uint8Array) {
    this.#store = store
    this.#ref = ref
    this.#layout = layout
    this.#list = list
    this.#checked = new Uint8Array(layout.chunkCount)
  }

  /** @throws INTEGRITY where it is missing, or its chunk list or header is damaged */
  static async open(store: ObjectStore, ref: BlobRef): Promise<CheckedBlob> {
    try {
      return await CheckedBlob.#open(store, ref)
    } catch (error) {
      await dropCopies(store, blobKey(ref.digest), error)
      return await CheckedBlob.#open(store, ref)
    }
  }

  static async #open(store: ObjectStore, ref: BlobRef): Promise<CheckedBlob> {
    const layout = chunkLayout(ref.bytes, ref.chunkBytes)
    if (layout === undefined) throw missingBlob(ref)
    const list = new Uint8Array(layout.listBytes)
    await fetchRanges(store, ref, [{ offset: layout.listOffset, target: list }])
    checkChunkList(list, ref)
    const blob = new CheckedBlob(store, ref, layout, list)
    const headBytes = HEADER_BYTES + SECTIONS_MAX * SECTION_ENTRY_BYTES
    const head = new Uint8Array(Math.min(layout.bodyBytes, headBytes))
    await blob.#read([{ offset: 0, target: head }])
    blob.#sections = decodeBlobHead(head, ref).sections
    return blob
  }

  /** Bytes of a section; undefined where it has none of that name. */
  sectionBytes(name: string): number | undefined {
    return this.#sections.get(name)?.bytes
  }

  /**
   * Reads ranges of a section into their targets.
   *
   * @throws INTEGRITY for a damaged chunk, or a range outside the section
   */
  async read(name: string, ranges: readonly RangeTarget[]): Promise<void> {
    const section = this.#section(name)
    await this.#read(
      ranges.map(({ offset, target }) => {
        if (offset + target.byteLength > section.bytes) throw missingBlob(this.#ref)
        return { offset: section.offset + offset, target }
      }),
    )
  }

  /**
   * Reads a whole section into one memory, where its chunks are checked without being copied.
   *
   * @param target of the section's length; what stands there is not to be used where it throws
   * @param digests hashes the chunks of shared memory; absent: this thread does
   * @throws INTEGRITY for a damaged chunk; the signal's reason
   */
  async fill(
    name: string,
    target: Uint8Array,
    digests?: ChunkDigests,
    signal?: AbortSignal,
  ): Promise<void> {
    const { offset, bytes } = this.#section(name)
    if (target.byteLength !== bytes) throw new RangeError(`${target.byteLength} of ${bytes} bytes`)
    const { chunkBytes } = this.#ref
    const first = Math.ceil(offset / chunkBytes)
    const last = Math.floor((offset + bytes) / chunkBytes)
    if (last <= first) return await this.#read([{ offset, target }])
    const [from, to] = [first * chunkBytes - offset, last * chunkBytes - offset]
    const ends = [
      { offset, target: target.subarray(0, from) },
      { offset: offset + to, target: target.subarray(to) },
    ]
    await this.#read(ends.filter((end) => end.target.byteLength > 0))
    const step = Math.max(1, Math.floor(CHECKED_AT_ONCE_BYTES / chunkBytes))
    const checks: Promise<void>[] = []
    try {
      for (let chunk = first; chunk < last; chunk += step) {
        signal?.throwIfAborted()
        const count = Math.min(step, last - chunk)
        const at = chunk * chunkBytes
        const part = target.subarray(at - offset, at - offset + count * chunkBytes)
        await fetchRanges(this.#store, this.#ref, [{ offset: at, target: part }])
        // The next part is read meanwhile.
        if (checks.length >= CHECKS_MAX) await checks.shift()
        const check = this.#checkTwice(part, chunk, digests)
        // A failure is thrown where it is waited for.
        check.catch(() => undefined)
        checks.push(check)
      }
      await Promise.all(checks)
    } finally {
      await Promise.allSettled(checks)
    }
  }

  /** Checks chunks; what is damaged is read once more, without the store's copies. */
  async #checkTwice(bytes: Uint8Array, first: number, digests?: ChunkDigests): Promise<void> {
    try {
      await this.#check(bytes, first, digests)
    } catch (error) {
      await dropCopies(this.#store, blobKey(this.#ref.digest), error)
      const offset = first * this.#ref.chunkBytes
      await fetchRanges(this.#store, this.#ref, [{ offset, target: bytes }])
      await this.#check(bytes, first, digests)
    }
  }

  /** Checks whole chunks, from one on, that stand in memory. */
  async #check(bytes: Uint8Array, first: number, digests?: ChunkDigests): Promise<void> {
    const { chunkBytes } = this.#ref
    const found = digests === undefined ? undefined : await digests(bytes, chunkBytes)
    for (let i = 0; i * chunkBytes < bytes.byteLength; i++) {
      const chunk = bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)
      const digest = found?.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)
      checkChunk(chunk, first + i, this.#list, this.#ref, digest)
      this.#checked[first + i] = 1
    }
  }

  /**
   * A whole section, in pieces of about 1 MiB or a chunk; with others to hash its chunks, in pieces
   * of a few MiB, each valid until the next.
   */
  stream(name: string, hashing?: ChunkHashing): AsyncIterable<Uint8Array> {
    const { bytes } = this.#section(name)
    const isLong = hashing !== undefined && bytes > CHECKED_AT_ONCE_BYTES
    return isLong ? this.#streamAhead(name, hashing) : this.#streamHere(name)
  }

  /** Reads some pieces ahead, which other threads hash meanwhile. */
  async *#streamAhead(name: string, { digests, memory }: ChunkHashing): AsyncIterable<Uint8Array> {
    const { offset, bytes } = this.#section(name)
    const { chunkBytes } = this.#ref
    const step = Math.max(1, Math.floor(CHECKED_AT_ONCE_BYTES / chunkBytes))
    const stepBytes = step * chunkBytes
    const end = offset + bytes
    const buffers = memory ?? hashingMemory(CHECKS_MAX + 1)
    const under: Promise<Uint8Array>[] = []
    try {
      let chunk = Math.floor(offset / chunkBytes)
      for (let number = 0; chunk * chunkBytes < end || under.length > 0; number++) {
        if (chunk * chunkBytes < end) {
          const buffer = (buffers[number % buffers.length] as Uint8Array).subarray(0, stepBytes)
          const piece = this.#readPiece(chunk, buffer, { offset, end, digests })
          piece.catch(() => undefined)
          under.push(piece)
          chunk += step
        }
        const isFull = under.length >= buffers.length - 1 || chunk * chunkBytes >= end
        const first = isFull ? under.shift() : undefined
        if (first !== undefined) yield await first
      }
    } finally {
      await Promise.allSettled(under)
    }
  }

  /** What a section has in the chunks that a buffer has room for, checked. */
  async #readPiece(
    chunk: number,
    buffer: Uint8Array,
    { offset, end, digests }: { offset: number; end: number; digests: ChunkDigests },
  ): Promise<Uint8Array> {
    const at = chunk * this.#ref.chunkBytes
    const bytes = Math.min(buffer.byteLength, this.#layout.bodyBytes - at)
    const whole = buffer.subarray(0, bytes)
    await fetchRanges(this.#store, this.#ref, [{ offset: at, target: whole }])
    await this.#checkTwice(whole, chunk, digests)
    return whole.subarray(Math.max(0, offset - at), Math.min(bytes, end - at))
  }

  async *#streamHere(name: string): AsyncIterable<Uint8Array> {
    const { offset, bytes } = this.#section(name)
    const { chunkBytes } = this.#ref
    const step = Math.ceil(PIECE_BYTES / chunkBytes) * chunkBytes
    const end = offset + bytes
    for (let at = offset; at < end; ) {
      const next = Math.min(end, (Math.floor(at / step) + 1) * step)
      const target = new Uint8Array(next - at)
      await this.#read([{ offset: at, target }])
      yield target
      at = next
    }
  }

  #section(name: string): ByteRange {
    const section = this.#sections.get(name)
    if (section === undefined) throw missingBlob(this.#ref)
    return section
  }

  async #read(ranges: readonly RangeTarget[]): Promise<void> {
    const known: RangeTarget[] = []
    const fresh = new Map<number, RangeTarget[]>()
    for (const range of ranges) {
      if (this.#isChecked(range)) known.push(range)
      else for (const [chunk, part] of this.#parts(range)) partsOf(fresh, chunk).push(part)
    }
    await fetchRanges(this.#store, this.#ref, known)
    await this.#readFresh(fresh)
  }

  /** Reads whole chunks, checks them, and copies what is wanted out of them. */
  async #readFresh(wanted: ReadonlyMap<number, readonly RangeTarget[]>): Promise<void> {
    const { chunkBytes } = this.#ref
    const chunks = [...wanted.keys()].sort((a, b) => a - b)
    const atOnce = Math.max(1, Math.floor(CHECKED_AT_ONCE_BYTES / chunkBytes))
    for (let at = 0; at < chunks.length; at += atOnce) {
      const group = chunks.slice(at, at + atOnce).map((chunk) => {
        const offset = chunk * chunkBytes
        const bytes = Math.min(chunkBytes, this.#layout.bodyBytes - offset)
        return { chunk, offset, target: new Uint8Array(bytes) }
      })
      await fetchRanges(this.#store, this.#ref, group)
      for (const { chunk, offset, target } of group) {
        await this.#checkTwice(target, chunk)
        for (const part of wanted.get(chunk) ?? []) {
          const from = part.offset - offset
          part.target.set(target.subarray(from, from + part.target.byteLength))
        }
      }
    }
  }

  #isChecked({ offset, target }: RangeTarget): boolean {
    const { chunkBytes } = this.#ref
    const last = Math.floor((offset + target.byteLength - 1) / chunkBytes)
    for (let chunk = Math.floor(offset / chunkBytes); chunk <= last; chunk++) {
      if (this.#checked[chunk] === 0) return false
    }
    return true
  }

  /** A range cut where chunks end. */
  *#parts({ offset, target }: RangeTarget): Iterable<[number, RangeTarget]> {
    const { chunkBytes } = this.#ref
    for (let at = 0; at < target.byteLength; ) {
      const chunk = Math.floor((offset + at) / chunkBytes)
      const end = Math.min(target.byteLength, (chunk + 1) * chunkBytes - offset)
      yield [chunk, { offset: offset + at, target: target.subarray(at, end) }]
      at = end
    }
  }
}

const sharedBytes = (bytes: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(bytes))

function partsOf(map: Map<number, RangeTarget[]>, chunk: number): RangeTarget[] {
  const parts = map.get(chunk) ?? []
  map.set(chunk, parts)
  return parts
}

async function fetchRanges(
  store: ObjectStore,
  ref: BlobRef,
  ranges: readonly RangeTarget[],
): Promise<void> {
  try {
    await readRanges(store, blobKey(ref.digest), ranges)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) throw missingBlob(ref, error)
    throw error
  }
}
