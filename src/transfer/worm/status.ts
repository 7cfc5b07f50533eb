import { readLedger, sealedStates } from '../../db/sealed/ledger.ts'
import { manifestKey } from '../../db/states/manifest-store.ts'
import type { Retention, SealedStore } from '../../storage/object-store.ts'
import type { PublicKey } from '../../trust/signer.ts'
import { heldManifests } from './sealed-closure.ts'
import { allKeys } from './verify.ts'

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
  /** Key of the KMS. */
  readonly kmsKey: string | null
  /** Key of the key server that akidb encrypted its blobs under. */
  readonly envelopeKey: string | null
}

export interface WormStatus {
  readonly url: string
  readonly target: string
  readonly seals: number
  /** Seals that no trusted key vouches for. */
  readonly unproven: number
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
  const orphans = { objects: 0, bytes: 0 }
  let lockedMs = 0
  for await (const { key, versions } of allKeys(target)) {
    if (ledger.expected.has(key)) continue
    for (const { bytes, versionId, isDeleteMarker } of versions) {
      orphans.objects++
      orphans.bytes += bytes
      const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
      lockedMs = Math.max(lockedMs, info?.retention?.untilMs ?? 0)
    }
  }
  return {
    url: target.url,
    target: ledger.file.id,
    seals: ledger.seals.length,
    unproven: ledger.unproven.size,
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
      }
    }),
    orphans: {
      ...orphans,
      lockedUntil: lockedMs === 0 ? null : new Date(lockedMs).toISOString(),
    },
  }
}
