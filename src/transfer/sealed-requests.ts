import { type DoctorResult, doctor as storeDoctor } from '../db/doctor/doctor.ts'
import { bucketStateFolder, placeOf, stateFolderOf } from '../db/open/store-place.ts'
import type { StoreRequest } from '../db/open/store-request.ts'
import { targetFile } from '../db/sealed/target.ts'
import { readStoreFile, STORE_FILE, type StoreFile } from '../db/states/store-file.ts'
import { type OpenedStore, openStore } from '../db/store.ts'
import { hasCode } from '../errors/errors.ts'
import { lazyKeyServer } from '../storage/envelope/lazy-key-server.ts'
import { openFsStore } from '../storage/fs-store.ts'
import type { SealedStore } from '../storage/object-store.ts'
import { isS3Url } from '../storage/s3/s3-url.ts'
import { systemRandom } from '../storage/system-random.ts'
import type { PublicKey } from '../trust/signer.ts'
import { withKeyServer } from './key-server.ts'
import type { PullOptions, PullResult } from './pull/pull.ts'
import type { PushOptions, PushResult } from './push/push.ts'
import { type TargetRequest, withTarget } from './sealed/open-target.ts'
import type { RetentionWish } from './sealed/retention.ts'
import type { AnchorResult, BucketAuditResult } from './sealed-audit.ts'
import { trustedKeys } from './trusted-keys.ts'
import type { LockOptions, LockResult } from './worm/change-locks.ts'
import type { WormStatus } from './worm/status.ts'
import type { WormVerification, WormVerifyOptions } from './worm/verify.ts'

// What buckets need is loaded when one is named: every command of the others would wait for it.

/** A store of ours, a sealed one, and what is to be done between them. */
type Between<T> = StoreRequest & TargetRequest & Omit<T, 'signal'>

async function withBoth<T>(
  request: StoreRequest & TargetRequest,
  work: (store: OpenedStore, target: SealedStore) => Promise<T>,
): Promise<T> {
  const { signal: _, ...rest } = request
  return await withTarget(request, async (target) => {
    const store = await openStore({ ...rest, mode: 'write' })
    try {
      return await work(store, target)
    } finally {
      await store.close()
    }
  })
}

export interface PushRequest extends Between<Omit<PushOptions, 'envelope'>> {
  /** Has akidb encrypt the blobs under this key of the key server `kes`, before they are sent. */
  readonly envelopeKey?: string
}

/** Opens store and bucket, pushes (see pushCollections). */
export async function push(request: PushRequest): Promise<PushResult> {
  const { pushCollections } = await import('./push/push.ts')
  const { envelopeKey: keyId, kes = {} } = request
  if (keyId === undefined) {
    return await withBoth(request, (store, target) => pushCollections(store, target, request))
  }
  return await withKeyServer(kes, (server) => {
    const envelope = { keyId, server, random: systemRandom }
    return withBoth(request, (store, target) =>
      pushCollections(store, target, { ...request, envelope }),
    )
  })
}

export type PullRequest = Between<Omit<PullOptions, 'keyServer'>>

/** Opens store and bucket, pulls (see pullCollections). */
export async function pull(request: PullRequest): Promise<PullResult> {
  const { pullCollections } = await import('./pull/pull.ts')
  const keyServer = lazyKeyServer(request.kes)
  const options = keyServer === undefined ? request : { ...request, keyServer }
  try {
    return await withBoth(request, (store, target) => pullCollections(store, target, options))
  } finally {
    keyServer?.close()
  }
}

export type WormLockRequest = Between<LockOptions>

/** Extends, holds or releases what was sealed (see changeLocks). */
export async function wormLock(request: WormLockRequest): Promise<LockResult> {
  const { changeLocks } = await import('./worm/change-locks.ts')
  return await withBoth(request, (store, target) => changeLocks(store, target, request))
}

export type AuditAnchorRequest = Between<{ readonly retain?: RetentionWish }>

/** Seals the audit log alone (see anchorAudit). */
export async function auditAnchor(request: AuditAnchorRequest): Promise<AnchorResult> {
  const { anchorAudit } = await import('./sealed-audit.ts')
  return await withBoth(request, (store, target) => anchorAudit(store, target, request))
}

/** Looks at a store (see db/doctor), or where it is sealed in a bucket, at that. */
export async function doctor(request: StoreRequest): Promise<DoctorResult> {
  const { url, s3 = {}, signal } = request
  if (isS3Url(url)) {
    const at = { target: url, s3, ...(signal === undefined ? {} : { signal }) }
    // One whose store file cannot be read says so best itself.
    const isSealed = await withTarget(at, isSealedThere).catch(
      (error: unknown) => !hasCode(error, 'INTEGRITY', 'FORMAT_VERSION', 'NOT_FOUND'),
    )
    if (isSealed) return await doctorTarget(at)
  }
  return await storeDoctor(request)
}

/** @throws NOT_FOUND where no store of either kind is, as far as its newest file tells */
async function isSealedThere(target: SealedStore): Promise<boolean> {
  // A delete marker or a newer file hides none.
  const sealed = await targetFile(target).catch(() => undefined)
  return sealed !== undefined || (await readStoreFile(target)).kind === 'sealed'
}

/** The store file of a working store. One of a sealed store under it is not hidden by it. */
async function workingFile(target: SealedStore): Promise<StoreFile | undefined> {
  if ((await targetFile(target).catch(() => undefined)) !== undefined) return undefined
  if ((await target.head(STORE_FILE)) === undefined) return undefined
  const file = await readStoreFile(target)
  return file.kind === 'working' ? file : undefined
}

/** Looks whether a bucket can seal (see sealed-doctor.ts). */
export async function doctorTarget(request: TargetRequest): Promise<DoctorResult> {
  return await (await import('./sealed-doctor.ts')).doctorTarget(request)
}

/** Whose keys are trusted where nothing changes: those of a store, if there is one, and files. */
export interface WormReadRequest extends TargetRequest {
  /**
   * Store whose trusted keys count; ignored where there is none. Of one in a bucket, those count
   * that are trusted on this machine for it, and for the target.
   */
  readonly store?: Pick<StoreRequest, 'url' | 'state' | 'stateHome'>
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
}

/** What lies sealed there (see sealedStatus). */
export async function wormStatus(request: WormReadRequest): Promise<WormStatus> {
  const { sealedStatus } = await import('./worm/status.ts')
  return await withTarget(request, async (target) =>
    sealedStatus(target, await keysFor(target, request)),
  )
}

/** Whether all of it is as it was sealed (see verifySealed). */
export async function wormVerify(
  request: WormReadRequest & WormVerifyOptions,
): Promise<WormVerification> {
  const { verifySealed } = await import('./worm/verify.ts')
  return await withTarget(request, async (target) =>
    verifySealed(target, await keysFor(target, request), request),
  )
}

/**
 * Compares the logs of a bucket with themselves, and with those of a store (verifyBucketLogs), or
 * those of a working store that lies there with this machine's own (verifyWorkingLogs).
 */
export async function wormVerifyAudit(request: WormReadRequest): Promise<BucketAuditResult> {
  const { verifyBucketLogs } = await import('./sealed-audit.ts')
  return await withTarget(request, async (target) => {
    const { store, signal } = request
    const file = await workingFile(target)
    if (file !== undefined) return await verifyWorking(target, file, request)
    const isLocal = store !== undefined && !isS3Url(store.url)
    const local = isLocal ? openFsStore(store.url, { mode: 'read' }) : undefined
    return await verifyBucketLogs(target, await keysFor(target, request), {
      ...(local === undefined ? {} : { local }),
      ...(signal === undefined ? {} : { signal }),
    })
  })
}

async function verifyWorking(
  target: SealedStore,
  file: StoreFile,
  { store, keyFiles, s3, signal }: WormReadRequest,
): Promise<BucketAuditResult> {
  const { verifyWorkingLogs } = await import('./working-audit.ts')
  const own = bucketStateFolder(file, isS3Url(store?.url ?? '') ? (store ?? {}) : homeOf(store))
  const trusted = [
    ...(await trustedKeys(keyFiles, async () => own)),
    ...(store === undefined || isS3Url(store.url)
      ? []
      : await keysFor(target, { store, keyFiles: [], s3 })),
  ]
  return await verifyWorkingLogs(target, {
    trusted,
    state: openFsStore(own, { mode: 'read' }),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Of another store only where state folders lie is taken. */
const homeOf = ({ stateHome }: Pick<StoreRequest, 'stateHome'> = {}) =>
  stateHome === undefined ? {} : { stateHome }

async function keysFor(
  target: SealedStore,
  { store, keyFiles, s3, signal }: Omit<WormReadRequest, 'target'>,
): Promise<PublicKey[]> {
  const ofTarget = () => (store === undefined ? undefined : stateOf(target, store))
  const keys = await trustedKeys(keyFiles, ofTarget)
  if (store === undefined || !isS3Url(store.url) || placeOf(store.url) === target.url) return keys
  // A working store in a bucket has keys of its own on this machine.
  const at = { target: store.url, s3, ...(signal === undefined ? {} : { signal }) }
  const ofStore = async () => {
    const file = await withTarget(at, workingFile)
    return file === undefined ? undefined : bucketStateFolder(file, store)
  }
  return [...keys, ...(await trustedKeys([], ofStore))]
}

/** Undefined for a bucket in which nothing was sealed yet. */
async function stateOf(
  target: SealedStore,
  store: NonNullable<WormReadRequest['store']>,
): Promise<string | undefined> {
  if (!isS3Url(store.url)) return stateFolderOf(store.url, store.state)
  const file = await targetFile(target)
  return file === undefined ? undefined : bucketStateFolder(file, store)
}
