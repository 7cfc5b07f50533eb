import type { StateHelp } from '../../db/check/check-state.ts'
import type { ArrivedBlob } from '../../db/states/blob-intake.ts'
import type { BlobRef } from '../../format/manifest.ts'

/** What a check of a state asks of blobs that are coming. */
export type Arrivals = Required<StateHelp>

/** Tells a check which blobs are there, and what was seen of them as they came. */
export class BlobArrivals implements Arrivals {
  readonly #arrived = new Map<string, ArrivedBlob>()
  readonly #waiting = new Map<string, () => void>()
  readonly #failure = Promise.withResolvers<never>()

  readonly hashing: StateHelp['hashing']

  /** @param hashing for what is read again */
  constructor(hashing: StateHelp['hashing']) {
    this.hashing = hashing
    // It is thrown to whoever waits.
    this.#failure.promise.catch(() => undefined)
  }

  /** @param seen absent: it was there, and nobody looked at it */
  add({ digest }: BlobRef, seen: ArrivedBlob = { isSound: false }): void {
    this.#arrived.set(digest, seen)
    this.#waiting.get(digest)?.()
    this.#waiting.delete(digest)
  }

  /** No more will come: whoever waits is told why. */
  fail(error: unknown): void {
    this.#failure.reject(error)
  }

  /** One caller at a time. */
  readonly ready = async (blobs: readonly BlobRef[]): Promise<void> => {
    for (const { digest } of blobs) {
      if (this.#arrived.has(digest)) continue
      const there = new Promise<void>((resolve) => this.#waiting.set(digest, resolve))
      await Promise.race([there, this.#failure.promise])
    }
  }

  readonly isSound = ({ digest }: BlobRef): boolean => this.#arrived.get(digest)?.isSound === true
}
