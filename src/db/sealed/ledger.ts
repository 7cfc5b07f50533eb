import { auditKeys } from '../../audit/layout.ts'
import { verifyProof } from '../../audit/proof.ts'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Retention, SealedStore } from '../../storage/object-store.ts'
import type { PublicKey } from '../../trust/signer.ts'
import { STORE_FILE, type StoreFile } from '../states/store-file.ts'
import { trustedLogKeys } from './log-keys.ts'
import {
  decodeSeal,
  type SealedCollection,
  type SealedObject,
  type SealHead,
  type SealRecord,
  sealKeyOf,
  sealOfProofKey,
  sealProofKey,
} from './seal-record.ts'
import {
  byKey,
  type KeyVersions,
  listedFiles,
  readSealed,
  type SmallReads,
  type Unread,
} from './target.ts'

/** A seal record that a trusted log vouches for. */
export interface ProvenSeal {
  readonly digest: string
  readonly head: SealHead
  /** Number of the entry that names it, in the log `head.logId`. */
  readonly seq: number
  /** Key of the checkpoint that its proof leads to. */
  readonly anchor: string
}

/** What an object must be by all that was sealed. */
export interface Expected {
  readonly object: SealedObject
  readonly retention: Retention | undefined
  readonly legalHold: boolean
}

/** A sealed collection, and the seal that says so. */
export interface SealedState extends SealedCollection {
  readonly seal: ProvenSeal
}

/** Everything that a target says of itself and a trusted key vouches for. */
export interface Ledger {
  readonly file: StoreFile
  /** Keys that may sign for its logs. */
  readonly keys: readonly PublicKey[]
  /** Versions of every key outside `blobs/` and `collections/`. */
  readonly small: ReadonlyMap<string, KeyVersions>
  /** In the order in which they were sealed. */
  readonly seals: readonly ProvenSeal[]
  /** Keys of proofs that no trusted key vouches for, and why. */
  readonly unproven: ReadonlyMap<string, string>
  /** Small objects that the server's KMS does not open; reading the logs may find more. */
  readonly unread: Unread
  /** By key. Who reads a ledger for itself may take out what it is done with. */
  readonly expected: Map<string, Expected>
}

/** Keys that a caller trusts; asked for when it is known which store this is. */
export type Trusted = (file: StoreFile) => Promise<readonly PublicKey[]>

/**
 * Reads the ledger of a target: proofs, and the seal records that they prove. One round of
 * listings, then all small objects at once.
 *
 * @throws NOT_FOUND where nothing was pushed there; LIMIT
 */
export async function readLedger(
  target: SealedStore,
  trusted: readonly PublicKey[] | Trusted,
): Promise<Ledger> {
  const small = new Map<string, KeyVersions>()
  await eachAtOnce([STORE_FILE, 'audit/', 'seals/'], limits.s3RequestsMax, async (prefix) => {
    for await (const found of byKey(target.versions(prefix))) {
      // Whoever can write to the bucket can put anything there.
      if (small.size >= limits.sealedWitnessMax) throw flooded(target)
      small.set(found.key, found)
    }
  })
  const reads = { target, unread: new Map<string, AkidbError>() }
  const files = listedFiles(reads, small)
  const own = files.then(async (known) =>
    typeof trusted === 'function' ? (await Promise.all(known.map(trusted))).flat() : trusted,
  )
  const keys = trustedLogKeys(reads, small, own)
  // What fails first is thrown; the others need no listener.
  for (const promise of [files, own, keys]) promise.catch(() => undefined)
  const { proven: all, unproven } = await readSeals({ reads, small, keys })
  const file = ownFile(await files, all)
  const proven = all.filter(({ head }) => head.target === file.id)
  for (const { digest, head } of all) {
    if (head.target === file.id) continue
    unproven.set(sealProofKey(digest), `it is a seal of another store, ${head.target}`)
  }
  const expected = new Map<string, Expected>()
  for (const { record } of proven) expect(expected, record)
  const seals = proven.map(({ record: _, ...seal }) => seal)
  const { unread } = reads
  return { file, keys: await keys, small, seals, unproven, unread, expected }
}

const flooded = ({ url }: SealedStore): AkidbError =>
  new AkidbError('LIMIT', `${url} has more than ${limits.sealedWitnessMax} seals and log objects`, {
    hint: 'Did somebody put other objects under seals/ or audit/? Remove what is not locked.',
    details: { limit: 'sealedWitnessMax' },
  })

/** Of several the one that a seal speaks of. */
const ownFile = (
  files: readonly [StoreFile, ...StoreFile[]],
  proven: readonly ProvenSeal[],
): StoreFile => files.find(({ id }) => proven.some(({ head }) => head.target === id)) ?? files[0]

async function readSeals(parts: Parts): Promise<{
  readonly proven: readonly (ProvenSeal & { readonly record: SealRecord })[]
  readonly unproven: Map<string, string>
}> {
  const unproven = new Map<string, string>()
  const proven: (ProvenSeal & { readonly record: SealRecord })[] = []
  await eachAtOnce(parts.small.values(), limits.s3RequestsMax, async (found) => {
    const digest = sealOfProofKey(found.key)
    if (digest === undefined) return
    try {
      proven.push(await provenSeal(parts, found, digest))
    } catch (error) {
      if (!hasCode(error, 'UNTRUSTED', 'SIGNATURE', 'INTEGRITY', 'NOT_FOUND')) throw error
      unproven.set(found.key, error.message)
    }
  })
  return { proven: proven.sort(compareSeals), unproven }
}

const compareSeals = (a: ProvenSeal, b: ProvenSeal): number =>
  Date.parse(a.head.sealedAt) - Date.parse(b.head.sealedAt) || a.seq - b.seq

interface Parts {
  readonly reads: SmallReads
  readonly small: ReadonlyMap<string, KeyVersions>
  readonly keys: Promise<readonly PublicKey[]>
}

/** It carries its entry, in base64. */
const PROOF_BYTES_MAX = 2 * limits.auditEntryBytesMax + limits.auditNoteBytesMax

/** @throws UNTRUSTED, SIGNATURE, INTEGRITY, NOT_FOUND: why the proof proves nothing */
async function provenSeal(
  parts: Parts,
  proofs: KeyVersions,
  digest: string,
): Promise<ProvenSeal & { record: SealRecord }> {
  const [entry, bytes] = await Promise.all([
    readProof(parts, proofs, digest),
    readRecord(parts, digest),
  ])
  if (bytes === undefined) {
    const failure = parts.reads.unread.get(sealKeyOf(digest))
    if (failure !== undefined) throw failure
    throw new AkidbError('NOT_FOUND', `${sealKeyOf(digest)} cannot be read, though its proof can`)
  }
  // Only now: what nobody vouches for may be of any format.
  const record = decodeSeal(bytes, sealKeyOf(digest))
  const { logId, seq, checkpoint, target } = entry
  if (record.head.logId !== logId || record.head.target !== target) throw noProof(proofs.key)
  const anchor = `${auditKeys(`audit/${logId}`).anchors}${checkpoint}`
  return { digest, head: record.head, seq, anchor, record }
}

async function readProof(
  { reads, keys }: Parts,
  proofs: KeyVersions,
  digest: string,
): Promise<ReturnType<typeof provenEntry>> {
  let failure: unknown
  const entry = await readSealed(reads, proofs, PROOF_BYTES_MAX, async (bytes) => {
    const known = await keys
    try {
      return provenEntry(bytes, known, digest)
    } catch (error) {
      failure ??= error
      return undefined
    }
  })
  if (entry === undefined) throw failure ?? reads.unread.get(proofs.key) ?? noProof(proofs.key)
  return entry
}

async function readRecord({ reads, small }: Parts, digest: string) {
  const files = small.get(sealKeyOf(digest))
  if (files === undefined) return undefined
  return await readSealed(reads, files, limits.sealBytesMax, (bytes) =>
    sha256Hex(bytes) === digest ? bytes : undefined,
  )
}

/** An entry that names a seal. */
interface ProvenEntry {
  readonly seq: number
  readonly logId: string
  /** Id of the sealed store. */
  readonly target: string
  /** The one over it: size-root. */
  readonly checkpoint: string
}

function provenEntry(bytes: Uint8Array, keys: readonly PublicKey[], digest: string): ProvenEntry {
  const { entry, seq, size, root } = verifyProof(bytes, keys)
  const { seals, target, logId } = (entry.details ?? {}) as Record<string, unknown>
  const names = Array.isArray(seals) && seals.includes(digest)
  if (!names || typeof target !== 'string' || typeof logId !== 'string') throw noProof(digest)
  return { seq, logId, target, checkpoint: `${size}-${root}` }
}

const noProof = (key: string): AkidbError =>
  new AkidbError('UNTRUSTED', `${key} proves no seal of this store`)

/** Later records win; but a lock that was sealed once stays expected. */
function expect(expected: Map<string, Expected>, { head, objects }: SealRecord): void {
  const wanted = retentionOf(head)
  for (const object of objects) {
    const known = expected.get(object.key)
    const before = known?.object.versionId === object.versionId ? known.retention : undefined
    const legalHold = head.legalHold ?? known?.legalHold ?? false
    expected.set(object.key, { object, retention: stronger(before, wanted), legalHold })
  }
  if (expected.size > limits.sealedObjectsMax) {
    throw new AkidbError('LIMIT', `the store holds more than ${limits.sealedObjectsMax} objects`, {
      hint: 'Push to several prefixes.',
      details: { limit: 'sealedObjectsMax' },
    })
  }
}

const retentionOf = ({ retention }: SealHead): Retention | undefined =>
  retention === undefined
    ? undefined
    : { mode: retention.mode, untilMs: Date.parse(retention.until) }

const stronger = (a: Retention | undefined, b: Retention | undefined): Retention | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  const mode = a.mode === 'COMPLIANCE' ? a.mode : b.mode
  return { mode, untilMs: Math.max(a.untilMs, b.untilMs) }
}

/**
 * What holds the small objects that speak for all others: the longest retention of any seal, or
 * `more` where that is longer, under COMPLIANCE, so that the witness outlives what it testifies to.
 */
export function witnessRetention(
  seals: readonly ProvenSeal[],
  more?: Retention,
): Retention | undefined {
  const ends = seals.flatMap(({ head }) => retentionOf(head)?.untilMs ?? [])
  if (more !== undefined) ends.push(more.untilMs)
  if (ends.length === 0) return undefined
  return { mode: 'COMPLIANCE', untilMs: ends.reduce((a, b) => Math.max(a, b), 0) }
}

/** Sealed states, the newest of each collection first. */
export function sealedStates({ seals }: Ledger): SealedState[] {
  const states = new Map<string, SealedState>()
  for (const seal of seals) {
    for (const collection of seal.head.collections) {
      const known = states.get(`${collection.name} ${collection.manifest}`)
      const labels = [...new Set([...(known?.labels ?? []), ...collection.labels])]
      states.set(`${collection.name} ${collection.manifest}`, {
        ...collection,
        labels,
        seal: known?.seal ?? seal,
      })
    }
  }
  return [...states.values()].sort(
    (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) || b.version - a.version,
  )
}
