import type { WorkerPool } from '../ann/worker-pool.ts'
import { Slots } from '../core/slots.ts'
import { CheckProblems } from '../db/check/check-problems.ts'
import { checkStateParts } from '../db/check/check-state.ts'
import { type ChunkHashing, hashingMemory } from '../db/segment/checked-blob.ts'
import type { Environment } from '../db/states/environment.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import { type ErrorCode, exitCodeOf } from '../errors/exit-codes.ts'
import type { ChunkDigests } from '../format/chunks.ts'
import type { CollectionState } from '../format/manifest.ts'
import type { Arrivals } from './pull/arrivals.ts'

/**
 * Compares a state that came from outside with its blobs before it is published: a signature says
 * who wrote it, not that its parts fit together.
 *
 * @param rows live rows that its bundle's head promises
 * @param arriving its blobs, where they may still be coming
 * @throws INTEGRITY with every problem in `details.problems`; FORMAT_VERSION where a part is newer
 *   and nothing is wrong
 */
export async function checkState(
  { store, workers }: Pick<Environment, 'store' | 'workers'>,
  state: CollectionState,
  rows?: number,
  arriving?: Arrivals,
): Promise<void> {
  const problems = new CheckProblems()
  if (state.dropped === true) problems.add('INTEGRITY', '', 'it is of a dropped collection')
  const help = arriving ?? { hashing: hashingOf([state], workers?.()) }
  const live = await checkStateParts(store, state, problems, help)
  if (live !== undefined && rows !== undefined && live !== rows) {
    problems.add('INTEGRITY', '', `it has ${live} live rows, and its bundle says ${rows}`)
  }
  const { list } = problems
  const is24 = ({ code }: { code: string }): boolean => exitCodeOf(code as ErrorCode) === 24
  const worst = list.find(is24) ?? list[0]
  if (worst === undefined) return
  const where = worst.key === '' ? '' : `${worst.key}: `
  const others = list.length > 1 ? ` (and ${list.length - 1} more)` : ''
  throw new AkidbError(
    worst.code as ErrorCode,
    `the state does not fit its blobs: ${where}${worst.message}${others}`,
    { hint: HINT, details: { problems: list } },
  )
}

/** So many bytes take longer to hash than workers to start. */
const HASHED_BYTES_MIN = 64 * 2 ** 20
/** Pieces of 4 MiB: one that is hashed, one that waits, one that is read, one that is looked at. */
const HASHED_PIECES = 3

/** Less goes by in memory that is not worth keeping. */
const PIECES_BYTES_MIN = 4 * 2 ** 20

/**
 * A worker hashes the chunks of what is long, while this thread looks at them. One of them, as it
 * is no slower than this thread, and each takes 20 MB.
 */
export function hashingOf(
  states: readonly CollectionState[],
  workers: WorkerPool | undefined,
): ChunkHashing | undefined {
  const blobs = states.flatMap(({ segments }) => segments.flatMap((segment) => segment.blobs))
  const bytes = blobs.reduce((sum, blob) => sum + blob.bytes, 0)
  if (bytes < PIECES_BYTES_MIN) return undefined
  const memory = hashingMemory(HASHED_PIECES)
  if (workers === undefined || bytes < HASHED_BYTES_MIN) {
    return { digests: async () => undefined, memory }
  }
  const one = new Slots(1)
  const digests: ChunkDigests = async (piece, chunkBytes) => {
    try {
      return (await one.run(() => workers.digests(piece, chunkBytes))).digests
    } catch (error) {
      // Too many wait, or it died: this thread hashes.
      if (!hasCode(error, 'LIMIT', 'INTERNAL')) throw error
      return undefined
    }
  }
  return { digests, memory }
}

const HINT =
  'Nothing was published. Ask its origin to run akidb check --read-data and to export again.'
