import type { BundleHead } from '../bundle/head.ts'
import { type BundleInspection, inspectBundle } from '../bundle/inspect.ts'
import type { BundleSigner } from '../bundle/open-head.ts'
import { type BundleReport, verifyBundle } from '../bundle/verify.ts'
import type { OnProgress } from '../db/api/api.ts'
import { checkList, checkRequest } from '../db/api/check-call.ts'
import { unlock } from '../db/open/key-ops.ts'
import { type KeysOf, stateFolderFor } from '../db/open/state-folder.ts'
import type { AskPassphrase, StoreRequest } from '../db/open/store-request.ts'
import { openStore } from '../db/store.ts'
import { wipe } from '../storage/envelope/envelope-cipher.ts'
import type { KesAccess } from '../storage/kes/kes-access.ts'
import { akidbVersion } from '../storage/package-version.ts'
import type { PublicKey } from '../trust/signer.ts'
import { bundleProgress, type ExportOptions, type ExportResult, exportBundle } from './export.ts'
import { type ImportOptions, type ImportResult, importBundle } from './import.ts'
import { type BundleInput, bundleBytes, bundleEnvelope, nameOfInput } from './key-server.ts'
import { type ReplayOptions, type ReplayResult, replayBundle } from './replay.ts'
import { trustedKeys } from './trusted-keys.ts'

/** A bundle to read, and the key server of encrypted ones. */
interface BundleRequest {
  readonly input: BundleInput
  /** Absent: an encrypted bundle is refused (AUTH). */
  readonly kes?: KesAccess
}

const bytesOf = (
  request: BundleRequest & { readonly signal?: AbortSignal },
  onEncrypted?: (keyId: string) => void,
): AsyncIterable<Uint8Array> => {
  const { input, kes, signal } = request
  const told = onEncrypted === undefined ? {} : { onEncrypted }
  return bundleBytes(input, { name: nameOfInput(input), kes, signal, ...told })
}

/** What goes into a bundle, and who signs it. */
export interface ExportRequest
  extends StoreRequest,
    Omit<ExportOptions, 'signer' | 'akidbVersion' | 'signal' | 'envelope'> {
  /** Name of the signing key. */
  readonly key: string
  /** Encrypts the bundle under this key of the key server `kes`. */
  readonly kmsKey?: string
  readonly passphrase: AskPassphrase
}

/** Opens the store, unlocks the key, exports. */
export async function exportCollections(request: ExportRequest): Promise<ExportResult> {
  const store = await openStore({ ...request, mode: 'write' })
  try {
    const signer = await unlock(store.environment.keys, request.key, request.passphrase)
    const options = { ...request, signer, akidbVersion: akidbVersion() }
    const { kes = {}, kmsKey, signal } = request
    if (kmsKey === undefined) return await exportBundle(store, options)
    const envelope = await bundleEnvelope(kes, kmsKey, signal)
    try {
      return await exportBundle(store, { ...options, envelope })
    } finally {
      wipe(envelope.keys)
    }
  } finally {
    await store.close()
  }
}

/** A bundle to take, and under which name. */
export interface ImportRequest
  extends StoreRequest,
    BundleRequest,
    Pick<ImportOptions, 'as' | 'diverge' | 'dryRun' | 'onProgress'> {
  readonly signal?: AbortSignal
}

/** Opens the store, imports. */
export async function importCollections(request: ImportRequest): Promise<ImportResult> {
  const store = await openStore({ ...request, mode: 'write' })
  try {
    const read = bytesOf(request)
    return await importBundle(store, { ...request, name: nameOfInput(request.input), read })
  } finally {
    await store.close()
  }
}

/** A bundle to open read-only. */
export interface ReplayRequest
  extends StoreRequest,
    BundleRequest,
    Pick<ReplayOptions, 'as' | 'onProgress'> {
  readonly signal?: AbortSignal
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
    const options = { ...request, name: nameOfInput(request.input), read: bytesOf(request) }
    const { replays } = await replayBundle(store, options)
    const [first] = replays
    if (first === undefined) throw new Error('a bundle holds a collection')
    return { ...first, replays }
  } finally {
    await store.close()
  }
}

/** A bundle to inspect or verify. */
export interface BundleCheckRequest extends BundleRequest {
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
  /** Store whose trusted keys count; ignored where there is none. */
  readonly store?: KeysOf
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

async function keysFor(request: BundleCheckRequest): Promise<PublicKey[]> {
  checkRequest('verifyBundle', request)
  const { keyFiles, store } = request
  checkList('keyFiles', keyFiles)
  return await trustedKeys(keyFiles, () =>
    store === undefined ? undefined : stateFolderFor(store),
  )
}

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
  /** Key of the key server that it is encrypted under; `bytes` and offsets are those within. */
  readonly kmsKey?: string
}

/** Verifies a bundle; needs no store. Every problem is reported. */
export async function checkBundle(request: BundleCheckRequest): Promise<BundleVerifyResult> {
  const startedMs = performance.now()
  const { onProgress, signal } = request
  const keys = await keysFor(request)
  let kmsKey: string | undefined
  const report = await verifyBundle({
    read: bytesOf(request, (keyId) => {
      kmsKey = keyId
    }),
    keys,
    ...(onProgress === undefined ? {} : { onProgress: bundleProgress('verify', onProgress) }),
    ...(signal === undefined ? {} : { signal }),
  })
  const { ok, problems, stateRoots, bytes } = report
  const signers = report.signers.map(namedSigner)
  const elapsedMs = Math.round(performance.now() - startedMs)
  const encrypted = kmsKey === undefined ? {} : { kmsKey }
  return { ok, problems, signers, stateRoots, bytes, elapsedMs, ...encrypted }
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
  let kmsKey: string | undefined
  const read = bytesOf(request, (keyId) => {
    kmsKey = keyId
  })
  const found = await inspectBundle({ read, keys })
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
    ...(kmsKey === undefined ? {} : { kmsKey }),
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
