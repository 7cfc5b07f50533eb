import { BLOCK_BYTES, END_MARKER, paddingBytes, tarHeader } from './tar-header.ts'

/** Small writes are gathered up to this many bytes. */
const GATHER_BYTES = 64 * 1024

/**
 * Writes members one after the other; small pieces are gathered, large ones go through uncopied.
 */
export class PackOutput {
  readonly #write: (bytes: Uint8Array) => Promise<void>
  readonly #signal: AbortSignal | undefined
  readonly #gathered = Buffer.alloc(GATHER_BYTES)
  #filled = 0
  #bytes = 0

  constructor(write: (bytes: Uint8Array) => Promise<void>, signal?: AbortSignal) {
    this.#write = write
    this.#signal = signal
  }

  /** Bytes handed in so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** A whole member. */
  async member(name: string, content: Uint8Array): Promise<void> {
    await this.begin(name, content.byteLength)
    await this.content(content)
    await this.pad(content.byteLength)
  }

  begin(name: string, bytes: number): Promise<void> {
    return this.content(tarHeader(name, bytes))
  }

  async content(bytes: Uint8Array): Promise<void> {
    this.#signal?.throwIfAborted()
    this.#bytes += bytes.byteLength
    if (this.#filled + bytes.byteLength > GATHER_BYTES) await this.#flush()
    if (bytes.byteLength > GATHER_BYTES / 2) {
      await this.#flush()
      await this.#write(bytes)
    } else {
      this.#gathered.set(bytes, this.#filled)
      this.#filled += bytes.byteLength
    }
  }

  /** Zeros up to the next header. */
  async pad(contentBytes: number): Promise<void> {
    await this.content(END_MARKER.subarray(0, paddingBytes(contentBytes)))
  }

  /** The end marker, and everything that was gathered. */
  async end(): Promise<void> {
    await this.content(END_MARKER.subarray(0, BLOCK_BYTES))
    await this.content(END_MARKER.subarray(BLOCK_BYTES))
    await this.#flush()
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return
    const filled = this.#filled
    this.#filled = 0
    await this.#write(this.#gathered.subarray(0, filled))
  }
}
