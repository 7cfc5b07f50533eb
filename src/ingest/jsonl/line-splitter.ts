import { limits } from '../../core/limits.ts'

export interface Line {
  /** Without the line end; undefined where the line is longer than limits.rowBytesMax. */
  readonly bytes: Buffer | undefined
  /** Offset of the first byte, from 0. */
  readonly offset: number
  /** From 1. */
  readonly line: number
  /** The line has an end, not only the file. */
  readonly ended: boolean
}

/**
 * Cuts pieces at LF alone, so that other characters that some call line ends stay inside their
 * strings.
 */
export class LineSplitter {
  #parts: Buffer[] = []
  #partBytes = 0
  #tooLong = false
  #offset: number
  #line = 1

  /** `offset`: of the first piece in the file. */
  constructor(offset = 0) {
    this.#offset = offset
  }

  /** The lines that end in this piece; they may share its memory. */
  push(piece: Uint8Array): Line[] {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
    const lines: Line[] = []
    let from = 0
    for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, from)) {
      this.#append(bytes.subarray(from, at))
      lines.push(this.#close(true))
      from = at + 1
    }
    this.#append(bytes.subarray(from))
    return lines
  }

  /** The last line, where the file does not end in a line end. */
  end(): Line[] {
    return this.#partBytes === 0 ? [] : [this.#close(false)]
  }

  #append(part: Buffer): void {
    this.#partBytes += part.length
    if (this.#partBytes > limits.rowBytesMax) {
      this.#tooLong = true
      this.#parts = []
    }
    if (!this.#tooLong && part.length > 0) this.#parts.push(part)
  }

  #close(ended: boolean): Line {
    const only = this.#parts.length === 1 ? this.#parts[0] : undefined
    const line: Line = {
      bytes: this.#tooLong ? undefined : (only ?? Buffer.concat(this.#parts)),
      offset: this.#offset,
      line: this.#line,
      ended,
    }
    this.#offset += this.#partBytes + (ended ? 1 : 0)
    this.#line++
    this.#parts = []
    this.#partBytes = 0
    this.#tooLong = false
    return line
  }
}
