import { limits } from '../../core/limits.ts'
import type { CollectionCore } from '../../db/collection/collection-core.ts'
import { countOf } from '../../db/collection/history.ts'
import { mergeSegments } from '../../db/rebuild/merge.ts'
import { missingBlob } from '../../db/states/blob-store.ts'
import { manifestKey } from '../../db/states/manifest-store.ts'
import { holdState, type WriterPin } from '../../db/states/pins.ts'
import { listSnapshots, snapshotKey } from '../../db/states/snapshots.ts'
import type { OpenedStore } from '../../db/store.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { closureOf } from '../../format/closure.ts'
import type { BlobRef, Manifest } from '../../format/manifest.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import { smallBody } from '../sealed/write-ledger.ts'
import type { EnvelopedWanted } from './place-envelope.ts'

/** One object that must be in the target. */
export type Wanted = EnvelopedWanted

/** A state that is sealed: the head, or one that a snapshot names. */
export interface PushedState {
  readonly name: string
  readonly manifest: Manifest
  readonly labels: readonly string[]
  readonly rows: number
}

/** What a push has to bring to its target. */
export interface PushPlan {
  readonly states: readonly PushedState[]
  /** All blobs of all states, once each. */
  readonly blobs: readonly Wanted[]
  /** Snapshot files, then manifests: they come when all that they name is there. */
  readonly names: readonly Wanted[]
}

/**
 * Collects the closures of the heads and of every snapshot, and holds them against gc.
 *
 * @param settle whether the write-ahead log is committed and small segments at the end become one
 *   first; otherwise nothing is changed, and rows that only the log holds are not in the plan
 * @throws NOT_FOUND for a collection; CONFLICT where gc took a state before it was held
 */
export async function planPush(
  store: OpenedStore,
  options: {
    readonly collections: readonly string[]
    readonly domain: string
    /** Blobs are sealed in envelopes. */
    readonly envelope?: Wanted['envelope']
    readonly pin: WriterPin
    readonly settle: boolean
    readonly signal?: AbortSignal
  },
): Promise<PushPlan> {
  const states: PushedState[] = []
  for (const name of new Set(options.collections)) {
    const core = store.core(name)
    if (options.settle) {
      await store.flush(name)
      await mergeTail(core, options.signal)
    }
    states.push(...(await statesOf(core, options.pin)))
  }
  const blobs = new Map<string, Wanted>()
  const names = new Map<string, Wanted>()
  for (const state of states) {
    for (const ref of closureOf(state.manifest).values()) {
      const wanted = wantedBlob(store, ref, options)
      blobs.set(wanted.key, wanted)
    }
    for (const label of state.labels) {
      const wanted = await wantedLabel(store, state.name, label)
      names.set(wanted.key, wanted)
    }
  }
  for (const state of states) {
    const wanted = await wantedManifest(store, state)
    names.set(wanted.key, wanted)
  }
  return { states, blobs: [...blobs.values()], names: [...names.values()] }
}

/** A collection that follows another site is that site's to merge. */
async function mergeTail(core: CollectionCore, signal: AbortSignal | undefined): Promise<void> {
  const { origin } = (await core.head()).commit
  if (origin !== undefined && origin.diverged !== true) return
  await mergeSegments(core, { kind: 'tail', ...(signal === undefined ? {} : { signal }) })
}

async function statesOf(core: CollectionCore, pin: WriterPin): Promise<PushedState[]> {
  const head = await core.head()
  const labels = new Map<number, string[]>([[head.commit.version, []]])
  for (const { label, version } of await listSnapshots(core)) {
    labels.set(version, [...(labels.get(version) ?? []), label])
  }
  const states: PushedState[] = []
  for (const [version, named] of labels) {
    const manifest = version === head.commit.version ? head : await core.manifests.read(version)
    await holdState(pin, core.manifests, manifest)
    const rows = await countOf(core, manifest)
    states.push({ name: core.name, manifest, labels: named, rows })
  }
  return states
}

function wantedBlob(
  store: OpenedStore,
  ref: BlobRef,
  {
    domain,
    envelope,
    pin,
  }: {
    readonly domain: string
    readonly envelope?: Wanted['envelope']
    readonly pin: WriterPin
  },
): Wanted {
  const { store: objects } = store.environment
  const held = async function* (offset: number, passing = false): AsyncIterable<Uint8Array> {
    await pin.renew()
    try {
      yield* objects.read(blobKey(ref.digest), { offset, passing })
    } catch (error) {
      throw hasCode(error, 'NOT_FOUND') ? missingBlob(ref, error) : error
    }
  }
  const body = { bytes: ref.bytes, sha256: ref.digest, open: held }
  const sealing = envelope === undefined ? {} : { envelope }
  return { key: blobKey(ref.digest, domain), body, ...sealing }
}

async function wantedLabel(store: OpenedStore, name: string, label: string): Promise<Wanted> {
  const key = snapshotKey(name, label)
  const bytes = await getBounded(store.environment.store, key, limits.smallFileBytesMax)
  return { key, body: smallBody(bytes) }
}

/** The manifest's exact bytes, both lines. @throws INTEGRITY where they are others by now */
async function wantedManifest(store: OpenedStore, state: PushedState): Promise<Wanted> {
  const key = manifestKey(state.name, state.manifest.commit.version)
  const bytes = await getBounded(store.environment.store, key, limits.manifestBytesMax)
  const body = smallBody(bytes)
  if (body.sha256 === state.manifest.digest) return { key, body }
  throw new AkidbError('INTEGRITY', `${key} was altered while it was pushed`, { details: { key } })
}
