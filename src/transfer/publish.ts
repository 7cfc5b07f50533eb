import type { HeadCollection } from '../bundle/head.ts'
import { limits } from '../core/limits.ts'
import { object, ShapeError, text, whole } from '../core/shape.ts'
import { headMoved } from '../db/collection/append.ts'
import { type CollectionCore, commitLockName } from '../db/collection/collection-core.ts'
import { diffStates } from '../db/collection/diff.ts'
import { countOf } from '../db/collection/history.ts'
import {
  checkName,
  collectionNames,
  createLockName,
  refuseTaken,
} from '../db/collection/lifecycle.ts'
import type { Act } from '../db/states/acts.ts'
import { commitManifest } from '../db/states/commit.ts'
import { type NameClaim, withNameClaim } from '../db/states/name-claim.ts'
import type { WriterPin } from '../db/states/pins.ts'
import type { OpenedStore } from '../db/store.ts'
import { endLogs } from '../db/wal/claim.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { LogPosition, Manifest, OriginEntry } from '../format/manifest.ts'
import { decodeState } from '../format/manifest-codec.ts'
import { getBounded } from '../storage/bounded-get.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { checkState } from './check-state.ts'
import type { Arrivals } from './pull/arrivals.ts'

export interface ImportedCollection {
  readonly name: string
  /** State root before, null where it is new. */
  readonly before: string | null
  readonly after: string
  readonly inserted: number
  readonly deleted: number
}

/** Collections that come from another site, in a bundle or out of a bucket. */
export interface Incoming {
  /** 'bundle' or 'seal', for messages. */
  readonly kind: 'bundle' | 'seal'
  readonly origin: { readonly logId: string; readonly epoch: number }
  /** Number of the entry in the origin's log that tells of it: a lower one is older. */
  readonly sequence: number
  /** Digest of what was signed: the bundle's head, or the seal record. */
  readonly digest: string
  readonly collections: readonly HeadCollection[]
}

/** What importing one collection means here. */
export interface ImportPlan {
  readonly entry: HeadCollection
  /** Its name here. */
  readonly name: string
  readonly before: Manifest | undefined
  readonly stateBytes: Uint8Array
  readonly origin: OriginEntry
  /** It is here already: nothing is committed. */
  readonly done: boolean
}

/**
 * Decides what becomes of each collection before anything is committed (design §6).
 *
 * @throws ROLLBACK for an older bundle of the same origin, CONFLICT where both sides went on,
 *   EXISTS for a name of another collection, INTEGRITY for one collection under two names
 */
export async function planImport(
  store: OpenedStore,
  incoming: Incoming,
  states: ReadonlyMap<string, Uint8Array>,
  options: { readonly as?: string; readonly diverge?: boolean },
): Promise<ImportPlan[]> {
  const { collections, kind } = incoming
  if (options.as !== undefined && collections.length !== 1) {
    throw severalCollections(collections.length)
  }
  if (new Set(collections.map(({ id }) => id)).size !== collections.length) {
    throw new AkidbError('INTEGRITY', `the ${kind} holds one collection under two names`, {
      hint: 'Nothing was published. Ask its origin.',
    })
  }
  const plans: ImportPlan[] = []
  for (const entry of collections) {
    const stateBytes = states.get(entry.stateRoot)
    if (stateBytes === undefined) throw new Error('a verified bundle holds its states')
    const origin = originOf(incoming, entry, options.diverge === true)
    await checkSequence(store.environment.state, incoming, entry)
    plans.push({ entry, stateBytes, origin, ...(await placeOf(store, entry, origin, options.as)) })
  }
  return plans
}

/** `--as` gives one name. */
export const severalCollections = (count: number): AkidbError =>
  new AkidbError('USAGE', `${count} collections come, and --as gives one name`, {
    hint: 'Leave --as out.',
  })

function originOf(incoming: Incoming, entry: HeadCollection, diverge: boolean): OriginEntry {
  const { origin, sequence, digest } = incoming
  return {
    headDigest: digest,
    logId: origin.logId,
    epoch: origin.epoch,
    sequence,
    committedAt: entry.committedAt,
    keyId: origin.logId,
    ...(diverge ? { diverged: true as const } : {}),
  }
}

/** Name here, the head that it advances, and whether there is nothing to do. */
async function placeOf(
  store: OpenedStore,
  entry: HeadCollection,
  origin: OriginEntry,
  as: string | undefined,
): Promise<Pick<ImportPlan, 'name' | 'before' | 'done'>> {
  const wanted = as ?? entry.name
  checkName(wanted)
  let isTaken = false
  for (const name of await collectionNames(store.environment)) {
    const head = await store.core(name).manifests.newest()
    if (head === undefined || head.state.dropped === true) continue
    if (head.commit.collection === entry.id) {
      if (as !== undefined && as !== name) throw alreadyHere(entry, name)
      return { name, before: head, done: advance(name, head, entry, origin) }
    }
    isTaken ||= name.toLowerCase() === wanted.toLowerCase()
  }
  // Only now: it may be here under a name that comes later.
  if (isTaken) throw otherCollection(wanted)
  return { name: wanted, before: undefined, done: false }
}

/** Whether the head is there already. @throws CONFLICT where it went another way */
function advance(
  name: string,
  head: Manifest,
  entry: HeadCollection,
  origin: OriginEntry,
): boolean {
  const followed = head.commit.origin
  const same = head.commit.stateRoot === entry.stateRoot
  if (followed === undefined && same) return true
  const follows = followed !== undefined && followed.diverged !== true
  if (!follows || followed.logId !== origin.logId) {
    throw new AkidbError('CONFLICT', `"${name}" has gone its own way here`, {
      hint: 'Take it under another name into another store, or drop this one first.',
      details: { collection: name, here: head.commit.stateRoot, bundle: entry.stateRoot },
    })
  }
  // What another machine of a shared store took is in the head alone.
  if (followed.sequence > origin.sequence) throw rollback('state', origin, followed)
  const isOther = followed.headDigest !== origin.headDigest
  if (followed.sequence === origin.sequence && isOther) throw twoOf('state', origin)
  return same && !isOther && origin.diverged !== true
}

const alreadyHere = (entry: HeadCollection, name: string): AkidbError =>
  new AkidbError('EXISTS', `"${entry.name}" is here already, as "${name}"`, {
    hint: 'Leave --as out to bring it up to date.',
  })

const otherCollection = (name: string): AkidbError =>
  new AkidbError('EXISTS', `there is another collection called "${name}"`, {
    hint: 'Choose a name for the imported one with --as.',
    details: { collection: name },
  })

/** Highest sequence seen of one collection of one origin. */
interface Seen {
  readonly sequence: number
  readonly headDigest: string
}

const seenShape = object({ sequence: whole(), headDigest: text(/^[0-9a-f]{64}$/) })
const seenKey = (logId: string, collectionId: string): string =>
  `origins/${logId}/${collectionId}.json`

async function readSeen(state: ObjectStore, key: string): Promise<Seen | undefined> {
  try {
    const bytes = await getBounded(state, key, limits.smallFileBytesMax)
    return seenShape(JSON.parse(Buffer.from(bytes).toString('utf8')), key)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    if (error instanceof ShapeError || error instanceof SyntaxError) {
      throw new AkidbError('INTEGRITY', `${key} in the state folder is damaged`, {
        details: { key },
      })
    }
    throw error
  }
}

async function checkSequence(
  state: ObjectStore,
  { origin, sequence, digest, kind }: Incoming,
  entry: HeadCollection,
): Promise<void> {
  const seen = await readSeen(state, seenKey(origin.logId, entry.id))
  if (seen === undefined || sequence > seen.sequence) return
  if (sequence === seen.sequence) {
    if (digest === seen.headDigest) return
    throw twoOf(kind, { sequence })
  }
  throw rollback(kind, { sequence }, seen)
}

interface Numbered {
  readonly sequence: number
}

const twoOf = (what: string, { sequence }: Numbered): AkidbError =>
  new AkidbError('CONFLICT', `two different ${what}s carry sequence ${sequence}`, {
    hint: 'One of them is forged, or its origin was restored from a backup. Ask there.',
  })

const rollback = (what: string, now: Numbered, { sequence }: Numbered): AkidbError =>
  new AkidbError(
    'ROLLBACK',
    `the ${what} (sequence ${now.sequence}) is older than what was taken before (${sequence})`,
    { hint: 'akidb replay opens any older state of a bundle beside the current one.' },
  )

/**
 * Compares every state that is new here with its blobs, before any of them is published: a bundle
 * is taken whole or not at all.
 *
 * @param arriving their blobs, where they may still be coming
 * @throws INTEGRITY, FORMAT_VERSION
 */
export async function checkPlans(
  store: OpenedStore,
  plans: readonly ImportPlan[],
  arriving?: Arrivals,
): Promise<void> {
  for (const { entry, stateBytes, done } of plans) {
    if (done) continue
    const state = decodeState(stateBytes, `state ${entry.stateRoot}`)
    await checkState(store.environment, state, entry.rows, arriving)
  }
}

/**
 * Commits one collection's state, which `checkPlans` has passed, byte for byte, under a line 1 of
 * our own.
 */
export async function publish(
  store: OpenedStore,
  act: Act,
  plan: ImportPlan,
  pin: WriterPin,
): Promise<ImportedCollection> {
  const { entry, name, before } = plan
  const { environment } = store
  const core = store.core(name)
  const state = decodeState(plan.stateBytes, `state ${entry.stateRoot}`)
  const result = { name, before: before?.commit.stateRoot ?? null, after: entry.stateRoot }
  const seen = { sequence: plan.origin.sequence, headDigest: plan.origin.headDigest }
  const remember = async (): Promise<void> => {
    const body = Buffer.from(JSON.stringify(seen))
    const key = seenKey(plan.origin.logId, entry.id)
    await environment.state.put(key, body, { mode: 'replace' })
  }
  if (plan.done) {
    await remember()
    return { ...result, inserted: 0, deleted: 0 }
  }
  const counts = { inserted: 0, updated: 0, deleted: 0 }
  const commit = (claim?: NameClaim) =>
    commitManifest(environment, {
      manifests: core.manifests,
      name,
      lock: before === undefined ? createLockName(name) : commitLockName(entry.id),
      kind: 'import',
      act,
      pin,
      ...(claim === undefined ? {} : { claim }),
      next: async (now) => {
        const current = now?.state.dropped === true ? undefined : now
        if (current?.digest !== before?.digest) throw headMoved(name)
        if (before === undefined) await refuseTaken(environment, name, { live: true })
        const target = { state, commit: { stateRoot: entry.stateRoot } } as Manifest
        if (current === undefined) counts.inserted = await countOf(core, target)
        else Object.assign(counts, await changesOf(core, current, target))
        const next = { state, stateBytes: plan.stateBytes, changed: counts, origin: plan.origin }
        const log = current === undefined && now !== undefined ? await newLog(core, now) : {}
        return { ...next, ...log, collection: entry.id }
      },
    })
  if (before === undefined) await withNameClaim(environment, name, commit)
  else await commit()
  await remember()
  return { ...result, inserted: counts.inserted, deleted: counts.deleted }
}

/**
 * Where a collection of this id was dropped, an owner of its log may live, or have rows that were
 * acknowledged before: they are not rows of what comes now.
 */
async function newLog(
  core: CollectionCore,
  dropped: Manifest,
): Promise<{ readonly epoch: number; readonly log: LogPosition }> {
  const epoch = await endLogs(core, dropped)
  return { epoch, log: { epoch, folded: 0, seen: 0 } }
}

async function changesOf(
  core: Parameters<typeof diffStates>[0],
  from: Manifest,
  to: Manifest,
): Promise<{ inserted: number; updated: number; deleted: number }> {
  const { inserted, updated, deleted } = await diffStates(core, from, to, 0)
  return { inserted, updated, deleted }
}
