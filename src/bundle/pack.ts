import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { AuditPosition } from '../format/manifest.ts'
import { decodeState } from '../format/manifest-codec.ts'
import { signDetached } from '../trust/dsse.ts'
import { encodePublicKey } from '../trust/public-key-file.ts'
import type { PublicKey, Signer } from '../trust/signer.ts'
import {
  BUNDLE_FORMAT,
  certificateName,
  HEAD_NAME,
  HEAD_PAYLOAD_TYPE,
  INVENTORY_NAME,
  keyName,
  MINIMUM_READER,
  PROOF_NAME,
  pageName,
  SIGNATURE_NAME,
  stateName,
  VERIFY_NAME,
} from './bundle-format.ts'
import { Closure } from './closure.ts'
import { type BundleHead, decodeHead, encodeHead, type HeadCollection } from './head.ts'
import { encodeInventory, type InventoryCollection } from './inventory.ts'
import { blobMembers, bundleBytes, fileMembers } from './members.ts'
import { type PackBlob, packBlobs } from './pack-blobs.ts'
import { PackOutput } from './pack-output.ts'
import { type OnBundleProgress, ProgressSteps } from './progress.ts'
import { type BlobRecord, encodePages } from './records.ts'
import { VERIFY_TEXT } from './verify-text.ts'

export interface PackRequest {
  readonly origin: BundleHead['origin']
  /** Number of the export entry in the origin's log. */
  readonly sequence: number
  readonly previousHead: string | null
  /** With a `baseStateRoot` in any of them the bundle is a delta. */
  readonly collections: readonly HeadCollection[]
  /** The audit log before this export. */
  readonly log: AuditPosition
  readonly to?: string
  /** Line 2 of each exported state, exact bytes. */
  readonly states: readonly Uint8Array[]
  /** Exactly the blobs that the states name, each once, in any order. */
  readonly blobs: readonly PackBlob[]
  readonly signers: readonly Signer[]
  readonly logKey: PublicKey
  /**
   * `key.dsse`: a signer's certificate of the log key. Absent only where the log key itself is
   * trusted.
   */
  readonly logKeyCertificate?: Uint8Array
  /** For the inventory. */
  readonly akidbVersion: string
  /**
   * Logs the head's digest, as an `export` entry with `details.headDigest`, and proves that entry.
   */
  readonly proof: (headDigest: string) => Promise<Uint8Array>
  /** Takes the bundle in order; a piece may be used again when the promise has resolved. */
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** Largest member; 512 MiB unless given. */
  readonly partBytes?: number
  readonly onProgress?: OnBundleProgress
  readonly signal?: AbortSignal
}

export interface PackResult {
  readonly headDigest: string
  readonly head: BundleHead
  /** Bytes written. */
  readonly bytes: number
}

/**
 * Writes a signed bundle in one pass: blobs stream from their source to `write`, each against its
 * digest.
 *
 * What was written is worth nothing when this throws: the caller writes under a temporary name. The
 * same request with the same proof gives the same bytes.
 *
 * @throws INTEGRITY where a source blob is damaged or the states name other blobs; LIMIT for a head
 *   over headBytesMax
 */
export async function packBundle(request: PackRequest): Promise<PackResult> {
  const blobs = request.blobs.toSorted((a, b) => (a.ref.digest < b.ref.digest ? -1 : 1))
  const records = blobs.map(({ ref, open }) => ({ ref, carried: open !== undefined }))
  const contents = contentsOf(request, records)
  const head = headOf(request, records, contents)
  const headBytes = encodeHead(head)
  decodeHead(headBytes)
  const headDigest = sha256Hex(headBytes)
  const signatures = signDetached(HEAD_PAYLOAD_TYPE, headBytes, request.signers)
  request.signal?.throwIfAborted()
  const proof = await request.proof(headDigest)
  checkBootstrap(signatures, proof)

  const members = blobMembers(records, head.partBytes)
  const bootstrap = [headBytes.byteLength, signatures.byteLength, proof.byteLength]
  const output = new PackOutput(request.write, request.signal)
  const steps = new ProgressSteps('pack', request.onProgress)
  steps.expect(bundleBytes(bootstrap, [...fileMembers(head.files), ...members]))
  await output.member(HEAD_NAME, headBytes)
  await output.member(SIGNATURE_NAME, signatures)
  await output.member(PROOF_NAME, proof)
  for (const [name, bytes] of contents) await output.member(name, bytes)
  await packBlobs(output, members, blobs, steps)
  await output.end()
  steps.end(output.bytes)
  return { headDigest, head, bytes: output.bytes }
}

/** Everything between the proof and the blobs, in its order. */
function contentsOf(request: PackRequest, records: readonly BlobRecord[]): Map<string, Uint8Array> {
  const states = new Map(request.states.map((bytes) => [sha256Hex(bytes), bytes]))
  const contents = keysOf(request)
  contents.set(VERIFY_NAME, Buffer.from(VERIFY_TEXT))
  for (const root of [...states.keys()].sort()) {
    contents.set(stateName(root), states.get(root) as Uint8Array)
  }
  let page = 0
  for (const bytes of encodePages(records)) contents.set(pageName(page++), bytes)
  contents.set(INVENTORY_NAME, inventoryOf(request, states, records))
  return contents
}

/**
 * Public keys of the log and the signers, so that a reader can show and compare them; nobody trusts
 * them for that.
 */
function keysOf({ logKey, logKeyCertificate, signers }: PackRequest): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (const { keyId, raw } of [logKey, ...signers.map((signer) => signer.key)]) {
    files.set(keyName(keyId), Buffer.from(encodePublicKey({ keyId, raw })))
  }
  if (logKeyCertificate !== undefined) files.set(certificateName(logKey.keyId), logKeyCertificate)
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function inventoryOf(
  request: PackRequest,
  states: ReadonlyMap<string, Uint8Array>,
  records: readonly BlobRecord[],
): Uint8Array {
  const closure = new Closure()
  const collections: InventoryCollection[] = request.collections.map((head) => {
    const bytes = states.get(head.stateRoot)
    if (bytes === undefined) throw new Error(`no bytes for state ${head.stateRoot}`)
    const state = decodeState(bytes, stateName(head.stateRoot))
    closure.add(state)
    return { head, state }
  })
  closure.check(records)
  return encodeInventory(collections, request.akidbVersion)
}

function headOf(
  request: PackRequest,
  records: readonly BlobRecord[],
  contents: ReadonlyMap<string, Uint8Array>,
): BundleHead {
  const { origin, sequence, previousHead, collections, log, to } = request
  const carried = records.filter((record) => record.carried)
  const sum = (items: readonly BlobRecord[]) => items.reduce((all, { ref }) => all + ref.bytes, 0)
  const files = [...contents].map(([path, bytes]) => ({
    path,
    bytes: bytes.byteLength,
    sha256: sha256Hex(bytes),
  }))
  return {
    format: BUNDLE_FORMAT,
    requires: [],
    minimumReader: MINIMUM_READER,
    kind: collections.some((item) => item.baseStateRoot !== undefined) ? 'delta' : 'full',
    origin,
    sequence,
    previousHead,
    collections,
    log,
    trustVersion: 0,
    ...(to === undefined ? {} : { to }),
    totals: {
      blobs: records.length,
      bytes: sum(records),
      carriedBlobs: carried.length,
      carriedBytes: sum(carried),
    },
    partBytes: request.partBytes ?? limits.bundlePartBytesMax,
    files,
  }
}

function checkBootstrap(signatures: Uint8Array, proof: Uint8Array): void {
  const tooLong =
    signatures.byteLength > limits.bundleSignatureBytesMax
      ? 'bundleSignatureBytesMax'
      : proof.byteLength > limits.bundleProofBytesMax
        ? 'bundleProofBytesMax'
        : undefined
  if (tooLong === undefined) return
  throw new AkidbError('LIMIT', `what proves the bundle's head is over ${tooLong}`, {
    hint: 'Sign with fewer keys, or with a shorter --reason.',
  })
}
