import { CheckProblems } from '../db/check/check-problems.ts'
import { checkStateParts } from '../db/check/check-state.ts'
import { AkidbError } from '../errors/errors.ts'
import { type ErrorCode, exitCodeOf } from '../errors/exit-codes.ts'
import type { CollectionState } from '../format/manifest.ts'
import type { ObjectStore } from '../storage/object-store.ts'

/**
 * Compares a state that came from outside with its blobs before it is published: a signature says
 * who wrote it, not that its parts fit together.
 *
 * @param rows live rows that its bundle's head promises
 * @throws INTEGRITY with every problem in `details.problems`; FORMAT_VERSION where a part is newer
 *   and nothing is wrong
 */
export async function checkState(
  store: ObjectStore,
  state: CollectionState,
  rows?: number,
): Promise<void> {
  const problems = new CheckProblems()
  if (state.dropped === true) problems.add('INTEGRITY', '', 'it is of a dropped collection')
  const live = await checkStateParts(store, state, problems)
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

const HINT =
  'Nothing was published. Ask its origin to run akidb check --read-data and to export again.'
