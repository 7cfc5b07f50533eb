import { limits } from '../core/limits.ts'
import { eachAtOnce } from '../core/slots.ts'
import { AkidbError } from '../errors/errors.ts'
import { blobKey } from '../format/blob.ts'
import { closureOf } from '../format/closure.ts'
import type { BlobRef, CollectionState } from '../format/manifest.ts'
import type { BlobCache } from '../storage/object-store.ts'
import type { OnProgress } from './api/api.ts'
import type { HeldView } from './collection/collection-core.ts'
import { collectionNames } from './collection/lifecycle.ts'
import { neededBySearches } from './segment/segment-reader.ts'
import type { OpenedStore } from './store.ts'

/** What is to be brought near. */
export interface WarmRequest {
  /** Absent: every collection. */
  readonly collection?: string
  /** Version, label, state root, or ISO 8601 time with zone; default: the newest. */
  readonly asOf?: string
  /** Float32 rows and payload too, not only what searches read whatever they find. */
  readonly all?: boolean
  /** 'pin': it stays, whatever else is read; 'unpin': it may go again, and nothing is brought. */
  readonly pin?: 'pin' | 'unpin'
  /** Changes nothing. */
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface WarmResult {
  readonly collections: readonly WarmedCollection[]
  /** Bytes of all blobs together; each counts once. */
  readonly bytes: number
  /** Bytes that came from the bucket, or would. */
  readonly moved: number
  readonly elapsedMs: number
}

export interface WarmedCollection {
  readonly collection: string
  readonly stateRoot: string
  readonly pinned: boolean
  readonly blobs: number
  readonly bytes: number
}

/**
 * Brings what searches of collections need into the disk cache of a store in a bucket. What is
 * there and whole is not brought again. One that is pinned already stays so, at its state of now.
 *
 * @throws USAGE for a store without a cache; LIMIT where the cache is too small; NOT_FOUND;
 *   INTEGRITY where the bucket has other bytes; NO_SPACE, AUTH where the cache cannot be written
 */
export async function warmCollections(
  store: OpenedStore,
  request: WarmRequest = {},
): Promise<WarmResult> {
  const { cache, url } = store.environment.store
  if (cache === undefined) throw noCache(url)
  const startedMs = performance.now()
  if (request.pin === 'unpin') return await unpinned(store, cache, request, startedMs)
  const { pins } = await cache.usage()
  const wanted = new Map<string, BlobRef>()
  const plans: Plan[] = []
  try {
    for (const name of await chosenNames(store, request)) {
      plans.push(await planOf(store, name, request, pins))
    }
    for (const { blobs } of plans) for (const ref of blobs) wanted.set(ref.digest, ref)
    const bytes = sumOf(wanted.values())
    await checkRoom(cache, plans)
    const moved =
      request.dryRun === true
        ? await missingOf(cache, wanted.values())
        : await bring(cache, plans, wanted, request)
    const collections = plans.map(({ owner: _, hold: __, blobs, ...plan }) => {
      return { ...plan, blobs: blobs.length, bytes: sumOf(blobs) }
    })
    return { collections, bytes, moved, elapsedMs: performance.now() - startedMs }
  } finally {
    for (const { hold } of plans) await hold.release()
  }
}

interface Plan {
  readonly collection: string
  readonly stateRoot: string
  readonly pinned: boolean
  readonly blobs: readonly BlobRef[]
  /** Who pins: the collection's id. */
  readonly owner: string
  readonly hold: HeldView['hold']
}

async function chosenNames(store: OpenedStore, { collection }: WarmRequest): Promise<string[]> {
  if (collection !== undefined) return [collection]
  const names: string[] = []
  for (const name of await collectionNames(store.environment)) {
    const head = await store.core(name).manifests.newest()
    if (head !== undefined && head.state.dropped !== true) names.push(name)
  }
  return names
}

async function planOf(
  store: OpenedStore,
  collection: string,
  { all, asOf, pin }: WarmRequest,
  pins: ReadonlyMap<string, number>,
): Promise<Plan> {
  const { core } = await store.collection(collection)
  const { view, hold } = await core.hold(asOf)
  const { commit, state } = view.manifest
  const owner = commit.collection
  const blobs = all === true ? [...closureOf(state).values()] : searchBlobs(state)
  const pinned = pin === 'pin' || pins.has(owner)
  return { collection, stateRoot: commit.stateRoot, pinned, blobs, owner, hold }
}

/** Each once: a blob of tombstones serves several segments. */
function searchBlobs({ segments }: CollectionState): BlobRef[] {
  const found = new Map<string, BlobRef>()
  for (const entry of segments) {
    for (const ref of neededBySearches(entry)) found.set(ref.digest, ref)
    if (entry.tombstones !== undefined) found.set(entry.tombstones.digest, entry.tombstones)
  }
  return [...found.values()]
}

/** What is not pinned has to fit beside what is, or it would push itself out. */
async function checkRoom(cache: BlobCache, plans: readonly Plan[]): Promise<void> {
  const { bytesMax, pins } = await cache.usage()
  const loose = plans.filter(({ pinned }) => !pinned).flatMap(({ blobs }) => blobs)
  const bytes = sumOf(new Map(loose.map((ref) => [ref.digest, ref])).values())
  let pinnedBytes = 0
  for (const one of pins.values()) pinnedBytes += one
  const room = Math.floor(Math.max(0, bytesMax - pinnedBytes) * ROOM_SHARE)
  if (bytes <= room) return
  throw new AkidbError('LIMIT', `${bytes} bytes do not fit into the cache, which has ${room}`, {
    hint: 'Give a larger --s3-cache, or one collection at a time.',
    details: { bytes, room },
  })
}

/** What is left of a cache when it was cut, less what the parts' hashes take. */
const ROOM_SHARE = 0.79

async function bring(
  cache: BlobCache,
  plans: readonly Plan[],
  wanted: ReadonlyMap<string, BlobRef>,
  { onProgress, signal }: WarmRequest,
): Promise<number> {
  for (const { pinned, owner, blobs } of plans) {
    if (pinned) await cache.pin(owner, blobs.map(cachedBlob))
  }
  const total = sumOf(wanted.values())
  let done = 0
  let moved = 0
  await eachAtOnce(wanted.values(), limits.cacheWarmsMax, async (ref) => {
    signal?.throwIfAborted()
    const came = await cache.warm(cachedBlob(ref), signal)
    moved += came
    done += ref.bytes
    onProgress?.({ stage: 'warm', done, total, unit: 'bytes' })
  })
  return moved
}

async function missingOf(cache: BlobCache, blobs: Iterable<BlobRef>): Promise<number> {
  let missing = 0
  for (const ref of blobs) missing += await cache.missing(cachedBlob(ref))
  return missing
}

/** Of all collections where none is named, also of those that are dropped. */
async function unpinned(
  store: OpenedStore,
  cache: BlobCache,
  { collection, dryRun }: WarmRequest,
  startedMs: number,
): Promise<WarmResult> {
  const collections: WarmedCollection[] = []
  const { pins } = await cache.usage()
  const owners = new Set(pins.keys())
  if (collection !== undefined) {
    const { commit } = await (await store.collection(collection)).core.head()
    owners.clear()
    owners.add(commit.collection)
    const { stateRoot } = commit
    collections.push({ collection, stateRoot, pinned: dryRun === true, blobs: 0, bytes: 0 })
  }
  if (dryRun !== true) for (const owner of owners) await cache.pin(owner, [])
  return { collections, bytes: 0, moved: 0, elapsedMs: performance.now() - startedMs }
}

const cachedBlob = ({ digest, bytes }: BlobRef) => ({ key: blobKey(digest), bytes })

const sumOf = (blobs: Iterable<BlobRef>): number => {
  let sum = 0
  for (const { bytes } of blobs) sum += bytes
  return sum
}

const noCache = (url: string): AkidbError =>
  new AkidbError('USAGE', `${url} is read where it lies: there is no cache to warm`, {
    hint: 'Stores in buckets have one: --store s3://bucket/prefix.',
  })
