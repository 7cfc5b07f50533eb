import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import type { ObjectInfo } from '../../storage/object-store.ts'
import type { GcResult } from '../api/api.ts'
import { recoverActs } from '../collection/recover.ts'
import { runAct } from '../states/acts.ts'
import { waitForCommits } from '../states/commit.ts'
import type { Environment } from '../states/environment.ts'
import { sweepNameClaims } from '../states/name-claim.ts'
import { GC_LOCK } from '../states/pins.ts'
import { growReserve, withReserve } from '../states/reserve.ts'
import { allPieces, type FoundPiece } from '../wal/log-file.ts'
import { logPlace } from '../wal/log-place.ts'
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
    const listed = await listBlobs(environment, roots)
    return summary({ manifests: roots.old, pieces: await deadPieces(environment, roots), listed })
  }
  const result = await withReserve(environment, () => collect(environment, options, keepMs))
  await growReserve(environment.state)
  return result
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
      const { kept: _, ...outcome } = result
      return { result, outcome }
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
  const { condemned, total } = await listBlobs(environment, roots)
  const dead = await deadPieces(environment, roots)
  const manifests: OldManifest[] = []
  const blobs: ObjectInfo[] = []
  const pieces: FoundPiece[] = []
  for (const batch of batches({ manifests: roots.old, blobs: condemned, pieces: dead }, options)) {
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
      for (const piece of batch.pieces) {
        if (roots.logs.has(piece.collection)) continue
        if (await list.delete(piece.key, logPlace(environment).store)) pieces.push(piece)
      }
    } finally {
      await list.close()
    }
  }
  return summary({ manifests, pieces, listed: { condemned: blobs, total } })
}

/** What one condemned list holds. */
interface Batch {
  readonly manifests: readonly OldManifest[]
  readonly blobs: readonly ObjectInfo[]
  /** They are on no list: what belongs to no collection is named by nobody again. */
  readonly pieces: readonly FoundPiece[]
}

/**
 * Each list is as short as somebody who waits for it can bear, and as a reader of it takes it. All
 * manifests come before all blobs, for the sake of what the last of them name.
 */
function batches({ manifests, blobs, pieces }: Batch, options: GcOptions): Batch[] {
  const batchBlobs = options.batchBlobs ?? GC_BATCH_BLOBS
  const batchManifests = options.batchManifests ?? limits.gcListManifestsMax
  const found: Batch[] = []
  let at = 0
  for (; manifests.length - at > batchManifests; at += batchManifests) {
    found.push({ manifests: manifests.slice(at, at + batchManifests), blobs: [], pieces: [] })
  }
  const rest = { manifests: manifests.slice(at), pieces }
  const isMore = rest.manifests.length + pieces.length > 0
  for (let first = 0; first < blobs.length || (first === 0 && isMore); first += batchBlobs) {
    const some = blobs.slice(first, first + batchBlobs)
    found.push({ manifests: [], pieces: [], ...(first === 0 ? rest : {}), blobs: some })
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

/**
 * Groups of single writes that were never committed, of collections that are gone: whoever wrote
 * them died before the drop, or was not told of it.
 */
async function deadPieces(environment: Environment, roots: GcRoots): Promise<FoundPiece[]> {
  const dead: FoundPiece[] = []
  const youngMs = (await logPlace(environment).store.nowMs()) - limits.gcSharedKeepMs
  for await (const piece of allPieces(environment, roots.names)) {
    if (piece.modifiedMs <= youngMs && !roots.logs.has(piece.collection)) dead.push(piece)
  }
  return dead
}

interface Removed {
  readonly manifests: readonly OldManifest[]
  readonly pieces: readonly FoundPiece[]
  readonly listed: ListedBlobs
}

function summary({ manifests, pieces, listed: { condemned, total } }: Removed): GcResult {
  const all = [...manifests, ...condemned, ...pieces]
  const bytes = all.reduce((sum, item) => sum + item.bytes, 0)
  const [blobs, logPieces] = [condemned.length, pieces.length]
  return { manifests: manifests.length, blobs, logPieces, bytes, kept: total - blobs }
}
