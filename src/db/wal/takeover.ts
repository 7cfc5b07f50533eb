import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { checkFollowing, headMoved, isHeadMoved } from '../collection/append.ts'
import { type CollectionCore, commitLockName } from '../collection/collection-core.ts'
import type { LogRows } from '../segment/log-rows.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest } from '../states/commit.ts'
import { versionDigits } from '../states/manifest-store.ts'
import { commitLogRows } from './commit-rows.ts'
import { readLog, removeOldLogs } from './log-file.ts'
import { replayLog } from './replay.ts'

/** Claims and heads tried before a takeover gives up. */
const ATTEMPTS_MAX = 16

/**
 * Takes the log of a collection over: the next epoch's object, then a manifest that carries the
 * epoch together with whatever the former owner's log still held.
 *
 * @returns that manifest: the new log begins on it, empty
 * @throws CONFLICT, INTEGRITY where the former log is damaged
 */
export async function takeLogOver(core: CollectionCore): Promise<Manifest> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const head = await core.head()
    checkFollowing(core.name, head, 'upsert')
    const epoch = await claimEpoch(core, head)
    const taken = await commitTakeover(core, head, epoch)
    if (taken === undefined) continue
    await removeOldLogs(core.environment.state, taken.commit.collection, epoch)
    return taken
  }
  throw new AkidbError('CONFLICT', `"${core.name}" is changing too fast to take over`)
}

const ownerPrefix = (name: string): string => `collections/${name}/owner/`

/** The newest epoch that anybody claimed; 0 where nobody has. */
export async function newestEpoch(core: CollectionCore): Promise<number> {
  const prefix = ownerPrefix(core.name)
  for await (const { key } of core.environment.store.list(prefix, { limit: 1 })) {
    const digits = key.slice(prefix.length, -'.json'.length)
    return Number(99_999_999_999_999_999_999n - BigInt(digits))
  }
  return 0
}

/** Creates the next owner object; of two claimants one gets each number. */
async function claimEpoch(core: CollectionCore, head: Manifest): Promise<number> {
  const { store, actor, command } = core.environment
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const epoch = Math.max(await newestEpoch(core), head.commit.epoch) + 1
    const body = Buffer.from(JSON.stringify({ epoch, host: actor.host, command }))
    const key = `${ownerPrefix(core.name)}${versionDigits(epoch)}.json`
    if ((await store.put(key, body)) === 'created') return epoch
  }
  throw new AkidbError('CONFLICT', `too many log owners of "${core.name}" at once`)
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
  const { collection: collectionId, epoch, log, version } = head.commit
  try {
    const former = { collectionId, epoch, folded: log?.folded ?? 0 }
    return await replayLog(core, head, await readLog(core.environment.state, former))
  } catch (error) {
    // That owner may still have committed and removed a part of it.
    if ((await core.manifests.newestVersion()) !== version) return undefined
    throw error
  }
}
