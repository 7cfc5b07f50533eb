import { AkidbError } from '../../errors/errors.ts'
import { closureOf } from '../../format/closure.ts'
import type { CollectionState, Manifest } from '../../format/manifest.ts'
import type { CacheBytes, CacheUsage } from '../../storage/object-store.ts'
import type { Ledger } from '../sealed/ledger.ts'
import type { SegmentMemory } from '../segment/segment-memory.ts'
import type { Environment } from '../states/environment.ts'

/** What a report of the tiers is made from. */
export interface TiersEnvironment extends Pick<Environment, 'store' | 'memory' | 'clock'> {
  /** Of a store that is sealed. */
  readonly ledger?: Ledger
}

export interface TiersOptions {
  /** What one GiB costs in a month where the store lies, in the operator's own money. */
  readonly pricePerGibMonth?: number
  /** Memory of a collection; absent: none is told. */
  readonly memoryOf?: (collection: string) => SegmentMemory
}

/** What lies where, what it may take there, and what it costs. Bytes. */
export interface TiersStatus {
  /** Vector indexes that are open in this process; absent: nothing limits them. */
  readonly memory?: { readonly budget: number; readonly held: number }
  /** The disk cache of a store in a bucket. */
  readonly cache: (CacheBytes & { readonly folder: string; readonly budget: number }) | null
  /** Blobs of all states, in the folder or the bucket. */
  readonly stored: Stored & { readonly kind: 'folder' | 'bucket'; readonly blobs: number }
  readonly collections: readonly CollectionTiers[]
}

/** What lies where the store lies. */
export interface Stored {
  readonly bytes: number
  /** What retention holds there; null where nothing does, or it cannot be told. */
  readonly locked: LockedBytes | null
  /** Present where a price was given. */
  readonly cost?: Cost
}

export interface LockedBytes {
  readonly bytes: number
  /** Each GiB times the years for which it is still locked. */
  readonly gibYears: number
  /** When the last of it is free: ISO 8601 UTC. */
  readonly until: string
}

export interface Cost {
  readonly perMonth: number
  /** Of what is locked, until it is free: nobody can save it any more. */
  readonly committed: number
}

/** The newest state of a collection. */
export interface CollectionTiers {
  readonly collection: string
  /** Absent without vectors. */
  readonly memory?: { readonly held: number; readonly needed: number; readonly least: number }
  readonly cache: CacheBytes | null
  readonly stored: Stored
}

const GIB = 1024 ** 3
const YEAR_MS = 365.25 * 86_400_000
const MONTHS_A_YEAR = 12

/**
 * Looks at budgets, at the cache's folder and at a listing of the blobs; of the heads at nothing
 * but what their manifests say.
 *
 * @throws BAD_INPUT for a price that is none
 */
export async function tiersStatus(
  environment: TiersEnvironment,
  heads: ReadonlyMap<string, Manifest>,
  options: TiersOptions = {},
): Promise<TiersStatus> {
  const { store, memory } = environment
  const account = accountOf(environment, options.pricePerGibMonth)
  const usage = await store.cache?.usage()
  const blobs: Blob[] = []
  for await (const { key, bytes } of store.list('blobs/')) {
    blobs.push({ digest: key.slice(key.lastIndexOf('/') + 1), bytes })
  }
  return {
    ...(memory === undefined ? {} : { memory: { budget: memory.bytes, held: memory.used } }),
    cache:
      usage === undefined ? null : { folder: usage.folder, budget: usage.bytesMax, ...usage.bytes },
    stored: {
      kind: store.capabilities.localFiles ? 'folder' : 'bucket',
      blobs: blobs.length,
      ...account(blobs),
    },
    collections: [...heads].map(([collection, { state }]) => {
      const closure = [...closureOf(state).values()]
      return {
        collection,
        ...memoryOf(options.memoryOf?.(collection), state),
        cache: usage === undefined ? null : cachedOf(usage, closure),
        stored: account(closure),
      }
    }),
  }
}

interface Blob {
  readonly digest: string
  readonly bytes: number
}

function memoryOf(
  memory: SegmentMemory | undefined,
  state: CollectionState,
): Pick<CollectionTiers, 'memory'> {
  const plan = memory?.planFor(state)
  if (memory === undefined || plan === undefined) return {}
  return { memory: { held: memory.heldBytes, needed: plan.bytes, least: plan.least } }
}

function cachedOf({ blobs }: CacheUsage, closure: readonly Blob[]): CacheBytes {
  const sum = { pinned: 0, hot: 0, cold: 0 }
  for (const { digest } of closure) {
    const found = blobs.get(digest)
    sum.pinned += found?.pinned ?? 0
    sum.hot += found?.hot ?? 0
    sum.cold += found?.cold ?? 0
  }
  return sum
}

/** Sums blobs, what of them is locked for how long, and what that costs. */
function accountOf(
  { ledger, clock }: TiersEnvironment,
  price: number | undefined,
): (blobs: readonly Blob[]) => Stored {
  if (price !== undefined && !(Number.isFinite(price) && price >= 0)) {
    throw new AkidbError('BAD_INPUT', `a price per GiB and month is a number from 0, not ${price}`)
  }
  const ends = new Map<string, number>()
  for (const [key, { retention }] of ledger?.expected ?? []) {
    if (retention === undefined || !key.startsWith('blobs/')) continue
    const digest = key.slice(key.lastIndexOf('/') + 1)
    ends.set(digest, Math.max(ends.get(digest) ?? 0, retention.untilMs))
  }
  const nowMs = clock.nowMs()
  return (blobs) => {
    let [bytes, lockedBytes, gibYears, untilMs] = [0, 0, 0, 0]
    for (const blob of blobs) {
      bytes += blob.bytes
      const endMs = ends.get(blob.digest) ?? 0
      if (endMs <= nowMs) continue
      lockedBytes += blob.bytes
      gibYears += (blob.bytes / GIB) * ((endMs - nowMs) / YEAR_MS)
      untilMs = Math.max(untilMs, endMs)
    }
    const until = new Date(untilMs).toISOString()
    const locked = untilMs === 0 ? null : { bytes: lockedBytes, gibYears, until }
    if (price === undefined) return { bytes, locked }
    const committed = gibYears * MONTHS_A_YEAR * price
    return { bytes, locked, cost: { perMonth: (bytes / GIB) * price, committed } }
  }
}
