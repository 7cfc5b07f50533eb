/**
 * Reads a stream of bytes once, in order, without holding more than one piece of it.
 *
 * A piece that was handed out is valid until the next one is asked for, so a reader may use its
 * buffers again.
 */
export class ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  #piece: Uint8Array = new Uint8Array(0)
  #at = 0
  #offset = 0

  constructor(pieces: AsyncIterable<Uint8Array>, signal?: AbortSignal) {
    this.#pieces = pieces[Symbol.asyncIterator]()
    this.#signal = signal
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset
  }

  /**
   * The next `bytes` bytes, copied; fewer at the end. Memory grows with what arrives, not with what
   * is asked.
   */
  async take(bytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    await this.pass(bytes, (piece) => void parts.push(Uint8Array.from(piece)))
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
  }

  /**
   * Hands the next `bytes` bytes to `use`, piece by piece. Returns how many there were: fewer at
   * the end.
   */
  async pass(
    bytes: number,
    use: (piece: Uint8Array) => Promise<void> | undefined | void,
  ): Promise<number> {
    let passed = 0
    while (passed < bytes && (await this.#fill())) {
      const end = Math.min(this.#piece.byteLength, this.#at + bytes - passed)
      const piece = this.#piece.subarray(this.#at, end)
      this.#at = end
      this.#offset += piece.byteLength
      passed += piece.byteLength
      const busy = use(piece)
      if (busy !== undefined) await busy
    }
    return passed
  }

  skip(bytes: number): Promise<number> {
    return this.pass(bytes, () => {})
  }

  /** Whether nothing follows. */
  async atEnd(): Promise<boolean> {
    return !(await this.#fill())
  }

  /** Lets the reader close what it holds. Idempotent. */
  async close(): Promise<void> {
    await this.#pieces.return?.()
  }

  async #fill(): Promise<boolean> {
    while (this.#at === this.#piece.byteLength) {
      this.#signal?.throwIfAborted()
      const next = await this.#pieces.next()
      // At the end the reader may have freed the last piece, too.
      this.#piece = next.done === true ? new Uint8Array(0) : next.value
      this.#at = 0
      if (next.done === true) return false
    }
    return true
  }
}
