import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import type { BlobRef, CollectionState, SegmentEntry } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { allSources } from '../states/sources.ts'
import { LiveIdCheck } from './check-live-ids.ts'
import type { CheckProblems } from './check-problems.ts'
import { type CheckHelp, checkSegment } from './check-segment.ts'

/** Help for a state whose blobs may still be coming. */
export interface StateHelp extends CheckHelp {
  /** Resolves when these blobs are there; absent: they are. */
  readonly ready?: (blobs: readonly BlobRef[]) => Promise<void>
}

/**
 * Compares a whole state with its blobs, which are there and have the right digests. Segments are
 * opened one after another; only their ids stay in memory until the end.
 *
 * @returns its live rows, where nothing is wrong
 */
export async function checkStateParts(
  store: ObjectStore,
  state: CollectionState,
  problems: CheckProblems,
  help: StateHelp = {},
): Promise<number | undefined> {
  const { ready } = help
  const live = new LiveIdCheck()
  if (state.sourcesBlob !== undefined) await ready?.([state.sourcesBlob])
  await problems.look(sourcesKey(state), () => checkSources(store, state))
  for (const entry of state.segments) {
    await ready?.(blobsOf(entry))
    const ids = await checkSegment(store, { entry, state }, problems, help)
    if (ids === undefined) continue
    await problems.look(`segment ${entry.key}`, async () => live.add(ids))
  }
  return problems.list.length === 0 ? live.rows : undefined
}

const blobsOf = ({ blobs, tombstones }: SegmentEntry): readonly BlobRef[] =>
  tombstones === undefined ? blobs : [...blobs, tombstones]

const sourcesKey = ({ sourcesBlob }: CollectionState): string =>
  sourcesBlob === undefined ? 'sources' : blobKey(sourcesBlob.digest)

/**
 * Sources stand in the order of their ordinals, each once, the older ones in a blob of their own;
 * segments name none but these.
 *
 * @throws INTEGRITY
 */
export async function checkSources(store: ObjectStore, state: CollectionState): Promise<void> {
  const known = new Set<number>()
  let last = -1
  for (const { ordinal } of await allSources(store, state)) {
    if (ordinal <= last || ordinal >= state.nextSource) {
      throw broken(`source ${ordinal} is out of order`)
    }
    known.add(ordinal)
    last = ordinal
  }
  for (const { key, sources } of state.segments) {
    const unknown = sources.find((ordinal) => !known.has(ordinal))
    if (unknown === undefined) continue
    throw broken(`segment ${key} names source ${unknown}, which is not listed`)
  }
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a state does not hold what it says: ${what}`)
