import type { BlobRef } from '../../format/manifest.ts'
import { alignedMemory } from '../../storage/aligned-memory.ts'
import type { StagedObject } from '../../storage/object-store.ts'
import type { BeginLook, BlobLooker } from './look-thread.ts'

/** A multiple of the chunks of rows, which lie in one piece each; a processor has so much near. */
const PIECE_BYTES = 1024 * 1024
/** One is written while the other is filled. */
const PIECES = 2

/** Shared memory is filled a word at a time by TypedArray.set, at half the speed. */
const { copy } = Buffer.prototype

/** What was seen of a blob as it came. */
export interface ArrivedBlob {
  /** It is a blob of float32 rows whose chunks fit its list, and every component is finite. */
  readonly isSound: boolean
}

/** What blobs that are taken have in common. */
export interface IntakeHelp {
  readonly beginLook: BeginLook
  /** Memory of blobs that were taken, for those that come next. */
  readonly spare: Uint8Array[]
}

/**
 * Takes a blob that comes from outside, in pieces of any size: writes it, and has its bytes looked
 * at while they are at hand. They are read once.
 */
export class BlobIntake {
  readonly #ref: BlobRef
  readonly #staged: StagedObject
  readonly #spare: Uint8Array[]
  readonly #looker: BlobLooker
  readonly #memory: Uint8Array[] = []
  #filled = 0
  #turn = 0
  /** The piece before is being written, and looked at. */
  #busy: Promise<unknown> | undefined
  #bytes = 0

  constructor(ref: BlobRef, staged: StagedObject, { spare, beginLook }: IntakeHelp) {
    this.#ref = ref
    this.#staged = staged
    this.#spare = spare
    this.#looker = beginLook(ref, PIECE_BYTES)
  }

  /** The next bytes; they may be used again when this returns, or what it returns resolves. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    this.#bytes += bytes.length
    return this.#take(bytes)
  }

  #take(bytes: Uint8Array): Promise<void> | undefined {
    const room = this.#room()
    const fits = Math.min(bytes.length, room.length - this.#filled)
    copy.call(bytes, room, this.#filled, 0, fits)
    this.#filled += fits
    if (this.#filled < room.length) return undefined
    return this.#goOn(bytes.subarray(fits))
  }

  async #goOn(rest: Uint8Array): Promise<void> {
    await this.#flush()
    if (rest.length > 0) await this.#take(rest)
  }

  #room(): Uint8Array {
    const place = this.#turn % PIECES
    this.#memory[place] ??= this.#spare.pop() ?? alignedMemory(PIECE_BYTES, true)
    return this.#memory[place]
  }

  /** Begins to write what was gathered when what was before it is written. */
  async #flush(): Promise<void> {
    const piece = this.#room().subarray(0, this.#filled)
    const looking = this.#looker.look(piece)
    looking?.catch(() => undefined)
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
    const { digest, isSound } = await this.#looker.end()
    return this.#bytes === this.#ref.bytes && digest === this.#ref.digest ? { isSound } : undefined
  }

  /** Gives its memory back; at the end, whatever became of it. */
  async end(): Promise<void> {
    await this.#busy?.catch(() => undefined)
    this.#spare.push(...this.#memory.splice(0))
  }
}
