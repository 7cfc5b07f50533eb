import { runningSha256 } from '../../core/digest.ts'
import type { Slots } from '../../core/slots.ts'
import type { Expected } from '../../db/sealed/ledger.ts'
import type { SealedObject } from '../../db/sealed/seal-record.ts'
import { isOfKms, type KeyVersions, unreadText, withKeyName } from '../../db/sealed/target.ts'
import { isoTime } from '../../db/states/environment.ts'
import { hasCode } from '../../errors/errors.ts'
import type { Retention, SealedInfo, SealedStore } from '../../storage/object-store.ts'
import type { SealedProblem, SealedProblems } from '../sealed/sealed-problems.ts'

/** What one verification knows and does. */
export interface CheckContext {
  readonly target: SealedStore
  /** By the bucket's clock. */
  readonly nowMs: number
  /** Read every byte. */
  readonly readData: boolean
  /** Objects that are read at once: each takes memory, and more of them are no faster. */
  readonly reads: Slots
  readonly problems: SealedProblems
}

/** 'expired': nothing had to hold it any more, and it is gone. */
export type ObjectVerdict = 'there' | 'gone' | 'expired'

/** Versions and delete markers beside the one that was sealed. */
export function checkAlone(
  { problems }: CheckContext,
  { key, versions }: KeyVersions,
  sealed: SealedObject['versionId'],
): void {
  for (const { versionId, isDeleteMarker, modifiedMs } of versions) {
    if (versionId === sealed) continue
    const time = isoTime(modifiedMs)
    if (isDeleteMarker) problems.add('DELETED', key, `a delete marker of ${time} hides it`)
    else problems.add('SHADOWED', key, `version ${versionId} of ${time} lies beside it`)
  }
}

/** Everything that was sealed of one object against what the store says of it. */
export async function checkObject(
  context: CheckContext,
  key: string,
  expected: Expected,
): Promise<ObjectVerdict> {
  const { target, problems } = context
  const { object } = expected
  const info = await target.headVersion(key, object.versionId)
  if (info === undefined) return checkAbsent(context, key, expected)
  checkBytes(context, info, object)
  checkLock(context, info, expected)
  if (info.keyId !== object.keyId) {
    const [found, sealed] = [keyName(info.keyId), keyName(object.keyId)]
    problems.add('REKEYED', key, `it is encrypted under ${found}, and was sealed under ${sealed}`)
  }
  if (context.readData) await context.reads.run(() => checkContent(context, object))
  return 'there'
}

const keyName = (keyId: string | undefined): string => (keyId === undefined ? 'no key' : keyId)

/** An object that is not there, under no version. */
export function checkAbsent(
  { nowMs, problems }: CheckContext,
  key: string,
  { object, retention, legalHold }: Expected,
): ObjectVerdict {
  if (!legalHold && retention !== undefined && retention.untilMs <= nowMs) return 'expired'
  problems.add('MISSING', key, `version ${object.versionId} is gone`)
  return 'gone'
}

/** What the store says of the bytes. Without a checksum only reading them tells. */
function checkBytes({ problems }: CheckContext, info: SealedInfo, object: SealedObject): void {
  if (info.bytes !== object.bytes) {
    problems.add('ALTERED', object.key, `it is ${info.bytes} bytes long, not ${object.bytes}`)
    return
  }
  const sealed = object.checksum ?? Buffer.from(object.sha256, 'hex').toString('base64')
  if (info.checksum !== undefined && info.checksum !== sealed) {
    problems.add('ALTERED', object.key, `its checksum is ${info.checksum}, not ${sealed}`)
  }
}

function checkLock({ nowMs, problems }: CheckContext, info: SealedInfo, expected: Expected): void {
  const fault = retentionFault(nowMs, info.retention, expected.retention)
  if (fault !== undefined) problems.add(fault.code, info.key, fault.message)
  if (expected.legalHold && !info.legalHold) {
    problems.add('RELEASED', info.key, 'its legal hold is gone')
  }
}

/** How a version is held less than was sealed; undefined where it is not. Over is over. */
export function retentionFault(
  nowMs: number,
  retention: Retention | undefined,
  sealed: Retention | undefined,
): Pick<SealedProblem, 'code' | 'message'> | undefined {
  if (sealed === undefined || sealed.untilMs <= nowMs) return undefined
  if (retention === undefined) {
    return { code: 'UNLOCKED', message: `nothing locks it; sealed ${lockText(sealed)}` }
  }
  const isWeaker = sealed.mode === 'COMPLIANCE' && retention.mode === 'GOVERNANCE'
  // Servers keep retention to the second.
  if (!isWeaker && retention.untilMs >= sealed.untilMs - 1_000) return undefined
  const message = `it is locked ${lockText(retention)}; sealed ${lockText(sealed)}`
  return { code: 'SHORTENED', message }
}

const lockText = ({ mode, untilMs }: Retention): string => `${mode} until ${isoTime(untilMs)}`

async function checkContent(
  { target, problems }: CheckContext,
  object: SealedObject,
): Promise<void> {
  const { key, versionId, bytes, sha256 } = object
  try {
    const digest = runningSha256()
    await target.streamVersion(key, versionId, bytes, (piece) => {
      digest.update(piece)
      return undefined
    })
    if (digest.hex() === sha256) return
    problems.add('ALTERED', key, 'its bytes are not those that were sealed')
  } catch (error) {
    const named = await withKeyName(target, { key, versionId }, error)
    if (!hasCode(named, 'BAD_INPUT', 'NOT_FOUND', 'INTEGRITY')) throw named
    if (isOfKms(named)) problems.add('UNREADABLE', key, unreadText(named))
    else problems.add('ALTERED', key, named.message)
  }
}
