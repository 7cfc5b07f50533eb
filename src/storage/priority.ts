import { getPriority, setPriority } from 'node:os'

/** Of 0…19: about a tenth of the share that a search has which runs meanwhile. */
const NICE = 10

/**
 * Lets others go first where processors are short: bulk work beside searches. It costs nothing on
 * an idle machine. Linux gives each thread a priority of its own, and threads take that of the
 * thread that starts them; elsewhere it is the whole process.
 */
export function lowerPriority(): void {
  try {
    if (getPriority() < NICE) setPriority(NICE)
  } catch {
    // Where it may not be changed the work goes on as it is.
  }
}
