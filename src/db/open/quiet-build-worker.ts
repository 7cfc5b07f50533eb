import { isMainThread } from 'node:worker_threads'
import '../../ann/build-worker.ts'
import { lowerPriority } from '../../storage/priority.ts'

// Elsewhere than on Linux this would slow the whole process down.
if (process.platform === 'linux' && !isMainThread) lowerPriority()
