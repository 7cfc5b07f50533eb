import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import { type Ledger, readLedger, type SealedState, sealedStates } from '../../db/sealed/ledger.ts'
import type { SealedCollection } from '../../db/sealed/seal-record.ts'
import { manifestKey } from '../../db/states/manifest-store.ts'
import type { Retention, SealedStore } from '../../storage/object-store.ts'
import type { PublicKey } from '../../trust/signer.ts'
import { heldManifests } from './sealed-closure.ts'
import { allKeys, isUnread } from './verify.ts'

/** One sealed state in the table. */
export interface SealedRow {
  readonly collection: string
  readonly version: number
  readonly labels: readonly string[]
  /** ISO 8601 UTC. */
  readonly committedAt: string
  readonly sealedAt: string
  readonly stateRoot: string
  readonly rows: number
  readonly objects: number
  readonly bytes: number
  /** Of its manifest, as the ledger says; null: nothing locks it. */
  readonly retention: { readonly mode: Retention['mode']; readonly until: string } | null
  readonly legalHold: boolean
  /** Key of the KMS that its manifest is encrypted under. */
  readonly kmsKey: string | null
  /** Key of the key server that akidb encrypted its blobs under, when it was last pushed. */
  readonly envelopeKey: string | null
  /** Every key of the KMS that its manifest or copies of its blobs are encrypted under, sorted. */
  readonly kmsKeys: readonly string[]
  /** Every key of the key server that copies of its blobs are encrypted under, sorted. */
  readonly envelopeKeys: readonly string[]
  /** Whether copies of its blobs lie there that are encrypted under none of these. */
  readonly plainBlobs: boolean
}

export interface WormStatus {
  readonly url: string
  readonly target: string
  readonly seals: number
  /** Seals that no trusted key vouches for. */
  readonly unproven: number
  /** Of those: seals that the server's KMS does not open; worm verify names the keys. */
  readonly unreadable: number
  /** The newest of each collection first. */
  readonly states: readonly SealedRow[]
  /** What no seal speaks of, and until when the longest of it is locked. */
  readonly orphans: {
    readonly objects: number
    readonly bytes: number
    readonly lockedUntil: string | null
  }
}

/**
 * What lies sealed in a target, by collection, snapshot and date; and what lies there beside it:
 * leftovers of pushes that were killed. Lists, and looks at orphans alone.
 *
 * @throws NOT_FOUND, UNREACHABLE, AUTH
 */
export async function sealedStatus(
  target: SealedStore,
  trusted: readonly PublicKey[],
): Promise<WormStatus> {
  const ledger = await readLedger(target, trusted)
  const held = heldManifests(ledger)
  const keysOf = stateKeys(ledger)
  const orphans = await orphansOf(target, ledger)
  return {
    url: target.url,
    target: ledger.file.id,
    seals: ledger.seals.length,
    unproven: ledger.unproven.size,
    unreadable: [...ledger.unproven.keys()].filter((key) => isUnread(ledger, key)).length,
    states: sealedStates(ledger).map((state) => {
      const expected = ledger.expected.get(manifestKey(state.name, state.version))
      const retention = expected?.retention
      return {
        collection: state.name,
        version: state.version,
        labels: state.labels,
        committedAt: state.committedAt,
        sealedAt: state.seal.head.sealedAt,
        stateRoot: state.stateRoot,
        rows: state.rows,
        objects: state.objects,
        bytes: state.bytes,
        retention:
          retention === undefined
            ? null
            : { mode: retention.mode, until: new Date(retention.untilMs).toISOString() },
        legalHold: held.has(state.manifest),
        kmsKey: expected?.object.keyId ?? null,
        envelopeKey: state.envelopeKey ?? null,
        ...keysOf(state),
      }
    }),
    orphans,
  }
}

async function orphansOf(
  target: SealedStore,
  { expected }: Ledger,
): Promise<WormStatus['orphans']> {
  const orphans = { objects: 0, bytes: 0 }
  let lockedMs = 0
  await eachAtOnce(allKeys(target), limits.s3RequestsMax, async ({ key, versions }) => {
    if (expected.has(key)) return
    for (const { bytes, versionId, isDeleteMarker } of versions) {
      orphans.objects++
      orphans.bytes += bytes
      const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
      lockedMs = Math.max(lockedMs, info?.retention?.untilMs ?? 0)
    }
  })
  return { ...orphans, lockedUntil: lockedMs === 0 ? null : new Date(lockedMs).toISOString() }
}

type StateKeys = Pick<SealedRow, 'kmsKeys' | 'envelopeKeys' | 'plainBlobs'>

/** Of all seals that speak of a state: each push under another key seals its blobs once more. */
function stateKeys({ seals, expected }: Ledger): (state: SealedState) => StateKeys {
  const keyOfDomain = new Map<string, string>()
  for (const [key, { object }] of expected) {
    const domain = /^blobs\/([^/]+)\//.exec(key)?.[1]
    if (domain !== undefined && object.keyId !== undefined) keyOfDomain.set(domain, object.keyId)
  }
  const nameOf = ({ name, manifest }: SealedCollection): string => `${name} ${manifest}`
  const sealed = Map.groupBy(
    seals.flatMap(({ head }) => head.collections),
    nameOf,
  )
  const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort()
  return (state) => {
    const all = sealed.get(nameOf(state)) ?? []
    const manifest = expected.get(manifestKey(state.name, state.version))?.object.keyId
    const ofBlobs = all.flatMap(({ domain }) => keyOfDomain.get(domain) ?? [])
    return {
      kmsKeys: sorted([manifest ?? [], ...ofBlobs].flat()),
      envelopeKeys: sorted(all.flatMap(({ envelopeKey }) => envelopeKey ?? [])),
      plainBlobs: all.some(({ domain }) => domain === '0'),
    }
  }
}
