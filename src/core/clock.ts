/** Time and waiting, passed in so that tests and the simulation own them. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Randomness, passed in for the same reason. */
export type RandomBytes = (bytes: number) => Uint8Array
