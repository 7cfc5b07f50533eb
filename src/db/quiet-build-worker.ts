import { setPriority } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import '../ann/build-worker.ts'

/** Of 0…19: about a tenth of the share that a search has which runs meanwhile. */
const NICE = 10

// Linux gives each thread a priority of its own; elsewhere this would slow the whole process down.
if (process.platform === 'linux' && !isMainThread) setPriority(NICE)
