/**
 * A look that many ask for at the same time. Whoever asks gets what a look found that began after
 * he asked, and so sees all that was there then; those who ask while one runs share the next.
 */
export class SharedLook<T> {
  readonly #look: () => Promise<T>
  /** Ends with the look that runs, and never fails. */
  #running: Promise<void> | undefined
  #next: Promise<T> | undefined

  constructor(look: () => Promise<T>) {
    this.#look = look
  }

  get(): Promise<T> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.#start()
    })
    return this.#next
  }

  #start(): Promise<T> {
    const value = this.#look()
    const ended = (): void => {
      if (this.#running === running) this.#running = undefined
    }
    const running: Promise<void> = value.then(ended, ended)
    this.#running = running
    return value
  }
}
