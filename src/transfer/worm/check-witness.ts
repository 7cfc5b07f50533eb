import { auditKeys, certificateKey, parsePieceKey } from '../../audit/layout.ts'
import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import { type Ledger, witnessRetention } from '../../db/sealed/ledger.ts'
import { sealKeyOf, sealProofKey } from '../../db/sealed/seal-record.ts'
import { STORE_FILE } from '../../db/states/store-file.ts'
import type { ObjectVersion, Retention } from '../../storage/object-store.ts'
import { anchorSize, type BucketLog } from '../sealed/bucket-log.ts'
import { type CheckContext, retentionFault } from './check-object.ts'
import { heldManifests } from './sealed-closure.ts'

export type Logs = ReadonlyMap<string, BucketLog>

/**
 * The small objects that speak for all others: there, alone under their keys, locked as long as
 * what they speak of, and on hold where that is.
 */
export async function checkWitness(
  context: CheckContext,
  ledger: Ledger,
  logs: Logs,
): Promise<void> {
  const { problems, nowMs } = context
  const vouched = witnesses(ledger, logs)
  const held = heldWitnesses(ledger)
  const sealed = witnessRetention(ledger.seals)
  for (const [key, isThere] of vouched) {
    const isOver = sealed !== undefined && sealed.untilMs <= nowMs && !held.has(key)
    if (!isThere && !isOver) {
      problems.add('MISSING', key, 'what other objects and the log name is gone')
    }
  }
  await eachAtOnce(ledger.small.values(), limits.s3RequestsMax, async ({ key, versions }) => {
    const objects = versions.filter(({ isDeleteMarker }) => !isDeleteMarker)
    const own: OwnVersion = vouched.has(key) ? await ownOf(context, objects, sealed) : { at: 0 }
    if (own.fault !== undefined) problems.add(own.fault.code, key, own.fault.message)
    if (held.has(key) && own.isHeld === false) {
      problems.add('RELEASED', key, 'its legal hold is gone')
    }
    for (const version of versions) {
      const { isDeleteMarker, modifiedMs, versionId } = version
      const time = new Date(modifiedMs).toISOString()
      if (isDeleteMarker) problems.add('DELETED', key, `a delete marker of ${time} hides it`)
      else if (version !== objects[own.at]) {
        problems.add('SHADOWED', key, `version ${versionId} of ${time} lies beside it`)
      }
    }
  })
}

interface OwnVersion {
  /** Which of the versions it is. */
  readonly at: number
  readonly fault?: ReturnType<typeof retentionFault>
  readonly isHeld?: boolean
}

/**
 * Which version is the one that was written with the seals: the oldest that is locked as they say,
 * since what was planted may look older than it. Where none is, the oldest.
 */
async function ownOf(
  { target, nowMs }: CheckContext,
  versions: readonly ObjectVersion[],
  sealed: Retention | undefined,
): Promise<OwnVersion> {
  let oldest: OwnVersion = { at: 0 }
  for (const [at, { key, versionId }] of versions.entries()) {
    const info = await target.headVersion(key, versionId)
    const fault = retentionFault(nowMs, info?.retention, sealed)
    const isHeld = info?.legalHold === true
    if (fault === undefined) return { at, isHeld }
    if (at === 0) oldest = { at, fault, isHeld }
  }
  return oldest
}

/** Keys, and whether they are there. */
type Witnesses = ReadonlyMap<string, boolean>

/** What proven seals, signed checkpoints and the entries below them need. */
function witnesses({ seals, small }: Ledger, logs: Logs): Witnesses {
  const keys = new Map<string, boolean>()
  const needs = (key: string): unknown => keys.set(key, small.has(key))
  needs(STORE_FILE)
  for (const { digest, anchor } of seals) {
    for (const key of [sealKeyOf(digest), sealProofKey(digest), anchor]) needs(key)
  }
  for (const [logId, { anchors, told }] of logs) {
    const size = anchors.at(-1)?.size ?? 0
    const log = auditKeys(`audit/${logId}`)
    for (const { key } of anchors) needs(key)
    if (size > 0) needs(log.publicKey)
    if (size > 0 && small.has(certificateKey(logId))) needs(certificateKey(logId))
    for (const key of small.keys()) {
      const piece = parsePieceKey(log, key)
      if (piece !== undefined && piece.to <= size) needs(key)
    }
    for (const [digest, isDone] of told) {
      needs(sealKeyOf(digest))
      // An act that was killed left no proof.
      if (isDone) needs(sealProofKey(digest))
    }
  }
  return keys
}

/**
 * What must be on legal hold: all that speaks for the states that are held, up to the act that put
 * the last of them on hold. What was told later needs none of it.
 */
function heldWitnesses(ledger: Ledger): ReadonlySet<string> {
  const held = heldManifests(ledger)
  const holds = ({ head }: Ledger['seals'][number]): boolean =>
    head.legalHold === true && head.collections.some(({ manifest }) => held.has(manifest))
  const seals = ledger.seals.slice(0, ledger.seals.findLastIndex(holds) + 1)
  const keys = new Set(seals.length === 0 ? [] : [STORE_FILE])
  const sizes = new Map<string, number>()
  for (const { digest, anchor, head } of seals) {
    const { anchors, publicKey } = auditKeys(`audit/${head.logId}`)
    const own = [sealKeyOf(digest), sealProofKey(digest), anchor, publicKey]
    for (const key of [...own, certificateKey(head.logId)]) keys.add(key)
    const size = anchorSize(anchors, anchor) ?? 0
    sizes.set(head.logId, Math.max(size, sizes.get(head.logId) ?? 0))
  }
  for (const [logId, size] of sizes) {
    const log = auditKeys(`audit/${logId}`)
    for (const key of ledger.small.keys()) {
      const piece = parsePieceKey(log, key)
      if (piece !== undefined && piece.to <= size) keys.add(key)
    }
  }
  return keys
}
