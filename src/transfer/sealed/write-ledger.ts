import { parseCheckpoint } from '../../audit/checkpoint.ts'
import { encodeFrames } from '../../audit/frames.ts'
import { auditKeys, certificateKey } from '../../audit/layout.ts'
import { type AuditLog, openAuditLog } from '../../audit/log.ts'
import { parseProof } from '../../audit/proof.ts'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import { logIds } from '../../db/open/audit-ops.ts'
import { AUDIT_LOCK, type OpenEnvironment } from '../../db/open/open-environment.ts'
import type { Ledger } from '../../db/sealed/ledger.ts'
import {
  encodeSeal,
  SEAL_FORMAT,
  type SealedObject,
  type SealHead,
  sealKeyOf,
  sealProofKey,
} from '../../db/sealed/seal-record.ts'
import { randomHex } from '../../db/states/environment.ts'
import type { OpenedStore } from '../../db/store.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { Retention, SealedBody, SealedStore, SealOptions } from '../../storage/object-store.ts'
import { newestAnchor } from './bucket-log.ts'
import { findVersion } from './find-version.ts'
import { retentionChange } from './retention.ts'

/** When and where an act was, and which of several. */
type ActFacts = Pick<SealHead, 'target' | 'logId' | 'sealedAt' | 'actId'>

/** What an act on a target has to tell. */
export interface LedgerEntry {
  readonly head: Omit<SealHead, keyof ActFacts | 'format' | 'objects'>
  /** What it sealed or changed, in any order. */
  readonly objects: readonly SealedObject[]
  /** For the audit entry. */
  readonly details: Readonly<Record<string, unknown>>
}

export interface LedgerWriter {
  readonly environment: OpenEnvironment
  readonly target: SealedStore
  readonly ledger: Ledger
  /** What the records, the log and its anchors are sealed with. */
  readonly seal: SealOptions
}

/** Where the ledger stands after an act. */
export interface LedgerMark {
  /** Digests of the seal records. */
  readonly seals: readonly string[]
  /** The checkpoint that covers the entry which names them. */
  readonly anchor: { readonly key: string; readonly versionId: string; readonly size: number }
}

/**
 * Tells in the target what an act sealed: the records, an audit entry that names them, the log up
 * to that entry, a checkpoint over it (the anchor), and last the proofs, without which no record
 * counts. Killed anywhere in between, the act is as if it had not been told, and the next one tells
 * it.
 *
 * @throws AUDIT_BROKEN where the bucket's log is not the beginning of this one
 */
export async function writeLedger(writer: LedgerWriter, entry: LedgerEntry): Promise<LedgerMark> {
  const { environment, target, ledger } = writer
  const audit = await environment.audit()
  const since = await anchoredSize(writer, audit)
  const sealedAt = new Date(await target.nowMs()).toISOString()
  const actId = randomHex(environment, 8)
  const facts = { target: ledger.file.id, logId: audit.logId, sealedAt, actId }
  const records = recordsOf(entry, facts)
  const seals: string[] = []
  for (const bytes of records) {
    const digest = sha256Hex(bytes)
    await sealSmall(writer, sealKeyOf(digest), bytes)
    seals.push(digest)
  }
  const details = { ...entry.details, seals, target: ledger.file.id, logId: audit.logId }
  const { actor } = environment
  const act = entry.head.act === 'push' ? 'push' : `worm.${entry.head.act}`
  const event = { act, phase: 'event', actor, details } as const
  const { seq } = await audit.append([event])
  await audit.checkpoint()
  const proof = await audit.prove(seq)
  const { note } = parseProof(proof)
  await sealLogKey(writer, audit.logId)
  await sealOtherLogs(writer, audit.logId)
  const anchor = await sealLog(writer, { audit, since, note })
  for (const digest of seals) await sealSmall(writer, sealProofKey(digest), proof)
  return { seals, anchor }
}

/**
 * Brings the log to the bucket as far as it goes now, with a checkpoint over it.
 *
 * @throws AUDIT_BROKEN where the bucket's log is not the beginning of this one
 */
export async function anchorLog(writer: LedgerWriter): Promise<LedgerMark['anchor']> {
  const audit = await writer.environment.audit()
  const since = await anchoredSize(writer, audit)
  const { note } = await audit.checkpoint()
  await sealLogKey(writer, audit.logId)
  await sealOtherLogs(writer, audit.logId)
  return await sealLog(writer, { audit, since, note })
}

function recordsOf({ head, objects }: LedgerEntry, facts: ActFacts): Uint8Array[] {
  const sorted = objects.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  const count = Math.max(1, Math.ceil(sorted.length / limits.sealObjectsMax))
  if (count > limits.sealRecordsMax) {
    throw new AkidbError('LIMIT', `${sorted.length} objects are too many for one push`, {
      hint: 'Push collection by collection.',
      details: { limit: 'sealRecordsMax' },
    })
  }
  return Array.from({ length: count }, (_, i) => {
    const some = sorted.slice(i * limits.sealObjectsMax, (i + 1) * limits.sealObjectsMax)
    const isLast = i === count - 1
    // The states count when all their objects are told of.
    const collections = isLast ? head.collections : []
    const full = { format: SEAL_FORMAT, ...facts, ...head, collections, objects: some.length }
    return encodeSeal({ head: full as SealHead, objects: some })
  })
}

/**
 * Whether the bucket's log is the beginning of this store's: asked before anything is sent.
 *
 * @throws AUDIT_BROKEN where it is not
 */
export async function checkOwnLog(
  { environment }: OpenedStore,
  target: SealedStore,
  ledger: Ledger,
): Promise<void> {
  await anchoredSize({ target, ledger }, await environment.audit())
}

/** How much of this log the bucket has already, by its newest anchor. @throws AUDIT_BROKEN */
async function anchoredSize(
  { target, ledger }: Pick<LedgerWriter, 'target' | 'ledger'>,
  audit: AuditLog,
): Promise<number> {
  const newest = await newestAnchor(target, ledger, audit.logId)
  if (newest === undefined) return 0
  await audit.refresh()
  const isOurs = newest.size <= audit.size && (await audit.rootAt(newest.size)) === newest.root
  if (isOurs) return newest.size
  const what =
    newest.size > audit.size
      ? `has ${audit.size} entries, and ${newest.size} are anchored there: it was cut`
      : `is not the log whose first ${newest.size} entries are anchored there: it was rewritten`
  throw new AkidbError('AUDIT_BROKEN', `audit log ${audit.logId} ${what}`, {
    hint: `Compare them with: akidb audit verify ${target.url}`,
    details: { anchor: newest.key, size: audit.size },
  })
}

/** The log's key, and the certificate of it: who trusts the certifier trusts the log. */
async function sealLogKey(writer: LedgerWriter, logId: string): Promise<void> {
  const { store } = writer.environment
  for (const key of [`audit/${logId}/key.pem`, certificateKey(logId)]) {
    if (writer.ledger.small.has(key)) continue
    const bytes = await getBounded(store, key, limits.auditKeyBytesMax).catch((error: unknown) => {
      // Without the key `default` nobody certified it.
      if (hasCode(error, 'NOT_FOUND')) return undefined
      throw error
    })
    if (bytes !== undefined) await sealSmall(writer, key, bytes)
  }
}

/**
 * Logs of other state folders that the store's manifests may name: their entries as far as their
 * own checkpoint goes.
 */
async function sealOtherLogs(writer: LedgerWriter, own: string): Promise<void> {
  const { store, clock, locks, lockWaitMs } = writer.environment
  for (const logId of await logIds(store)) {
    const keys = auditKeys(`audit/${logId}`)
    if (logId === own || (await store.head(keys.checkpoint)) === undefined) continue
    const lock = () => locks.acquire(AUDIT_LOCK, lockWaitMs)
    const audit = await openAuditLog({ store, prefix: keys.folder, origin: '', lock, clock })
    const note = await getBounded(store, keys.checkpoint, limits.auditNoteBytesMax)
    await sealLogKey(writer, logId)
    await sealLog(writer, { audit, since: await anchoredSize(writer, audit), note })
  }
}

/** The entries that the bucket lacks, in pieces, then the checkpoint over all of them. */
async function sealLog(
  writer: LedgerWriter,
  { audit, since, note }: { audit: AuditLog; since: number; note: Uint8Array },
): Promise<LedgerMark['anchor']> {
  const { size, root } = parseCheckpoint(note)
  const keys = auditKeys(`audit/${audit.logId}`)
  for (let from = since; from < size; from += limits.auditTileWidth) {
    const to = Math.min(size, from + limits.auditTileWidth)
    const entries: Uint8Array[] = []
    for await (const entry of audit.entryBytes(from, to)) entries.push(entry)
    await sealSmall(writer, keys.piece(from, to), encodeFrames(entries))
  }
  const key = `${keys.anchors}${size}-${Buffer.from(root).toString('hex')}`
  const versionId = await sealSmall(writer, key, note)
  return { key, versionId, size }
}

/**
 * A small object of the ledger; one that an act which was killed left is as good.
 * @throws CONFLICT where somebody put other bytes there
 */
async function sealSmall(
  { target, seal }: LedgerWriter,
  key: string,
  bytes: Uint8Array,
): Promise<string> {
  const body = smallBody(bytes)
  const versionId = await target.seal(key, body, seal)
  if (versionId !== undefined) return versionId
  const there = await findVersion(target, key, body)
  if (there !== undefined) return there.versionId
  throw new AkidbError('CONFLICT', `${target.url}/${key} is there, with other bytes`, {
    hint: `Nothing of akidb writes there twice. See: akidb worm verify ${target.url}`,
    details: { key },
  })
}

/**
 * Puts a legal hold on what the target holds outside `blobs/` and `collections/`, or releases it:
 * what is held after its retention has ended needs its witness.
 */
export async function holdWitness(
  target: SealedStore,
  { small }: Ledger,
  on: boolean,
): Promise<void> {
  await eachAtOnce(small.values(), limits.s3RequestsMax, async ({ key, versions }) => {
    for (const { versionId, isDeleteMarker } of versions) {
      const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
      if (info !== undefined && info.legalHold !== on) {
        await target.setLegalHold(key, versionId, on)
      }
    }
  })
}

/** The ledger of a store that is encrypted is encrypted under its key. */
export function encryptionOf({ file, expected }: Ledger): Pick<SealOptions, 'encryption'> {
  for (const { object } of expected.values()) {
    const { keyId } = object
    if (keyId !== undefined) return { encryption: { keyId, context: { 'akidb-store': file.id } } }
  }
  return {}
}

/** Bytes in memory as a body. */
export const smallBody = (bytes: Uint8Array): SealedBody => ({
  bytes: bytes.length,
  sha256: sha256Hex(bytes),
  open: async function* (offset) {
    yield bytes.subarray(offset)
  },
})

/**
 * Extends what the target holds outside `blobs/` and `collections/` to this retention: a witness
 * must outlive what it testifies to.
 */
export async function extendWitness(
  target: SealedStore,
  ledger: Ledger,
  retention: Retention,
): Promise<void> {
  await eachAtOnce(ledger.small.values(), limits.s3RequestsMax, async ({ key, versions }) => {
    // All of them: which is the sealed one is not asked here, and age does not tell.
    for (const { versionId, isDeleteMarker } of versions) {
      const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
      if (info === undefined) continue
      const { retention: wanted } = retentionChange(key, info.retention, retention)
      if (wanted !== undefined) await target.setRetention(key, versionId, wanted)
    }
  })
}
