import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import type { ObjectInfo } from '../../storage/object-store.ts'
import type { GcResult } from '../api/api.ts'
import { recoverActs } from '../collection/recover.ts'
import { ensureReserve, RESERVE_FILE } from '../open/init.ts'
import { runAct } from '../states/acts.ts'
import { waitForCommits } from '../states/commit.ts'
import type { Environment } from '../states/environment.ts'
import { sweepNameClaims } from '../states/name-claim.ts'
import { GC_LOCK } from '../states/pins.ts'
import { CondemnedList, closeStaleLists } from './condemned-list.ts'
import { GcRoots, type OldManifest } from './gc-roots.ts'

/** History that stays unless told otherwise: 7 days. */
export const GC_KEEP_MS = 7 * 24 * 3_600_000
/** Blobs of one condemned list: a writer that needs one of them waits for no more than these. */
export const GC_BATCH_BLOBS = 512

export interface GcOptions {
  /** Commits younger than this stay, and the state that held that long ago; default GC_KEEP_MS. */
  readonly keepMs?: number
  /** Counts only; changes nothing, and needs no lock. */
  readonly dryRun?: boolean
  /** Blobs of one condemned list; default GC_BATCH_BLOBS. */
  readonly batchBlobs?: number
  /** Manifests of one condemned list; default limits.gcListManifestsMax. */
  readonly batchManifests?: number
}

/**
 * Removes old states and the blobs that nothing names any more (design §4 History, §5). Manifests
 * go before blobs, so that every manifest that can be seen has all its blobs, wherever a crash
 * comes. Heads, snapshots, what running readers and writers pin, half-done ingests and replays
 * stay. Runs on a full disk: it gives up the reserve.
 *
 * @returns what went (`bytes` of both), and how many blobs stay
 * @throws LOCKED where another one runs; INTEGRITY, FORMAT_VERSION where a manifest, pin or
 *   snapshot cannot be read: nothing goes then, since nobody knows what it names
 */
export async function collectGarbage(
  environment: Environment,
  options: GcOptions = {},
): Promise<GcResult> {
  const keepMs = options.keepMs ?? GC_KEEP_MS
  if (!Number.isFinite(keepMs) || keepMs < 0) {
    throw new AkidbError('USAGE', `cannot keep ${keepMs} ms of history`)
  }
  if (options.dryRun === true) {
    const roots = openRoots(environment, keepMs, false)
    await roots.scan()
    return summary(roots.old, await listBlobs(environment, roots))
  }
  return await withReserve(environment, () => collect(environment, options, keepMs))
}

/**
 * Runs work that frees space. Where the disk is full it gives up the reserve in the state folder
 * and tries once more; the reserve is made again as soon as there is room.
 */
export async function withReserve<T>(environment: Environment, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!hasCode(error, 'NO_SPACE')) throw error
    if (!(await environment.state.delete(RESERVE_FILE))) throw error
    return await work()
  } finally {
    await ensureReserve(environment.state)
  }
}

const openRoots = (environment: Environment, keepMs: number, sweepPins: boolean): GcRoots =>
  new GcRoots(environment, { cutoffMs: environment.clock.nowMs() - keepMs, sweepPins })

async function collect(
  environment: Environment,
  options: GcOptions,
  keepMs: number,
): Promise<GcResult> {
  const lock = await environment.locks.acquire(GC_LOCK, environment.lockWaitMs)
  try {
    await closeStaleLists(environment)
    await sweepNameClaims(environment)
    // Uploads that nobody ended: elsewhere whoever opens a store for writing sweeps them.
    if (environment.isShared === true) await environment.store.sweepTemporary()
    // An act that was killed is ended by looking for its manifest, which may be about to go.
    await recoverActs(environment)
    return await runAct(environment, { act: 'gc', details: { keepMs } }, async () => {
      const result = await remove(environment, options, keepMs)
      const { manifests, blobs, bytes } = result
      return { result, outcome: { manifests, blobs, bytes } }
    })
  } finally {
    await lock.release()
  }
}

async function remove(
  environment: Environment,
  options: GcOptions,
  keepMs: number,
): Promise<GcResult> {
  const roots = openRoots(environment, keepMs, true)
  await roots.scan()
  const listed = await listBlobs(environment, roots)
  const manifests: OldManifest[] = []
  const blobs: ObjectInfo[] = []
  for (const batch of batches(roots.old, listed.condemned, options)) {
    const list = await CondemnedList.open(environment, [
      ...batch.blobs.map(({ key }) => digestOf(key)),
      ...batch.manifests.map(({ digest }) => digest),
    ])
    try {
      // Between machines the time that a commit may take is what ends it.
      if (environment.isShared !== true) await waitForCommits(environment)
      // Once more, now that writers can read what is condemned: whoever pinned before is seen here.
      await roots.scan()
      for (const manifest of batch.manifests) {
        if (!roots.isOld(manifest)) continue
        if (await list.delete(manifest.key)) manifests.push(manifest)
        roots.removed(manifest)
      }
      for (const blob of batch.blobs) {
        if (roots.blobs.has(digestOf(blob.key))) continue
        if (await list.delete(blob.key)) blobs.push(blob)
      }
    } finally {
      await list.close()
    }
  }
  return summary(manifests, { condemned: blobs, total: listed.total })
}

/** What one condemned list holds. */
interface Batch {
  readonly manifests: readonly OldManifest[]
  readonly blobs: readonly ObjectInfo[]
}

/**
 * Each list is as short as somebody who waits for it can bear, and as a reader of it takes it. All
 * manifests come before all blobs, for the sake of what the last of them name.
 */
function batches(
  manifests: readonly OldManifest[],
  blobs: readonly ObjectInfo[],
  options: GcOptions,
): Batch[] {
  const batchBlobs = options.batchBlobs ?? GC_BATCH_BLOBS
  const batchManifests = options.batchManifests ?? limits.gcListManifestsMax
  const found: Batch[] = []
  let at = 0
  for (; manifests.length - at > batchManifests; at += batchManifests) {
    found.push({ manifests: manifests.slice(at, at + batchManifests), blobs: [] })
  }
  let rest = manifests.slice(at)
  for (let first = 0; first < blobs.length || rest.length > 0; first += batchBlobs) {
    found.push({ manifests: rest, blobs: blobs.slice(first, first + batchBlobs) })
    rest = []
  }
  return found
}

interface ListedBlobs {
  /** Named by nobody. */
  readonly condemned: readonly ObjectInfo[]
  readonly total: number
}

async function listBlobs(environment: Environment, roots: GcRoots): Promise<ListedBlobs> {
  const { store, isShared } = environment
  const condemned: ObjectInfo[] = []
  let total = 0
  const youngMs = isShared === true ? (await store.nowMs()) - limits.gcSharedKeepMs : Infinity
  for await (const info of store.list('blobs/')) {
    // A name that we never give is not ours to remove.
    if (blobKey(digestOf(info.key)) !== info.key) continue
    total++
    // Who writes it has pinned it; in a bucket its age says the same.
    const isYoung = info.modifiedMs > youngMs
    if (!isYoung && !roots.blobs.has(digestOf(info.key))) condemned.push(info)
  }
  return { condemned, total }
}

const digestOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1)

function summary(manifests: readonly OldManifest[], listed: ListedBlobs): GcResult {
  const bytes = [...manifests, ...listed.condemned].reduce((sum, item) => sum + item.bytes, 0)
  const blobs = listed.condemned.length
  return { manifests: manifests.length, blobs, bytes, kept: listed.total - blobs }
}
