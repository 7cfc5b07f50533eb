/**
 * A value made at its first use. A failure is not kept: what was damaged may be mended meanwhile.
 */
export class Once<T> {
  #value: Promise<T> | undefined

  get(make: () => Promise<T>): Promise<T> {
    if (this.#value !== undefined) return this.#value
    const mine = make().catch((error: unknown) => {
      // Another may stand there by now.
      if (this.#value === mine) this.#value = undefined
      throw error
    })
    this.#value = mine
    return mine
  }

  /** The value, where it was made. */
  get made(): Promise<T> | undefined {
    return this.#value
  }

  /** Puts another in its place. */
  set(value: T): void {
    this.#value = Promise.resolve(value)
  }

  forget(): void {
    this.#value = undefined
  }
}

/** The same for many values by key. */
export function keep<K, T>(map: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const known = map.get(key)
  const value: Promise<T> =
    known ??
    make().catch((error: unknown) => {
      if (map.get(key) === value) map.delete(key)
      throw error
    })
  // The newest use stands last, so that the oldest is let go of first.
  map.delete(key)
  map.set(key, value)
  return value
}
