import type { AuditProblem } from '../audit/problems.ts'
import { createSharedLogs } from '../audit/shared-logs.ts'
import { type AuditVerification, verifyAuditLog } from '../audit/verify.ts'
import { certifiedKey, logIds } from '../db/open/audit-ops.ts'
import { namedLogIds, namedPositions } from '../db/open/open-environment.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import type { PublicKey } from '../trust/signer.ts'
import type { BucketAuditResult, BucketLogResult } from './sealed-audit.ts'

export interface WorkingAuditOptions {
  /** Keys that are trusted. */
  readonly trusted: readonly PublicKey[]
  /** This machine's state folder for the store, with its own log. */
  readonly state: ObjectStore
  readonly signal?: AbortSignal
}

/**
 * Verifies the logs of all machines that change a working store in a bucket, as they lie there, by
 * what the heads of its collections say of them; and this machine's own against its copy there.
 *
 * @throws UNREACHABLE, AUTH
 */
export async function verifyWorkingLogs(
  target: ObjectStore,
  { trusted, state, signal }: WorkingAuditOptions,
): Promise<BucketAuditResult> {
  const bucket = createSharedLogs({ inner: target, state, publishes: false })
  const own = new Set(await logIds(state))
  const [problems, logs]: [AuditProblem[], BucketLogResult[]] = [[], []]
  let [ok, checkpoints] = [true, 0]
  // A log that was removed as a whole is one that a head still names.
  for (const logId of new Set([
    ...(await logIds(bucket)),
    ...(await namedLogIds({ store: bucket })),
  ])) {
    const keys = [...trusted, ...(await certifiedKey(bucket, logId, trusted))]
    const named = await namedPositions({ store: bucket }, logId)
    const verify = async (store: ObjectStore, where: string, also: typeof named) => {
      const prefix = `audit/${logId}`
      const stop = signal === undefined ? {} : { signal }
      const namedHere = [...named, ...also]
      const found = await verifyAuditLog({
        store,
        prefix,
        keys,
        namedPositions: namedHere,
        ...stop,
      })
      ok &&= found.ok
      checkpoints += found.checkpoints
      problems.push(...placed(where, found))
      return found
    }
    const there = await verify(bucket, 'in the bucket', [])
    const { entries, root } = there
    const copy = { size: entries, root, where: 'its copy in the bucket' }
    const here = own.has(logId) ? await verify(state, 'here', [copy]) : undefined
    logs.push({ logId, entries, root, entriesHere: here?.entries ?? null, anchors: 0 })
  }
  const entries = logs.reduce((sum, log) => sum + log.entries, 0)
  return { ok, entries, root: logs[0]?.root ?? '', checkpoints, problems, logs }
}

const placed = (where: string, { problems }: AuditVerification): AuditProblem[] =>
  problems.map(({ code, seq, message }) => ({ code, seq, message: `${where}: ${message}` }))
