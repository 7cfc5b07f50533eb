import type { AuditProblem } from '../audit/problems.ts'
import { type AuditVerification, verifyAuditLog } from '../audit/verify.ts'
import type { OnProgress } from '../db/api/api.ts'
import { logIds } from '../db/open/audit-ops.ts'
import { namedPositions, type OpenEnvironment } from '../db/open/open-environment.ts'
import { readLedger, witnessRetention } from '../db/sealed/ledger.ts'
import { newTargetFile, targetFile } from '../db/sealed/target.ts'
import { runAct } from '../db/states/acts.ts'
import { randomHex } from '../db/states/environment.ts'
import { STORE_FILE } from '../db/states/store-file.ts'
import type { OpenedStore } from '../db/store.ts'
import type { ObjectStore, SealedStore, SealOptions } from '../storage/object-store.ts'
import type { PublicKey } from '../trust/signer.ts'
import { type Anchor, bucketLogIds, verifyBucketLog } from './sealed/bucket-log.ts'
import { type RetentionWish, retainUntilMs } from './sealed/retention.ts'
import {
  anchorLog,
  checkOwnLog,
  encryptionOf,
  extendWitness,
  smallBody,
} from './sealed/write-ledger.ts'

/** What was found of one log, in the bucket and here. */
export interface BucketLogResult {
  readonly logId: string
  /** Entries in the bucket. */
  readonly entries: number
  readonly root: string
  /** Entries of the same log in the store that was given; null where it has none. */
  readonly entriesHere: number | null
  readonly anchors: number
}

export interface BucketAuditResult
  extends Pick<AuditVerification, 'ok' | 'entries' | 'root' | 'checkpoints' | 'problems'> {
  readonly logs: readonly BucketLogResult[]
}

/** A store whose own logs are compared with the bucket's. */
export type LocalLogs = ObjectStore

/**
 * Verifies the logs of a sealed store by themselves and against their anchors; and those of them
 * that a local store has too, against the same anchors: a local log that was cut is TRUNCATED, one
 * whose entries were changed ALTERED, one that was written anew FORKED.
 *
 * @throws NOT_FOUND where nothing was sealed there
 */
export async function verifyBucketLogs(
  target: SealedStore,
  trusted: readonly PublicKey[],
  options: {
    readonly local?: LocalLogs
    readonly onProgress?: OnProgress
    readonly signal?: AbortSignal
  } = {},
): Promise<BucketAuditResult> {
  const ledger = await readLedger(target, trusted)
  const here = new Set(options.local === undefined ? [] : await logIds(options.local))
  const problems: AuditProblem[] = []
  const logs: BucketLogResult[] = []
  let [ok, checkpoints] = [true, 0]
  for (const logId of bucketLogIds(ledger)) {
    const bucket = await verifyBucketLog(target, ledger, logId)
    ok &&= bucket.ok
    checkpoints += bucket.checkpoints
    problems.push(...bucket.problems.map((each) => placed('in the bucket', each)))
    const local = here.has(logId)
      ? await verifyLocal(options, { logId, keys: ledger.keys, anchors: bucket.anchors })
      : undefined
    ok &&= local?.ok ?? true
    problems.push(...(local?.problems ?? []).map((each) => placed('here', each)))
    logs.push({
      logId,
      entries: bucket.entries,
      root: bucket.root,
      entriesHere: local?.entries ?? null,
      anchors: bucket.anchors.length,
    })
  }
  const entries = logs.reduce((sum, log) => sum + log.entries, 0)
  return { ok, entries, root: logs[0]?.root ?? '', checkpoints, problems, logs }
}

const placed = (where: string, { code, seq, message }: AuditProblem): AuditProblem => ({
  code,
  seq,
  message: `${where}: ${message}`,
})

async function verifyLocal(
  {
    local,
    onProgress,
    signal,
  }: { local?: LocalLogs; onProgress?: OnProgress; signal?: AbortSignal },
  {
    logId,
    keys,
    anchors,
  }: { logId: string; keys: readonly PublicKey[]; anchors: readonly Anchor[] },
): Promise<AuditVerification | undefined> {
  if (local === undefined) return undefined
  return await verifyAuditLog({
    store: local,
    prefix: `audit/${logId}`,
    keys,
    namedPositions: await namedPositions({ store: local }, logId),
    checkpoints: anchors.map(({ note, key }) => ({ note, where: `anchor ${key}` })),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined
      ? {}
      : { onProgress: (entries) => onProgress({ stage: 'audit', done: entries, unit: 'rows' }) }),
  })
}

export interface AnchorResult {
  readonly url: string
  readonly logId: string
  readonly size: number
  readonly key: string
  readonly versionId: string
  /** ISO 8601 UTC; null where nothing locks it. */
  readonly until: string | null
}

/**
 * Seals the log of a store in a bucket, without collections: its entries, and a checkpoint over
 * them under COMPLIANCE. The next entry holds the anchor's version id.
 *
 * @throws RETENTION where the bucket cannot lock; AUDIT_BROKEN, AUTH, UNREACHABLE
 */
export async function anchorAudit(
  store: OpenedStore,
  target: SealedStore,
  { retain }: { readonly retain?: RetentionWish } = {},
): Promise<AnchorResult> {
  const { environment } = store
  return await runAct(environment, { act: 'anchor', details: { url: target.url } }, async () => {
    const nowMs = await target.nowMs()
    const wish =
      retain === undefined
        ? undefined
        : ({ mode: 'COMPLIANCE', untilMs: retainUntilMs(nowMs, retain.forMs) } as const)
    await ensureTarget(environment, target, wish === undefined ? {} : { retention: wish })
    const ledger = await readLedger(target, await environment.keys.trusted())
    const witness = witnessRetention(ledger.seals, wish)
    const retention = witness === undefined ? {} : { retention: witness }
    const seal: SealOptions = { ...retention, ...encryptionOf(ledger) }
    await checkOwnLog(store, target, ledger)
    if (witness !== undefined) await extendWitness(target, ledger, witness)
    const anchor = await anchorLog({ environment, target, ledger, seal })
    const { logId } = await environment.audit()
    const until = witness === undefined ? null : new Date(witness.untilMs).toISOString()
    return { result: { url: target.url, logId, ...anchor, until }, outcome: { ...anchor } }
  })
}

async function ensureTarget(
  environment: OpenEnvironment,
  target: SealedStore,
  seal: SealOptions,
): Promise<void> {
  if ((await targetFile(target)) !== undefined) return
  const bytes = newTargetFile(randomHex(environment, 16), await target.nowMs())
  await target.seal(STORE_FILE, smallBody(bytes), seal)
}
