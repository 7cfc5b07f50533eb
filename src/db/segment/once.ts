/**
 * A value made at its first use. A failure is not kept: what was damaged may be mended meanwhile.
 */
export class Once<T> {
  #value: Promise<T> | undefined

  get(make: () => Promise<T>): Promise<T> {
    this.#value ??= make().catch((error: unknown) => {
      this.#value = undefined
      throw error
    })
    return this.#value
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
  const value =
    known ??
    make().catch((error: unknown) => {
      map.delete(key)
      throw error
    })
  // The newest use stands last, so that the oldest is let go of first.
  map.delete(key)
  map.set(key, value)
  return value
}
