import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'

/** The machine's clock. `sleep` rejects with an AbortError when its signal fires. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: async (ms, signal) => {
    await wait(ms, undefined, signal === undefined ? {} : { signal })
  },
}
