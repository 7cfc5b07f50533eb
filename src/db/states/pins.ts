import { limits } from '../../core/limits.ts'
import { type Check, list, object, ShapeError, text, whole } from '../../core/shape.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { closureOf } from '../../format/closure.ts'
import type { Manifest } from '../../format/manifest.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { type Environment, randomHex } from './environment.ts'
import type { ManifestStore } from './manifest-store.ts'

/** Blobs or states that somebody is about to name, or is reading: `pins/<id>.json`. */
export interface PinFile {
  readonly id: string
  /** Store's clock; the pin lapses limits.pinLifeMs later. */
  readonly renewedMs: number
  readonly blobs: readonly string[]
  /** Digests of manifests whose closure is held. */
  readonly manifests: readonly string[]
}

/** Digests of blobs and manifests: `gc/<20 digits>.json`, there while that collection runs. */
export interface GcRecord {
  readonly condemned: readonly string[]
}

export const GC_LOCK = 'gc'

const digest = text(/^[0-9a-f]{64}$/)
const pinShape: Check<PinFile> = object({
  id: text(),
  renewedMs: whole(),
  blobs: list(digest),
  manifests: list(digest),
})
const gcShape: Check<GcRecord> = object({ condemned: list(digest) })

/** A writer's pin. Blobs are added before their presence is tested (design §5). */
export interface WriterPin {
  readonly id: string
  add(digests: readonly string[]): Promise<void>
  /**
   * Whether all of it was renewed long before it lapses: asked right before a manifest is written.
   */
  isFresh(): boolean
  /**
   * Renews what is old. @throws CONFLICT where it had lapsed (a machine that slept) and a
   * collection of garbage took a blob
   */
  renew(): Promise<void>
  /** A manifest that was sent may still come: `release` leaves it all to lapse by itself. */
  keep(): void
  /** Never throws: what stays lapses by itself. */
  release(): Promise<void>
}

/** Pins older than this are written anew with the next, long before they lapse. */
const RENEW_MS = limits.pinLifeMs / 4

/** A pin that holds nothing yet, one file an `add`. It lapses by itself where its owner dies. */
export function createWriterPin(environment: Environment): WriterPin {
  const id = randomHex(environment, 8)
  const { store, clock } = environment
  const files: { readonly id: string; readonly blobs: readonly string[]; renewedMs: number }[] = []
  const save = async (file: (typeof files)[number]): Promise<void> => {
    file.renewedMs = clock.nowMs()
    await putPin(environment, { id: file.id, blobs: file.blobs, manifests: [] })
  }
  const isOld = (file: (typeof files)[number]) => clock.nowMs() - file.renewedMs > RENEW_MS
  const renew = async (): Promise<void> => {
    for (const file of files.filter(isOld)) {
      await save(file)
      const { renewedMs } = file
      // Until all of it was found, the next renewal looks again.
      file.renewedMs = 0
      await waitForCollections(environment, file.blobs)
      for (const digest of file.blobs) if (!(await hasBlob(store, digest))) throw lapsed(digest)
      file.renewedMs = renewedMs
    }
  }
  return {
    id,
    add: async (digests) => {
      if (digests.length === 0) return
      const file = { id: `${id}-${files.length}`, blobs: digests, renewedMs: 0 }
      await save(file)
      files.push(file)
      await waitForCollections(environment, digests)
      await renew()
    },
    isFresh: () => !files.some(isOld),
    renew,
    keep: () => void files.splice(0),
    release: async () => {
      for (const file of files.splice(0)) await deletePin(store, file.id)
    },
  }
}

const lapsed = (digest: string): AkidbError =>
  new AkidbError('CONFLICT', `blob ${digest} was taken by a collection of garbage`, {
    hint: 'This command stood still for longer than a pin holds. Run it again.',
    details: { digest },
  })

/** The pin of one state that is read. */
export interface StatePin {
  /** The state was the head right now: see `later`. */
  seen(): void
  /** Whether it is time to renew it, long before it lapses. */
  isOld(): boolean
  /** @throws CONFLICT where it had lapsed and a collection of garbage took the state */
  renew(): Promise<void>
  /** Never throws: what stays lapses by itself. */
  release(): Promise<void>
}

/**
 * Pins a state for a reader: it tests that the state is there after it has pinned it. The head is
 * never waited for: a collection of garbage that runs spares what it found named in its second
 * look, and whoever committed later waited for its end.
 *
 * @param wait for a collection of garbage that has condemned a part of an older state; without, it
 *   is given up at once
 * @param later it was looked up as the head right now, in a store that machines share: what was the
 *   head within limits.gcSharedKeepMs is spared, so that only who reads for long needs a pin
 * @returns undefined where gc takes it or took it
 * @throws LOCKED where that collection goes on for too long
 */
export async function pinManifest(
  environment: Environment,
  manifests: ManifestStore,
  manifest: Manifest,
  { wait, later = false }: { readonly wait: boolean; readonly later?: boolean },
): Promise<StatePin | undefined> {
  const id = randomHex(environment, 8)
  const { store, clock } = environment
  const blobs = [...closureOf(manifest).keys()]
  const { version, name } = manifest.commit
  let renewedMs = clock.nowMs()
  let isPut = false
  const save = async (): Promise<void> => {
    renewedMs = clock.nowMs()
    isPut = true
    await putPin(environment, { id, blobs, manifests: [manifest.digest] })
  }
  const release = async (): Promise<void> => {
    if (isPut) await deletePin(store, id)
  }
  const isThere = async (mayWait: boolean): Promise<boolean> => {
    if ((await manifests.newestVersion()) === version) return true
    const named = [...blobs, manifest.digest]
    return (await waitForCollections(environment, named, mayWait)) && (await manifests.has(version))
  }
  if (!later) {
    await save()
    if (!(await isThere(wait))) {
      await release()
      return undefined
    }
  }
  return {
    seen: () => {
      if (!isPut) renewedMs = clock.nowMs()
    },
    isOld: () => clock.nowMs() - renewedMs > (isPut ? RENEW_MS : limits.gcSharedKeepMs / 4),
    renew: async () => {
      await save()
      if (!(await isThere(true))) throw removed(name, version)
    },
    release,
  }
}

/**
 * Holds a state's blobs for a writer that reads or names them while newer commits may come.
 *
 * @throws CONFLICT where gc took the state meanwhile
 */
export async function holdState(
  pin: WriterPin,
  manifests: ManifestStore,
  manifest: Manifest,
): Promise<void> {
  await pin.add([...closureOf(manifest).keys()])
  if (await manifests.has(manifest.commit.version)) return
  throw removed(manifest.commit.name, manifest.commit.version)
}

const removed = (name: string, version: number): AkidbError =>
  new AkidbError('CONFLICT', `version ${version} of "${name}" was removed by akidb gc`, {
    hint: 'Run the command again.',
    details: { why: STATE_REMOVED },
  })

const STATE_REMOVED = 'gc took the state'

/** Whether gc took a state that was newer once, before it was held: there is a newer one. */
export const isStateRemoved = (error: unknown): boolean =>
  hasCode(error, 'CONFLICT') && error.details.why === STATE_REMOVED

const pinKey = (id: string): string => `pins/${id}.json`

/** A pin guards a running process alone: none outlives a power failure, and so need not its pin. */
async function putPin(
  { store, clock, isShared }: Environment,
  pin: Omit<PinFile, 'renewedMs'>,
): Promise<void> {
  // To ask a bucket for its time is a request, and its own stamp is what counts.
  const renewedMs = isShared === true ? clock.nowMs() : await store.nowMs()
  const file: PinFile = { ...pin, renewedMs }
  await store.put(pinKey(pin.id), Buffer.from(JSON.stringify(file)), {
    mode: 'replace',
    durable: false,
  })
}

const deletePin = async (store: ObjectStore, id: string): Promise<void> => {
  await store.delete(pinKey(id), { durable: false, tidies: true }).catch(() => false)
}

/**
 * Waits until no running collection has condemned one of these blobs. A record whose collector is
 * dead (its lock is free) takes no more blobs, so it need not be waited for.
 *
 * @returns false where one has, and `mayWait` is not
 */
async function waitForCollections(
  environment: Environment,
  digests: readonly string[],
  mayWait = true,
): Promise<boolean> {
  const wanted = new Set(digests)
  const deadline = environment.clock.nowMs() + Math.max(environment.lockWaitMs, limits.lockWaitMs)
  for (;;) {
    const running = await condemnedByRunning(environment, wanted)
    if (!running) return true
    if (!mayWait) return false
    if (environment.clock.nowMs() > deadline) {
      throw new AkidbError('LOCKED', 'a garbage collection holds a blob that this command needs', {
        hint: 'Try again when akidb gc has ended.',
      })
    }
    await environment.clock.sleep(GC_POLL_MS)
  }
}

const GC_POLL_MS = 20

async function condemnedByRunning(
  environment: Environment,
  wanted: ReadonlySet<string>,
): Promise<boolean> {
  const { store, locks, isShared } = environment
  for await (const info of store.list('gc/')) {
    const record = await readGcRecord(store, info.key)
    if (record?.condemned.some((digest) => wanted.has(digest)) !== true) continue
    if (isShared !== true && (await locks.isHeld(GC_LOCK))) return true
    if (isShared === true && !isLapsed(info.modifiedMs, await store.nowMs())) return true
  }
  return false
}

/** Whether a condemned list in a bucket holds nothing any more. Both by the bucket's clock. */
export const isLapsed = (modifiedMs: number, nowMs: number): boolean =>
  modifiedMs + limits.gcRecordLifeMs < nowMs

/** Undefined where it has been closed meanwhile or is not readable as one. */
export async function readGcRecord(store: ObjectStore, key: string): Promise<GcRecord | undefined> {
  const record = await readJson(store, key, gcShape)
  if (record === 'torn') throw unreadable(key)
  return record
}

/**
 * All pins that have not lapsed. One that a power failure tore guards nothing: what wrote it ran on
 * the machine that failed.
 *
 * @param sweep deletes those that have
 */
export async function livePins(
  { store, isShared }: Pick<Environment, 'store' | 'isShared'>,
  { sweep }: { readonly sweep: boolean },
): Promise<readonly PinFile[]> {
  const now = await store.nowMs()
  const pins: PinFile[] = []
  for await (const info of store.list('pins/')) {
    const pin = await readJson(store, info.key, pinShape)
    if (pin === undefined) continue
    // Machines need not agree about the time: what counts is when the bucket took it.
    const renewedMs = isShared === true || pin === 'torn' ? info.modifiedMs : pin.renewedMs
    if (pin !== 'torn' && renewedMs + limits.pinLifeMs >= now) pins.push(pin)
    else if (sweep) await store.delete(info.key)
  }
  return pins
}

async function readJson<T>(
  store: ObjectStore,
  key: string,
  shape: Check<T>,
): Promise<T | 'torn' | undefined> {
  try {
    const bytes = await getBounded(store, key, limits.smallFileBytesMax)
    if (isTorn(bytes)) return 'torn'
    return shape(JSON.parse(Buffer.from(bytes).toString('utf8')), key)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    if (!(error instanceof SyntaxError || error instanceof ShapeError)) throw error
    throw unreadable(key, error)
  }
}

/** Whether a power failure cut it, or left zeros for what was not written: also for all of it. */
const isTorn = (bytes: Uint8Array): boolean => bytes.includes(0) || bytes.at(-1) !== BRACE

/** Ends each JSON object. */
const BRACE = 0x7d

const unreadable = (key: string, cause?: unknown): AkidbError =>
  new AkidbError('INTEGRITY', `${key} is not readable`, {
    hint: 'It only guards running commands; delete it when none runs.',
    details: { key },
    cause,
  })

/** Whether a blob is present. Test only after pinning it. */
export const hasBlob = async (store: ObjectStore, digest: string): Promise<boolean> =>
  (await store.head(blobKey(digest))) !== undefined
