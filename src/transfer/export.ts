import type { AuditLog } from '../audit/log.ts'
import { createEnvelopeWriter } from '../bundle/bundle-envelope.ts'
import { createBundleFile } from '../bundle/bundle-file.ts'
import { inspectBundle } from '../bundle/inspect.ts'
import { packBundle } from '../bundle/pack.ts'
import type { PackBlob } from '../bundle/pack-blobs.ts'
import { openStoreBlob } from '../bundle/store-blob.ts'
import { isSha256Hex } from '../core/digest.ts'
import type { OnProgress } from '../db/api/api.ts'
import { countOf } from '../db/collection/history.ts'
import { runAct } from '../db/states/acts.ts'
import { missingBlob } from '../db/states/blob-store.ts'
import { createWriterPin, holdState, type WriterPin } from '../db/states/pins.ts'
import { resolveState } from '../db/states/resolve.ts'
import type { OpenedStore } from '../db/store.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import { blobKey } from '../format/blob.ts'
import { closureOf } from '../format/closure.ts'
import type { BlobRef, CollectionState, Manifest } from '../format/manifest.ts'
import { decodeState } from '../format/manifest-codec.ts'
import type { KesAccess } from '../storage/kes/kes-access.ts'
import { LOG_KEY } from '../trust/key-store.ts'
import { certifyLogKey } from '../trust/log-key.ts'
import type { Signer } from '../trust/signer.ts'
import { baseState, exportKey, lastExport, rememberExport } from './exports.ts'
import { type BundleEnvelope, bundleBytes } from './key-server.ts'

/** Where a bundle goes: a file (under a temporary name until it is whole), or a stream. */
export type BundleOutput =
  | { readonly path: string; readonly force: boolean }
  | { readonly write: (bytes: Uint8Array) => Promise<void> }

export interface ExportOptions {
  readonly collections: readonly string[]
  readonly output: BundleOutput
  /**
   * Signs the head; loaded by the caller, so that a locked key is asked for before any work starts.
   */
  readonly signer: Signer
  readonly akidbVersion: string
  readonly snapshot?: string
  /** State root, path of a bundle, or 'last'. */
  readonly since?: string
  readonly to?: string
  /** Leaves graphs out: the receiver builds them anew, byte for byte. */
  readonly noIndex?: boolean
  /** Encrypts the bundle; its keys are the caller's to wipe. */
  readonly envelope?: BundleEnvelope
  /** The key server of an encrypted bundle that `since` names. */
  readonly kes?: KesAccess
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface ExportResult {
  /** '-' for a stream. */
  readonly path: string
  readonly bytes: number
  readonly headDigest: string
  readonly stateRoots: Readonly<Record<string, string>>
  readonly sequence: number
  readonly keyId: string
  readonly baseStateRoots?: Readonly<Record<string, string>>
  /** Key of the key server that the bundle is encrypted under. */
  readonly kmsKey?: string
}

/** One collection on its way out. */
interface Exported {
  readonly name: string
  readonly manifest: Manifest
  readonly rows: number
  readonly base: { readonly root: string; readonly state: CollectionState } | undefined
}

/**
 * Writes collections as one signed bundle. What the write-ahead log holds is committed first.
 *
 * @throws NOT_FOUND (collection, snapshot, base), EXISTS (output), INTEGRITY (a damaged blob),
 *   NO_SPACE, CONFLICT (gc took a state before it was held)
 */
export async function exportBundle(
  store: OpenedStore,
  options: ExportOptions,
): Promise<ExportResult> {
  const pin = createWriterPin(store.environment)
  try {
    return await exportHeld(store, options, pin)
  } finally {
    await pin.release()
  }
}

async function exportHeld(
  store: OpenedStore,
  options: ExportOptions,
  pin: WriterPin,
): Promise<ExportResult> {
  const exported: Exported[] = []
  for (const name of new Set(options.collections)) {
    exported.push(await chosen(store, name, options, pin))
  }
  if (exported.length === 0) throw new AkidbError('USAGE', 'export needs a collection')
  const details = {
    collections: exported.map(({ name, manifest }) => ({
      name,
      stateRoot: manifest.commit.stateRoot,
    })),
    ...(options.to === undefined ? {} : { to: options.to }),
    ...(options.envelope === undefined ? {} : { kmsKey: options.envelope.keyId }),
  }
  const [first] = exported
  const collection = exported.length === 1 && first !== undefined ? { collection: first.name } : {}
  return await runAct(store.environment, { act: 'export', ...collection, details }, async (act) => {
    const result = await writeBundle(store, options, exported, act.point, pin)
    return { result, outcome: { headDigest: result.headDigest, bytes: result.bytes } }
  })
}

async function chosen(
  store: OpenedStore,
  name: string,
  options: ExportOptions,
  pin: WriterPin,
): Promise<Exported> {
  await store.flush(name)
  const core = store.core(name)
  const manifest =
    options.snapshot === undefined ? await core.head() : await resolveState(core, options.snapshot)
  await holdState(pin, core.manifests, manifest)
  const rows = await countOf(core, manifest)
  const root = await baseRoot(store, name, options)
  if (root === undefined) return { name, manifest, rows, base: undefined }
  const bytes = await baseState(core, root)
  return { name, manifest, rows, base: { root, state: decodeState(bytes, `base ${root}`) } }
}

/** The state root that `--since` names for a collection. */
async function baseRoot(
  store: OpenedStore,
  name: string,
  { since, kes, signal }: ExportOptions,
): Promise<string | undefined> {
  if (since === undefined || isSha256Hex(since)) return since
  if (since === 'last') {
    const last = (await lastExport(store.environment.state))?.stateRoots[name]
    if (last !== undefined) return last
    throw new AkidbError('NOT_FOUND', `"${name}" was not exported from here before`, {
      hint: 'Export it in full first, or give a state root or a bundle.',
    })
  }
  const keys = await store.environment.keys.trusted()
  const read = bundleBytes({ path: since }, { name: since, kes, signal })
  const { stateRoots } = await inspectBundle({ read, keys })
  const root = stateRoots[name]
  if (root !== undefined) return root
  throw new AkidbError('NOT_FOUND', `bundle ${since} does not hold "${name}"`)
}

async function writeBundle(
  store: OpenedStore,
  options: ExportOptions,
  exported: readonly Exported[],
  log: { logId: string; size: number; root: string },
  pin: WriterPin,
): Promise<ExportResult> {
  const { environment } = store
  const audit = await environment.audit()
  const file =
    'path' in options.output
      ? await createBundleFile(options.output.path, { replace: options.output.force })
      : undefined
  const plain = 'write' in options.output ? options.output.write : file?.write.bind(file)
  if (plain === undefined) throw new Error('an output writes')
  const { envelope } = options
  const sealed = envelope === undefined ? undefined : createEnvelopeWriter(envelope, plain)
  const logKey = await environment.keys.publicKey(LOG_KEY)
  const { onProgress, signal, to } = options
  const previousHead = (await lastExport(environment.state))?.headDigest ?? null
  try {
    const packed = await packBundle({
      origin: { logId: log.logId, epoch: 0 },
      sequence: log.size,
      previousHead,
      collections: exported.map(headCollection),
      log,
      ...(to === undefined ? {} : { to }),
      states: uniqueStates(exported),
      blobs: packBlobs(store, exported, options.noIndex === true, pin),
      signers: [options.signer],
      logKey,
      logKeyCertificate: certifyLogKey(logKey, [options.signer]),
      akidbVersion: options.akidbVersion,
      proof: (headDigest) => logExport(store, audit, headDigest),
      write: sealed?.write ?? plain,
      ...(onProgress === undefined ? {} : { onProgress: bundleProgress('export', onProgress) }),
      ...(signal === undefined ? {} : { signal }),
    })
    const bytes = (await sealed?.finish()) ?? packed.bytes
    for (const { name, manifest } of exported) {
      await environment.store.put(exportKey(name, packed.headDigest), manifest.stateBytes)
    }
    await file?.commit()
    const stateRoots = rootsOf(exported)
    await rememberExport(environment.state, { headDigest: packed.headDigest, stateRoots })
    return resultOf(options, exported, { ...packed, bytes })
  } catch (error) {
    await file?.abort()
    throw error
  }
}

/** Turns a bundle's progress into the engine's. */
export const bundleProgress =
  (stage: string, onProgress: OnProgress) =>
  (progress: { readonly done: number; readonly total?: number; readonly member?: string }): void =>
    onProgress({
      stage,
      done: progress.done,
      ...(progress.total === undefined ? {} : { total: progress.total }),
      unit: 'bytes',
      ...(progress.member === undefined ? {} : { item: progress.member }),
    })

const headCollection = ({ name, manifest, rows, base }: Exported) => ({
  name,
  id: manifest.commit.collection,
  version: manifest.commit.version,
  committedAt: manifest.commit.committedAt,
  stateRoot: manifest.commit.stateRoot,
  ...(base === undefined ? {} : { baseStateRoot: base.root }),
  rows,
})

const uniqueStates = (exported: readonly Exported[]): Uint8Array[] => [
  ...new Map(
    exported.map(({ manifest }) => [manifest.commit.stateRoot, manifest.stateBytes]),
  ).values(),
]

const rootsOf = (exported: readonly Exported[]): Record<string, string> =>
  Object.fromEntries(exported.map(({ name, manifest }) => [name, manifest.commit.stateRoot]))

/** The complete set; what the base has, and graphs that are left out, is named but not carried. */
function packBlobs(
  store: OpenedStore,
  exported: readonly Exported[],
  noIndex: boolean,
  pin: WriterPin,
): readonly PackBlob[] {
  const blobs = new Map<string, PackBlob>()
  const there = new Set(
    exported.flatMap(({ base }) =>
      [...(base ? closureOf(base.state) : [])].map(([digest]) => digest),
    ),
  )
  for (const { manifest } of exported) {
    for (const [digest, ref] of closureOf(manifest)) {
      const left = there.has(digest) || (noIndex && ref.role === 'graph')
      const open = openHeld(store, ref, pin)
      blobs.set(digest, left ? { ref } : { ref, open })
    }
  }
  return [...blobs.values()]
}

/** A blob's bytes. Long exports renew the pin before each. @throws INTEGRITY where it is missing */
const openHeld = (store: OpenedStore, ref: BlobRef, pin: WriterPin) => {
  const open = openStoreBlob(store.environment.store, blobKey(ref.digest))
  return async function* (offset: number): AsyncIterable<Uint8Array> {
    await pin.renew()
    try {
      yield* open(offset)
    } catch (error) {
      throw hasCode(error, 'NOT_FOUND') ? missingBlob(ref, error) : error
    }
  }
}

/** Logs the export of this very head and proves that entry under a checkpoint that covers it. */
async function logExport(
  store: OpenedStore,
  audit: AuditLog,
  headDigest: string,
): Promise<Uint8Array> {
  const { actor } = store.environment
  const details = { headDigest }
  const { seq } = await audit.append([{ act: 'export', phase: 'event', actor, details }])
  await audit.checkpoint()
  return await audit.prove(seq)
}

function resultOf(
  options: ExportOptions,
  exported: readonly Exported[],
  packed: Awaited<ReturnType<typeof packBundle>>,
): ExportResult {
  const bases = exported.flatMap(({ name, base }) =>
    base === undefined ? [] : [[name, base.root]],
  )
  return {
    path: 'path' in options.output ? options.output.path : '-',
    bytes: packed.bytes,
    headDigest: packed.headDigest,
    stateRoots: rootsOf(exported),
    sequence: packed.head.sequence,
    keyId: options.signer.key.keyId,
    ...(bases.length === 0 ? {} : { baseStateRoots: Object.fromEntries(bases) }),
    ...(options.envelope === undefined ? {} : { kmsKey: options.envelope.keyId }),
  }
}
