import { AkidbError } from '../errors/errors.ts'

/**
 * Keeps the number of open files under a limit. Short operations wait for a slot. Streams and
 * staged objects, which may stay open while their owner does something else, get at most half of
 * them and never wait: waiting could deadlock against oneself.
 */
export class FileSlots {
  readonly #streamsMax: number
  #streams = 0
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(filesMax: number) {
    this.#streamsMax = Math.floor(filesMax / 2)
    this.#free = filesMax - this.#streamsMax
  }

  /** Runs one short operation that holds one file open. */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await operation()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }

  /**
   * Takes a slot for a long time; give it back with `closeStream`.
   * @throws LIMIT when too many are open
   */
  openStream(): void {
    if (this.#streams >= this.#streamsMax) {
      throw new AkidbError('LIMIT', `more than ${this.#streamsMax} files open for streaming`, {
        hint: 'limits.openFilesMax bounds open files; close some streams first.',
        details: { limit: 'openFilesMax' },
      })
    }
    this.#streams++
  }

  closeStream(): void {
    this.#streams--
  }
}
