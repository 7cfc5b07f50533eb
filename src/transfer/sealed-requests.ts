import { readKeyFiles } from '../db/open/key-ops.ts'
import { openKeys } from '../db/open/state-keys.ts'
import { stateFolderOf } from '../db/open/store-place.ts'
import type { StoreRequest } from '../db/open/store-request.ts'
import { type OpenedStore, openStore } from '../db/store.ts'
import { hasCode } from '../errors/errors.ts'
import { openFsStore } from '../storage/fs-store.ts'
import type { SealedStore } from '../storage/object-store.ts'
import type { PublicKey } from '../trust/signer.ts'
import { type PullOptions, type PullResult, pullCollections } from './pull/pull.ts'
import { type PushOptions, type PushResult, pushCollections } from './push/push.ts'
import { type TargetRequest, withTarget } from './sealed/open-target.ts'
import type { RetentionWish } from './sealed/retention.ts'
import {
  type AnchorResult,
  anchorAudit,
  type BucketAuditResult,
  verifyBucketLogs,
} from './sealed-audit.ts'
import { changeLocks, type LockOptions, type LockResult } from './worm/change-locks.ts'
import { sealedStatus, type WormStatus } from './worm/status.ts'
import { verifySealed, type WormVerification, type WormVerifyOptions } from './worm/verify.ts'

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

export type PushRequest = Between<PushOptions>

/** Opens store and bucket, pushes (see pushCollections). */
export const push = (request: PushRequest): Promise<PushResult> =>
  withBoth(request, (store, target) => pushCollections(store, target, request))

export type PullRequest = Between<PullOptions>

/** Opens store and bucket, pulls (see pullCollections). */
export const pull = (request: PullRequest): Promise<PullResult> =>
  withBoth(request, (store, target) => pullCollections(store, target, request))

export type WormLockRequest = Between<LockOptions>

/** Extends, holds or releases what was sealed (see changeLocks). */
export const wormLock = (request: WormLockRequest): Promise<LockResult> =>
  withBoth(request, (store, target) => changeLocks(store, target, request))

export type AuditAnchorRequest = Between<{ readonly retain?: RetentionWish }>

/** Seals the audit log alone (see anchorAudit). */
export const auditAnchor = (request: AuditAnchorRequest): Promise<AnchorResult> =>
  withBoth(request, (store, target) => anchorAudit(store, target, request))

/** Whose keys are trusted where nothing changes: those of a store, if there is one, and files. */
export interface WormReadRequest extends TargetRequest {
  /** Store whose trusted keys count; ignored where there is none. */
  readonly store?: { readonly url: string; readonly state?: string }
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
}

/** What lies sealed there (see sealedStatus). */
export const wormStatus = (request: WormReadRequest): Promise<WormStatus> =>
  withTarget(request, async (target) => sealedStatus(target, await trustedKeys(request)))

/** Whether all of it is as it was sealed (see verifySealed). */
export const wormVerify = (
  request: WormReadRequest & WormVerifyOptions,
): Promise<WormVerification> =>
  withTarget(request, async (target) => verifySealed(target, await trustedKeys(request), request))

/** Compares the logs of a bucket with themselves, and with those of a store (verifyBucketLogs). */
export const wormVerifyAudit = (request: WormReadRequest): Promise<BucketAuditResult> =>
  withTarget(request, async (target) => {
    const { store, signal } = request
    const local = store === undefined ? undefined : openFsStore(store.url, { mode: 'read' })
    return await verifyBucketLogs(target, await trustedKeys(request), {
      ...(local === undefined ? {} : { local }),
      ...(signal === undefined ? {} : { signal }),
    })
  })

async function trustedKeys({ store, keyFiles }: WormReadRequest): Promise<PublicKey[]> {
  const keys = await readKeyFiles(keyFiles)
  if (store === undefined) return keys
  try {
    return [...keys, ...(await openKeys(stateFolderOf(store.url, store.state)).trusted())]
  } catch (error) {
    // Keys that were given need no store beside them, readable or not.
    if (hasCode(error, 'NOT_FOUND') || (keys.length > 0 && hasCode(error, 'AUTH'))) return keys
    throw error
  }
}
