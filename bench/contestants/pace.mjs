// Searches at an even pace while something else goes on.

import { setTimeout } from 'node:timers/promises'
import { quantile } from '../measure.mjs'

const PACE_MS = 4

/** Searches one after the other, with a pause, while `going()` holds; {p50Ms, p99Ms, count}. */
export async function paced(search, going) {
  const times = []
  for (let i = 0; going(); i++) {
    const from = performance.now()
    await search(i)
    times.push(performance.now() - from)
    await setTimeout(PACE_MS)
  }
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), count: times.length }
}

/** Writers that each wait for their own write before the next, for some time; writes a second. */
export async function writers(count, lastsMs, write) {
  const from = performance.now()
  let done = 0
  const going = () => performance.now() - from < lastsMs
  const writer = async () => {
    while (going()) {
      await write(done++)
    }
  }
  await Promise.all(Array.from({ length: count }, writer))
  return (1000 * done) / (performance.now() - from)
}
