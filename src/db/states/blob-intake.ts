import { runningSha256, sha256 } from '../../core/digest.ts'
import { isFiniteVector } from '../../core/metric.ts'
import { decodeBlobHead, VECTORS_SECTION } from '../../format/blob.ts'
import {
  type ChunkDigests,
  type ChunkLayout,
  chunkLayout,
  chunkRoot,
  HASH_BYTES,
} from '../../format/chunks.ts'
import type { BlobRef } from '../../format/manifest.ts'
import type { ByteRange, StagedObject } from '../../storage/object-store.ts'

/** A multiple of the chunks of rows, which lie in one piece each; a processor has so much near. */
const PIECE_BYTES = 1024 * 1024
/** One is written while the other is filled. */
const PIECES = 2

/** What was seen of a blob as it came. */
export interface ArrivedBlob {
  /** It is a blob of float32 rows whose chunks fit its list, and every component is finite. */
  readonly isSound: boolean
}

/** What blobs that are taken have in common. */
export interface IntakeHelp {
  /** Absent: this thread hashes. */
  readonly digests?: ChunkDigests | undefined
  /** Memory of blobs that were taken, for those that come next. */
  readonly spare: Piece[]
}

type Piece = Uint8Array<SharedArrayBuffer>

/**
 * Takes a blob that comes from outside, in pieces of any size: writes it, and looks at its bytes
 * while they are at hand. They are read once, hashed by chunk and as a whole, and stored vectors
 * are looked at component by component, so that a check of its state need not read them again.
 */
export class BlobIntake {
  readonly #ref: BlobRef
  readonly #staged: StagedObject
  readonly #spare: Piece[]
  readonly #whole = runningSha256()
  readonly #rows: RowsIntake | undefined
  readonly #memory: Piece[] = []
  #filled = 0
  #turn = 0
  /** The piece before is being written, and hashed. */
  #busy: Promise<unknown> | undefined
  #bytes = 0

  constructor(ref: BlobRef, staged: StagedObject, { spare, digests }: IntakeHelp) {
    this.#ref = ref
    this.#staged = staged
    this.#spare = spare
    const layout = chunkLayout(ref.bytes, ref.chunkBytes)
    const isRows = ref.role === 'vectors' && PIECE_BYTES % ref.chunkBytes === 0
    this.#rows = isRows && layout !== undefined ? new RowsIntake(ref, layout, digests) : undefined
  }

  /** The next bytes; they may be used again when this returns, or what it returns resolves. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    this.#bytes += bytes.length
    return this.#take(bytes)
  }

  #take(bytes: Uint8Array): Promise<void> | undefined {
    const room = this.#room()
    const fits = Math.min(bytes.length, room.length - this.#filled)
    room.set(fits === bytes.length ? bytes : bytes.subarray(0, fits), this.#filled)
    this.#filled += fits
    if (this.#filled < room.length) return undefined
    return this.#goOn(bytes.subarray(fits))
  }

  async #goOn(rest: Uint8Array): Promise<void> {
    await this.#flush()
    if (rest.length > 0) await this.#take(rest)
  }

  #room(): Piece {
    const place = this.#turn % PIECES
    this.#memory[place] ??= this.#spare.pop() ?? new Uint8Array(new SharedArrayBuffer(PIECE_BYTES))
    return this.#memory[place]
  }

  /** Looks at what was gathered, and begins to write it when what was before it is written. */
  async #flush(): Promise<void> {
    const piece = this.#room().subarray(0, this.#filled)
    const looking = this.#rows?.look(piece)
    looking?.catch(() => undefined)
    this.#whole.update(piece)
    await this.#busy
    this.#turn++
    this.#filled = 0
    this.#busy = Promise.all([this.#staged.write(piece), looking])
    this.#busy.catch(() => undefined)
  }

  /**
   * After the last byte: undefined where it is not the blob that its reference names. It is written
   * then, under no name yet.
   */
  async finish(): Promise<ArrivedBlob | undefined> {
    if (this.#filled > 0) await this.#flush()
    await this.#busy
    const isIt = this.#bytes === this.#ref.bytes && this.#whole.hex() === this.#ref.digest
    return isIt ? { isSound: this.#rows?.isSound === true } : undefined
  }

  /** Gives its memory back; at the end, whatever became of it. */
  async end(): Promise<void> {
    await this.#busy?.catch(() => undefined)
    this.#spare.push(...this.#memory.splice(0))
  }
}

/** Looks at a blob of vectors: its chunks, and its components as float32. */
class RowsIntake {
  readonly #ref: BlobRef
  readonly #layout: ChunkLayout
  readonly #digestsOf: ChunkDigests | undefined
  /** Digests of the chunks as they came, and the list as the blob has it. */
  readonly #digests: Uint8Array
  readonly #list: Uint8Array
  #section: ByteRange | undefined
  #at = 0
  #finite = true

  constructor(ref: BlobRef, layout: ChunkLayout, digests: ChunkDigests | undefined) {
    this.#ref = ref
    this.#layout = layout
    this.#digestsOf = digests
    this.#digests = new Uint8Array(layout.listBytes)
    this.#list = new Uint8Array(layout.listBytes)
  }

  /** The next bytes: whole chunks, but for the last. They are needed until it resolves. */
  async look(piece: Piece): Promise<void> {
    const at = this.#at
    this.#at += piece.length
    if (at === 0) this.#section = rowsIn(piece, this.#ref)
    const { bodyBytes, listBytes } = this.#layout
    const inBody = Math.max(0, Math.min(piece.length, bodyBytes - at))
    const hashing = inBody > 0 ? this.#hash(piece.subarray(0, inBody), at) : undefined
    const listAt = at + inBody - bodyBytes
    if (listAt >= 0 && listAt < listBytes) {
      this.#list.set(piece.subarray(inBody, inBody + listBytes - listAt), listAt)
    }
    if (this.#finite && this.#section !== undefined) this.#lookAtRows(piece, at, this.#section)
    await hashing
  }

  async #hash(chunks: Piece, at: number): Promise<void> {
    const { chunkBytes } = this.#ref
    const listAt = (at / chunkBytes) * HASH_BYTES
    const digests = await this.#digestsOf?.(chunks, chunkBytes)
    if (digests !== undefined) return this.#digests.set(digests, listAt)
    for (let from = 0, to = listAt; from < chunks.length; from += chunkBytes, to += HASH_BYTES) {
      this.#digests.set(sha256(chunks.subarray(from, from + chunkBytes)), to)
    }
  }

  #lookAtRows(piece: Piece, at: number, { offset, bytes }: ByteRange): void {
    const from = Math.max(0, offset - at)
    const to = Math.min(piece.length, offset + bytes - at)
    if (from >= to) return
    const { buffer, byteOffset } = piece
    this.#finite = isFiniteVector(new Float32Array(buffer, byteOffset + from, (to - from) / 4))
  }

  get isSound(): boolean {
    const fits =
      Buffer.compare(this.#digests, this.#list) === 0 &&
      chunkRoot(this.#list) === this.#ref.chunkRoot
    return fits && this.#finite && this.#section !== undefined
  }
}

/** The section of rows, where it can hold float32 components; what is wrong a check tells. */
function rowsIn(beginning: Uint8Array, ref: BlobRef): ByteRange | undefined {
  try {
    const rows = decodeBlobHead(beginning, ref).sections.get(VECTORS_SECTION)
    return rows === undefined || rows.bytes % 4 !== 0 ? undefined : rows
  } catch {
    return undefined
  }
}
