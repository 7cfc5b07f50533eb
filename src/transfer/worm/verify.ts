import { limits } from '../../core/limits.ts'
import { eachAtOnce, Slots } from '../../core/slots.ts'
import type { OnProgress } from '../../db/api/api.ts'
import { type Ledger, readLedger } from '../../db/sealed/ledger.ts'
import { sealKeyOf, sealOfProofKey } from '../../db/sealed/seal-record.ts'
import { byKey, type KeyVersions, unreadText } from '../../db/sealed/target.ts'
import { STORE_FILE } from '../../db/states/store-file.ts'
import type { SealedStore } from '../../storage/object-store.ts'
import type { PublicKey } from '../../trust/signer.ts'
import { bucketLogIds, verifyBucketLog } from '../sealed/bucket-log.ts'
import { type SealedProblem, SealedProblems } from '../sealed/sealed-problems.ts'
import { type CheckContext, checkAbsent, checkAlone, checkObject } from './check-object.ts'
import { checkWitness, type Logs } from './check-witness.ts'

export interface WormVerifyOptions {
  /** Read every byte, and not only what the store says of them. */
  readonly readData?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface WormVerification {
  readonly ok: boolean
  readonly url: string
  readonly seals: number
  /** Sealed objects that are there. */
  readonly objects: number
  readonly bytes: number
  /** Gone after their retention had ended. */
  readonly expired: number
  /** What no seal speaks of: leftovers of a push that was killed, or somebody else's. */
  readonly orphans: { readonly objects: number; readonly bytes: number }
  /** Entries and checkpoints of the audit logs. */
  readonly entries: number
  readonly checkpoints: number
  /** At most limits.sealedProblemsMax. */
  readonly problems: readonly SealedProblem[]
  readonly problemsLeft: number
  readonly elapsedMs: number
}

/**
 * Proves that all that was sealed is there as it was sealed: every object under its version id,
 * with its bytes, lock, hold and key, nothing above it; the seals under a log that a trusted key
 * vouches for, the log whole. Changes nothing. Objects stream by; what was sealed is in memory.
 *
 * @param trusted keys of the caller
 * @throws NOT_FOUND where nothing was sealed there; UNREACHABLE, AUTH
 */
export async function verifySealed(
  target: SealedStore,
  trusted: readonly PublicKey[],
  options: WormVerifyOptions = {},
): Promise<WormVerification> {
  const startedMs = performance.now()
  const ledger = await readLedger(target, trusted)
  const problems = new SealedProblems()
  const readData = options.readData === true
  const reads = new Slots(limits.s3TransfersMax)
  const context = { target, nowMs: await target.nowMs(), readData, reads, problems }
  const logs = await verifyLogs(target, ledger)
  checkSeals(problems, ledger)
  const isVouched = [...logs.values()].some(({ anchors }) => anchors.length > 0)
  if (ledger.seals.length === 0 && !isVouched && problems.ok) {
    problems.add('UNTRUSTED', STORE_FILE, 'no trusted key vouches for anything here')
  }
  const log = checkLogs(context, logs)
  await checkWitness(context, ledger, logs)
  const counts = await checkObjects(context, ledger, options)
  return {
    ok: problems.ok,
    url: target.url,
    seals: ledger.seals.length,
    ...counts,
    ...log,
    problems: problems.list,
    problemsLeft: problems.left,
    elapsedMs: Math.round(performance.now() - startedMs),
  }
}

/** What cannot be read comes first: others may be unproven for it alone. */
function checkSeals(problems: SealedProblems, ledger: Ledger): void {
  const { unread, unproven } = ledger
  for (const key of [...unread.keys()].sort()) {
    const failure = unread.get(key)
    if (failure !== undefined) problems.add('UNREADABLE', key, unreadText(failure))
  }
  for (const [key, why] of unproven) {
    if (!isUnread(ledger, key)) problems.add('UNTRUSTED', key, why)
  }
}

/** Whether a proof, or the record that it proves, is not opened by the server's KMS. */
export const isUnread = ({ unread }: Ledger, proofKey: string): boolean =>
  unread.has(proofKey) || unread.has(sealKeyOf(sealOfProofKey(proofKey) ?? ''))

async function verifyLogs(target: SealedStore, ledger: Ledger): Promise<Logs> {
  const logs = new Map()
  for (const logId of bucketLogIds(ledger)) {
    logs.set(logId, await verifyBucketLog(target, ledger, logId))
  }
  return logs
}

function checkLogs(
  { problems }: CheckContext,
  logs: Logs,
): { entries: number; checkpoints: number } {
  const counts = { entries: 0, checkpoints: 0 }
  for (const [logId, found] of logs) {
    counts.entries += found.entries
    counts.checkpoints += found.checkpoints
    for (const { code, message } of found.problems) {
      // Those are told of every small object; clocks are for `audit verify`.
      if (!['SHADOWED', 'UNREADABLE', 'CLOCK'].includes(code)) {
        problems.add('AUDIT', `audit/${logId}/`, `${code}: ${message}`)
      }
    }
  }
  return counts
}

async function checkObjects(
  context: CheckContext,
  { expected }: Ledger,
  { onProgress, signal }: WormVerifyOptions,
): Promise<Pick<WormVerification, 'objects' | 'bytes' | 'expired' | 'orphans'>> {
  const counts = { objects: 0, bytes: 0, expired: 0, orphans: { objects: 0, bytes: 0 } }
  const total = expected.size
  await eachAtOnce(allKeys(context.target), limits.s3RequestsMax, async (found) => {
    signal?.throwIfAborted()
    const sealed = expected.get(found.key)
    if (sealed === undefined) {
      counts.orphans.objects++
      counts.orphans.bytes += found.versions.reduce((sum, { bytes }) => sum + bytes, 0)
      return
    }
    // What is left in the end was not there; and memory is for what is to come.
    expected.delete(found.key)
    checkAlone(context, found, sealed.object.versionId)
    const verdict = await checkObject(context, found.key, sealed)
    if (verdict === 'there') {
      counts.objects++
      counts.bytes += sealed.object.bytes
    } else if (verdict === 'expired') {
      counts.expired++
    }
    onProgress?.({ stage: 'verify', done: counts.objects, total, unit: 'blobs' })
  })
  for (const [key, sealed] of expected) {
    if (checkAbsent(context, key, sealed) === 'expired') counts.expired++
  }
  return counts
}

/** Everything that can be large in number. */
export async function* allKeys(target: SealedStore): AsyncGenerator<KeyVersions> {
  yield* byKey(target.versions('blobs/'))
  yield* byKey(target.versions('collections/'))
}
