import { limits } from '../../core/limits.ts'
import { object, optional, ShapeError, text, whole } from '../../core/shape.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { getBounded } from '../../storage/bounded-get.ts'
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
    await removeOldLogs(core.environment, taken.commit)
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

const ownerKey = (name: string, epoch: number): string =>
  `${ownerPrefix(name)}${versionDigits(epoch)}.json`

/** Who claimed an epoch. */
export interface Claim {
  readonly epoch: number
  readonly host: string
  readonly command: string
  /** Audit log of the state folder from which it was claimed; older claims have none. */
  readonly logId?: string | undefined
}

const claimShape = object(
  { epoch: whole(), host: text(), command: text(), logId: optional(text(/^[0-9a-f]{64}$/)) },
  true,
)

/** Undefined where there is none, or none that can be read: it decides about nothing. */
export async function claimOf(core: CollectionCore, epoch: number): Promise<Claim | undefined> {
  try {
    const key = ownerKey(core.name, epoch)
    const bytes = await getBounded(core.environment.store, key, limits.ownerCommandBytesMax)
    return claimShape(JSON.parse(Buffer.from(bytes).toString('utf8')), key)
  } catch (error) {
    const isNone = hasCode(error, 'NOT_FOUND', 'INTEGRITY')
    if (isNone || error instanceof SyntaxError || error instanceof ShapeError) return undefined
    throw error
  }
}

/** Creates the next owner object; of two claimants one gets each number. */
async function claimEpoch(core: CollectionCore, head: Manifest): Promise<number> {
  const { store, actor, command } = core.environment
  const { logId } = await core.environment.audit()
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const epoch = Math.max(await newestEpoch(core), head.commit.epoch) + 1
    const claim: Claim = { epoch, host: actor.host, command: command.slice(0, 1_000), logId }
    const body = Buffer.from(JSON.stringify(claim))
    if ((await store.put(ownerKey(core.name, epoch), body)) === 'created') return epoch
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
  try {
    return await replayLog(core, head, await readLog(core.environment, head.commit))
  } catch (error) {
    // That owner may still have committed and removed a part of it.
    if ((await core.manifests.newestVersion()) !== head.commit.version) return undefined
    throw error
  }
}
