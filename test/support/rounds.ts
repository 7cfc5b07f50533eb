import { setTimeout } from 'node:timers/promises'
import type { FaultProxy } from './fault-proxy.ts'

/** Nobody asks for so long: what was asked so far is all that was known to be wanted. */
const QUIET_MS = 150

/** Counts how often a client had to wait for answers before it knew what to ask for next. */
export interface Rounds {
  /** Requests of each round. */
  readonly rounds: readonly number[]
  /** Lets requests through as they come again. */
  stop(): void
}

/**
 * Holds requests until no more come, then lets all of them through at once: one round. What a
 * client asks for in parallel is in one, what depends on an answer is in the next.
 */
export function countRounds(proxy: FaultProxy): Rounds {
  const rounds: number[] = []
  let held: (() => void)[] = []
  let latest = 0
  const release = async (mine: number): Promise<void> => {
    await setTimeout(QUIET_MS)
    // Another came meanwhile: its own wait will end this round.
    if (mine !== latest) return
    const round = held
    held = []
    rounds.push(round.length)
    for (const go of round) go()
  }
  proxy.gate = () => {
    const gone = new Promise<void>((resolve) => held.push(resolve))
    void release(++latest)
    return gone
  }
  return {
    rounds,
    stop: () => {
      proxy.gate = async () => undefined
      for (const go of held) go()
    },
  }
}
