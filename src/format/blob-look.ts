import { runningSha256, sha256 } from '../core/digest.ts'
import { isFiniteVector } from '../core/metric.ts'
import { decodeBlobHead, VECTORS_SECTION } from './blob.ts'
import { type ChunkLayout, chunkLayout, chunkRoot, HASH_BYTES } from './chunks.ts'
import type { BlobRef } from './manifest.ts'

/** What was seen of a blob as its bytes went by. */
export interface LookedBlob {
  /** SHA-256 of all bytes, hex. */
  readonly digest: string
  /** It is a blob of float32 rows whose chunks fit its list, and every component is finite. */
  readonly isSound: boolean
}

/**
 * Looks at a blob that comes in pieces: hashes it as a whole and by chunk, and looks at every
 * component of stored vectors, so that a check of its state need not read them again.
 *
 * @param ref what it is to be; nothing of it is believed
 * @param pieceBytes of every piece but the last. Rows are looked at where chunks lie in one piece
 */
export class BlobLook {
  readonly #whole = runningSha256()
  readonly #rows: RowsLook | undefined

  constructor(ref: BlobRef, pieceBytes: number) {
    const layout = chunkLayout(ref.bytes, ref.chunkBytes)
    const isRows = ref.role === 'vectors' && pieceBytes % ref.chunkBytes === 0
    this.#rows = isRows && layout !== undefined ? new RowsLook(ref, layout) : undefined
  }

  /** The next bytes. */
  look(piece: Uint8Array): void {
    this.#whole.update(piece)
    this.#rows?.look(piece)
  }

  end(): LookedBlob {
    return { digest: this.#whole.hex(), isSound: this.#rows?.isSound === true }
  }
}

/** Looks at a blob of vectors: its chunks, and its components as float32. */
class RowsLook {
  readonly #ref: BlobRef
  readonly #layout: ChunkLayout
  /** Digests of the chunks as they came, and the list as the blob has it. */
  readonly #digests: Uint8Array
  readonly #list: Uint8Array
  /** Where the rows lie; undefined where they cannot be float32: what is wrong a check tells. */
  #section: { readonly offset: number; readonly bytes: number } | undefined
  #at = 0
  #finite = true

  constructor(ref: BlobRef, layout: ChunkLayout) {
    this.#ref = ref
    this.#layout = layout
    this.#digests = new Uint8Array(layout.listBytes)
    this.#list = new Uint8Array(layout.listBytes)
  }

  look(piece: Uint8Array): void {
    const at = this.#at
    this.#at += piece.length
    if (at === 0) this.#section = rowsIn(piece, this.#ref)
    const { bodyBytes, listBytes } = this.#layout
    const inBody = Math.max(0, Math.min(piece.length, bodyBytes - at))
    if (inBody > 0) this.#hash(piece.subarray(0, inBody), at)
    const listAt = at + inBody - bodyBytes
    if (listAt >= 0 && listAt < listBytes) {
      this.#list.set(piece.subarray(inBody, inBody + listBytes - listAt), listAt)
    }
    if (this.#finite && this.#section !== undefined) this.#lookAtRows(piece, at, this.#section)
  }

  #hash(chunks: Uint8Array, at: number): void {
    const { chunkBytes } = this.#ref
    let to = (at / chunkBytes) * HASH_BYTES
    for (let from = 0; from < chunks.length; from += chunkBytes, to += HASH_BYTES) {
      this.#digests.set(sha256(chunks.subarray(from, from + chunkBytes)), to)
    }
  }

  #lookAtRows(
    piece: Uint8Array,
    at: number,
    { offset, bytes }: { readonly offset: number; readonly bytes: number },
  ): void {
    const from = Math.max(0, offset - at)
    const to = Math.min(piece.length, offset + bytes - at)
    if (from >= to) return
    const { buffer, byteOffset } = piece
    const components = Math.floor((to - from) / 4)
    this.#finite = isFiniteVector(new Float32Array(buffer, byteOffset + from, components))
  }

  get isSound(): boolean {
    const fits =
      Buffer.compare(this.#digests, this.#list) === 0 &&
      chunkRoot(this.#list) === this.#ref.chunkRoot
    return fits && this.#finite && this.#section !== undefined
  }
}

function rowsIn(
  beginning: Uint8Array,
  ref: BlobRef,
): { readonly offset: number; readonly bytes: number } | undefined {
  try {
    const rows = decodeBlobHead(beginning, ref).sections.get(VECTORS_SECTION)
    return rows === undefined || rows.bytes % 4 !== 0 ? undefined : rows
  } catch {
    return undefined
  }
}
