/** At most so many at once; the others wait in the order in which they came. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Waits for a slot. @returns gives it back; may be called once */
  async acquire(): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return () => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.acquire()
    try {
      return await work()
    } finally {
      release()
    }
  }
}

/**
 * Does `work` for each item, at most `count` at once, reading no further ahead than that. After the
 * first failure nothing more is begun; it is thrown when all that is under way has ended.
 */
export async function eachAtOnce<T>(
  items: AsyncIterable<T> | Iterable<T>,
  count: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const slots = new Slots(count)
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  try {
    for await (const item of items) {
      const release = await slots.acquire()
      if (failures.length > 0) break
      const one = work(item)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => {
          running.delete(one)
          release()
        })
      running.add(one)
    }
  } catch (error) {
    // The items themselves, or a work that failed before it began: what is under way ends first.
    failures.push(error)
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
}
