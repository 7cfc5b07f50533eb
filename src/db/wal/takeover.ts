import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { checkFollowing, checkSame, headMoved, isHeadMoved } from '../collection/append.ts'
import { type CollectionCore, commitLockName } from '../collection/collection-core.ts'
import type { LogRows } from '../segment/log-rows.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest } from '../states/commit.ts'
import { claimEpoch, claimOf } from './claim.ts'
import { commitLogRows } from './commit-rows.ts'
import type { PlacedEntry } from './log-entry.ts'
import { readLog, removeOldLogs } from './log-file.ts'
import { claimantOf } from './log-groups.ts'
import { outboxLogs, readOutbox, removeOutbox } from './outbox.ts'
import { settleOutbox } from './outbox-settle.ts'
import { replayLog } from './replay.ts'

/** Claims and heads tried before a takeover gives up. */
const ATTEMPTS_MAX = 16

/**
 * Takes the log of a collection over: the next epoch's object, then a manifest that carries the
 * epoch together with whatever the former owner's log still held.
 *
 * @param collection id of the collection that is meant
 * @returns that manifest: the new log begins on it, empty
 * @throws CONFLICT, also where another collection has its name; INTEGRITY where the former log is
 *   damaged
 */
export async function takeLogOver(core: CollectionCore, collection: string): Promise<Manifest> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const head = await core.head()
    checkSame(core.name, collection, head)
    // First: where nothing may be written any more, rows of former owners are told of all the same.
    if (core.environment.isShared === true) await settleOutbox(core, head)
    checkFollowing(core.name, head, 'upsert')
    const epoch = await claimEpoch(core, head)
    const taken = await commitTakeover(core, head, epoch)
    if (taken === undefined) continue
    await removeOldLogs(core.environment, taken.commit)
    await removeSent(core, taken)
    await tellOfFormer(core, head)
    return taken
  }
  throw new AkidbError('CONFLICT', `"${core.name}" is changing too fast to take over`)
}

/** Two servers that write to one store would take its logs from each other, time and again. */
async function tellOfFormer(
  { environment, name }: CollectionCore,
  { commit: { epoch } }: Manifest,
): Promise<void> {
  if (environment.isShared !== true || epoch === 0) return
  // The log is taken all the same.
  const former = await claimOf({ environment, name }, epoch).catch(() => undefined)
  const { logId } = await environment.audit()
  if (former === undefined || former.ends === true || former.logId === logId) return
  environment.warn({
    code: 'LOG_TAKEN',
    message:
      `took over the single writes of "${name}" from ${claimantOf(former)}: ` +
      'if that still runs, its next write is refused; let one server write to a store',
  })
}

/** @returns undefined where the head moved meanwhile */
async function commitTakeover(
  core: CollectionCore,
  head: Manifest,
  epoch: number,
): Promise<Manifest | undefined> {
  const log = { epoch, folded: 0, seen: 0 }
  const collectionId = head.commit.collection
  const rows = await formerRows(core, head)
  if (rows === undefined) return undefined
  if (rows.touched > 0) {
    return await commitLogRows(core, { head, rows, log, ownEpoch: epoch })
  }
  const act = { act: 'owner', collection: core.name, parent: head, details: { epoch } }
  try {
    return await runAct(core.environment, act, async (running) => {
      const manifest = await commitManifest(core.environment, {
        manifests: core.manifests,
        name: core.name,
        lock: commitLockName(collectionId),
        kind: 'owner',
        act: running,
        next: async (now) => {
          if (now?.digest !== head.digest) throw headMoved(core.name)
          const changed = { inserted: 0, updated: 0, deleted: 0 }
          return { state: head.state, stateBytes: head.stateBytes, changed, epoch, log }
        },
      })
      const version = manifest?.commit.version
      return { result: manifest, outcome: { epoch, version, manifest: manifest?.digest } }
    })
  } catch (error) {
    if (isHeadMoved(error)) return undefined
    throw error
  }
}

/** What the former owner's log holds on top of a head. @returns undefined where the head moved */
async function formerRows(core: CollectionCore, head: Manifest): Promise<LogRows | undefined> {
  try {
    const entries = await readLog(core.environment, head.commit)
    return await replayLog(core, head, await withUnsent(core, head, entries))
  } catch (error) {
    // That owner may still have committed and removed a part of it.
    if ((await core.manifests.newestVersion()) !== head.commit.version) return undefined
    throw error
  }
}

/** With what its owner acknowledged in this state folder, where it was on this machine. */
async function withUnsent(
  { environment }: CollectionCore,
  { commit }: Manifest,
  sent: readonly PlacedEntry[],
): Promise<readonly PlacedEntry[]> {
  if (environment.isShared !== true) return sent
  const here = await readOutbox(environment.state, commit, commit.log?.folded ?? 0)
  const known = new Set(here.map(({ end }) => end))
  return [...here, ...sent.filter(({ end }) => !known.has(end))].sort((a, b) => a.end - b.end)
}

/** The takeover has committed them. */
async function removeSent({ environment, name }: CollectionCore, taken: Manifest): Promise<void> {
  if (environment.isShared !== true) return
  const { collection, epoch } = taken.commit
  for (const log of await outboxLogs(environment.state, name)) {
    if (log.collection === collection && log.epoch < epoch) {
      await removeOutbox(environment.state, log)
    }
  }
}
