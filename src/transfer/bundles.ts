import { basename } from 'node:path'
import { readBundleFile } from '../bundle/bundle-file.ts'
import type { BundleHead } from '../bundle/head.ts'
import { type BundleInspection, inspectBundle } from '../bundle/inspect.ts'
import type { BundleSigner } from '../bundle/open-head.ts'
import { type BundleReport, verifyBundle } from '../bundle/verify.ts'
import type { OnProgress } from '../db/api/api.ts'
import { unlock } from '../db/open/key-ops.ts'
import { stateFolderOf } from '../db/open/store-place.ts'
import type { AskPassphrase, StoreRequest } from '../db/open/store-request.ts'
import { openStore } from '../db/store.ts'
import { akidbVersion } from '../storage/package-version.ts'
import type { PublicKey } from '../trust/signer.ts'
import { bundleProgress, type ExportOptions, type ExportResult, exportBundle } from './export.ts'
import { type ImportOptions, type ImportResult, importBundle } from './import.ts'
import { type ReplayOptions, type ReplayResult, replayBundle } from './replay.ts'
import { trustedKeys } from './trusted-keys.ts'

/** Where a bundle comes from: a path, or a stream such as stdin. */
export type BundleInput =
  | { readonly path: string }
  | { readonly name: string; readonly stream: AsyncIterable<Uint8Array> }

const bytesOf = (input: BundleInput): AsyncIterable<Uint8Array> =>
  'path' in input ? readBundleFile(input.path) : input.stream

const nameOf = (input: BundleInput): string => ('path' in input ? basename(input.path) : input.name)

/** What goes into a bundle, and who signs it. */
export interface ExportRequest
  extends StoreRequest,
    Omit<ExportOptions, 'signer' | 'akidbVersion' | 'signal'> {
  /** Name of the signing key. */
  readonly key: string
  readonly passphrase: AskPassphrase
}

/** Opens the store, unlocks the key, exports. */
export async function exportCollections(request: ExportRequest): Promise<ExportResult> {
  const store = await openStore({ ...request, mode: 'write' })
  try {
    const signer = await unlock(store.environment.keys, request.key, request.passphrase)
    return await exportBundle(store, { ...request, signer, akidbVersion: akidbVersion() })
  } finally {
    await store.close()
  }
}

/** A bundle to take, and under which name. */
export interface ImportRequest
  extends StoreRequest,
    Pick<ImportOptions, 'as' | 'diverge' | 'dryRun' | 'onProgress'> {
  readonly input: BundleInput
}

/** Opens the store, imports. */
export async function importCollections(request: ImportRequest): Promise<ImportResult> {
  const store = await openStore({ ...request, mode: 'write' })
  try {
    const { input } = request
    return await importBundle(store, { ...request, name: nameOf(input), read: bytesOf(input) })
  } finally {
    await store.close()
  }
}

/** A bundle to open read-only. */
export interface ReplayRequest extends StoreRequest, Pick<ReplayOptions, 'as' | 'onProgress'> {
  readonly input: BundleInput
}

/** The replayed states; `name` and `stateRoot` are those of the first. */
export interface ReplayedBundle extends ReplayResult {
  /** Address of the state in reading commands: `<name>@<12 hex>`. */
  readonly name: string
  readonly stateRoot: string
}

/** Opens the store, and the states of a bundle beside its own. */
export async function replayCollections(request: ReplayRequest): Promise<ReplayedBundle> {
  const store = await openStore({ ...request, mode: 'write' })
  try {
    const { input } = request
    const options = { ...request, name: nameOf(input), read: bytesOf(input) }
    const { replays } = await replayBundle(store, options)
    const [first] = replays
    if (first === undefined) throw new Error('a bundle holds a collection')
    return { ...first, replays }
  } finally {
    await store.close()
  }
}

/** A bundle to inspect or verify. */
export interface BundleCheckRequest {
  readonly input: BundleInput
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
  /** Store whose trusted keys count; ignored where there is none. */
  readonly store?: { readonly url: string; readonly state?: string }
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

const keysFor = ({ keyFiles, store }: BundleCheckRequest): Promise<PublicKey[]> =>
  trustedKeys(keyFiles, () =>
    store === undefined ? undefined : stateFolderOf(store.url, store.state),
  )

/** Who signed, and whether we trust that key; `name` is null where the key has none here. */
export interface NamedSigner {
  readonly keyId: string
  readonly name: string | null
  readonly trusted: boolean
}

const namedSigner = ({ keyId, name, trusted }: BundleSigner): NamedSigner => ({
  keyId,
  name: name ?? null,
  trusted,
})

/** Every problem found; `ok` where there is none and a trusted key signed. */
export interface BundleVerifyResult
  extends Pick<BundleReport, 'ok' | 'problems' | 'stateRoots' | 'bytes'> {
  readonly signers: readonly NamedSigner[]
  readonly elapsedMs: number
}

/** Verifies a bundle; needs no store. Every problem is reported. */
export async function checkBundle(request: BundleCheckRequest): Promise<BundleVerifyResult> {
  const startedMs = performance.now()
  const { onProgress, signal } = request
  const report = await verifyBundle({
    read: bytesOf(request.input),
    keys: await keysFor(request),
    ...(onProgress === undefined ? {} : { onProgress: bundleProgress('verify', onProgress) }),
    ...(signal === undefined ? {} : { signal }),
  })
  const { ok, problems, stateRoots, bytes } = report
  const signers = report.signers.map(namedSigner)
  const elapsedMs = Math.round(performance.now() - startedMs)
  return { ok, problems, signers, stateRoots, bytes, elapsedMs }
}

/** What a bundle's head says, whoever signed it; `bytes` are those of the blobs that it carries. */
export interface BundleInspectResult
  extends ExportResult,
    Pick<BundleHead, 'kind' | 'origin' | 'previousHead' | 'minimumReader' | 'to'>,
    Pick<BundleHead, 'log' | 'collections' | 'totals'>,
    Pick<BundleInspection, 'trusted' | 'inventory' | 'problems'> {
  readonly signers: readonly NamedSigner[]
}

/** What a bundle says of itself; only its first part is read. */
export async function describeBundle(request: BundleCheckRequest): Promise<BundleInspectResult> {
  const keys = await keysFor(request)
  const found = await inspectBundle({ read: bytesOf(request.input), keys })
  const { head, headDigest, stateRoots, baseStateRoots, trusted, problems } = found
  const signers = found.signers.map(namedSigner)
  return {
    path: 'path' in request.input ? request.input.path : '-',
    bytes: head.totals.carriedBytes,
    headDigest,
    stateRoots,
    sequence: head.sequence,
    keyId: signers[0]?.keyId ?? '',
    ...(baseStateRoots === undefined ? {} : { baseStateRoots }),
    kind: head.kind,
    signers,
    trusted,
    origin: head.origin,
    log: head.log,
    collections: head.collections,
    totals: head.totals,
    ...(head.to === undefined ? {} : { to: head.to }),
    previousHead: head.previousHead,
    minimumReader: head.minimumReader,
    inventory: found.inventory,
    problems,
  }
}
