import { type Ledger, type SealedState, sealedStates } from '../../db/sealed/ledger.ts'
import { manifestKey } from '../../db/states/manifest-store.ts'
import { snapshotKey } from '../../db/states/snapshots.ts'
import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { closureOf } from '../../format/closure.ts'
import type { SealedStore } from '../../storage/object-store.ts'
import { sealedManifest } from '../pull/receive-sealed.ts'

/** Keys of all that a sealed state names, itself and its snapshots' files included. */
export async function closureKeys(
  target: SealedStore,
  ledger: Ledger,
  state: SealedState,
): Promise<string[]> {
  const manifest = await sealedManifest(target, ledger, state)
  const blobs = [...closureOf(manifest).keys()].map((digest) => blobKey(digest, state.domain))
  const labels = state.labels.map((label) => snapshotKey(state.name, label))
  return [...blobs, ...labels, manifestKey(state.name, state.version)]
}

/** Which of the sealed states an act is about. */
export interface StateChoice {
  /** Absent: all. */
  readonly collections?: readonly string[]
  /** Of a snapshot; absent: every state. */
  readonly snapshot?: string
}

/** @throws NOT_FOUND where there is none */
export function chosenStates(
  ledger: Ledger,
  target: SealedStore,
  { collections, snapshot }: StateChoice,
): SealedState[] {
  const all = sealedStates(ledger)
  const names = collections ?? [...new Set(all.map(({ name }) => name))]
  const chosen = all.filter(
    ({ name, labels }) =>
      names.includes(name) && (snapshot === undefined || labels.includes(snapshot)),
  )
  const absent = names.filter((name) => !chosen.some((state) => state.name === name))
  if (absent.length === 0 && chosen.length > 0) return chosen
  const what = snapshot === undefined ? '' : ` with the snapshot "${snapshot}"`
  const which = absent.map((name) => `"${name}"`).join(', ') || 'a collection'
  throw new AkidbError('NOT_FOUND', `${target.url} does not hold ${which}${what}`, {
    hint: `akidb worm status ${target.url} shows what there is, by keys that are trusted.`,
  })
}

/** Digests of the manifests that a legal hold was put on, and not released. */
export function heldManifests({ seals }: Ledger): ReadonlySet<string> {
  const held = new Set<string>()
  for (const { head } of seals) {
    for (const { manifest } of head.collections) {
      if (head.legalHold === true) held.add(manifest)
      else if (head.legalHold === false) held.delete(manifest)
    }
  }
  return held
}
