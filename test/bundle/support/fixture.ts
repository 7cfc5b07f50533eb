import { createHash } from 'node:crypto'
import { signCheckpoint } from '../../../src/audit/checkpoint.ts'
import { encodeEntry, NO_ENTRY } from '../../../src/audit/entry.ts'
import { encodeProof } from '../../../src/audit/proof.ts'
import type { HeadCollection } from '../../../src/bundle/head.ts'
import { type PackRequest, packBundle } from '../../../src/bundle/pack.ts'
import type { PackBlob } from '../../../src/bundle/pack-blobs.ts'
import { sha256Hex } from '../../../src/core/digest.ts'
import { leafHash, merkleRoot } from '../../../src/core/merkle.ts'
import { DEFAULT_INDEX } from '../../../src/core/schema.ts'
import { encodeBlob, section } from '../../../src/format/blob.ts'
import type { BlobRef, BlobRole, SegmentEntry } from '../../../src/format/manifest.ts'
import { encodeState } from '../../../src/format/manifest-codec.ts'
import { createSigner, keyPairOfSeed } from '../../../src/trust/key-pair.ts'
import { certifyLogKey } from '../../../src/trust/log-key.ts'
import type { PublicKey, Signer } from '../../../src/trust/signer.ts'

export const signerOf = (seed: number): Signer =>
  createSigner(keyPairOfSeed(new Uint8Array(32).fill(seed)), { implementation: 'node' })

export const DEFAULT_SIGNER = signerOf(1)
export const LOG_SIGNER = signerOf(2)
export const STRANGER = signerOf(3)

/** A blob in memory. */
export interface TestBlob {
  readonly ref: BlobRef
  readonly bytes: Uint8Array
}

/** Bytes that look random and are the same on every run. */
export function noise(bytes: number, seed: string): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = 0, i = 0; at < bytes; at += 32, i++) {
    parts.push(createHash('sha256').update(`${seed}/${i}`).digest())
  }
  return Buffer.concat(parts).subarray(0, bytes)
}

export async function makeBlob(bytes: number, seed: string, role: BlobRole): Promise<TestBlob> {
  const parts: Uint8Array[] = []
  const sections = [section('data', noise(bytes, seed))]
  const ref = await encodeBlob({ role, records: 1, dimension: 0, sections }, async (piece) => {
    parts.push(Uint8Array.from(piece))
  })
  return { ref, bytes: Buffer.concat(parts) }
}

export const segmentOf = (key: number, ...blobs: readonly TestBlob[]): SegmentEntry => ({
  key,
  rows: 1,
  blobs: blobs.map(({ ref }) => ref),
  sources: [],
  payloadBytes: 0,
})

/** Line 2 of a collection with these segments. */
export const stateOf = (...segments: readonly SegmentEntry[]) =>
  encodeState({
    format: 'akidb-state/1',
    requires: [],
    uses: [],
    schema: { vectors: {}, fields: {}, text: { fields: [], tokenizer: 'plain/1' } },
    index: DEFAULT_INDEX,
    nextSegment: segments.length,
    nextSource: 0,
    segments,
    sources: [],
  })

export const collectionOf = (name: string, stateRoot: string): HeadCollection => ({
  name,
  id: sha256Hex(Buffer.from(name)).slice(0, 32),
  version: 3,
  committedAt: '2026-01-02T03:04:05.678Z',
  stateRoot,
  rows: 2,
})

/** Cuts bytes into pieces. */
export async function* pieces(bytes: Uint8Array, pieceBytes = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
    yield bytes.subarray(at, at + pieceBytes)
  }
}

export const packBlob = ({ ref, bytes }: TestBlob): PackBlob => ({
  ref,
  open: (offset) => pieces(bytes.subarray(offset)),
})

/** A log of three entries whose second is the export. */
export const proofBy =
  (log: Signer, change: { act?: string; headDigest?: string } = {}) =>
  async (headDigest: string): Promise<Uint8Array> => {
    const actor = { user: 'tester', uid: 1, host: 'here' }
    const entries = [0, 1, 2].map((seq) =>
      encodeEntry({
        seq,
        prev: NO_ENTRY,
        time: '2026-01-02T03:04:05.678Z',
        act: seq === 1 ? (change.act ?? 'export') : 'search',
        phase: 'event',
        actor,
        details: { headDigest: change.headDigest ?? headDigest },
      }),
    )
    const leaves = entries.map(leafHash)
    const [first, , third] = leaves as [Uint8Array, Uint8Array, Uint8Array]
    const note = signCheckpoint({ origin: log.key.keyId, size: 3, root: merkleRoot(leaves) }, log)
    return encodeProof({ seq: 1, entry: entries[1] as Uint8Array, path: [first, third], note })
  }

export interface PackInput {
  readonly blobs: readonly PackBlob[]
  readonly states: readonly { readonly bytes: Uint8Array }[]
  readonly collections: readonly HeadCollection[]
}

/** A request with keys, log and proof that fit each other. */
export const requestOf = (input: PackInput): Omit<PackRequest, 'write'> => ({
  origin: { logId: LOG_SIGNER.key.keyId, epoch: 0 },
  sequence: 1,
  previousHead: null,
  collections: input.collections,
  log: { logId: LOG_SIGNER.key.keyId, size: 1, root: '0'.repeat(64) },
  states: input.states.map(({ bytes }) => bytes),
  blobs: input.blobs,
  signers: [DEFAULT_SIGNER],
  logKey: LOG_SIGNER.key,
  logKeyCertificate: certifyLogKey(LOG_SIGNER.key, [DEFAULT_SIGNER]),
  akidbVersion: '0.1.0',
  proof: proofBy(LOG_SIGNER),
})

/** Packs into memory. */
export async function packToBytes(request: Omit<PackRequest, 'write'>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  const write = async (bytes: Uint8Array) => void parts.push(Uint8Array.from(bytes))
  const result = await packBundle({ ...request, write })
  const bytes = Buffer.concat(parts)
  if (bytes.byteLength !== result.bytes) throw new Error('the packer miscounted')
  return bytes
}

export interface SmallBundle {
  readonly bytes: Uint8Array
  readonly request: Omit<PackRequest, 'write'>
  readonly blobs: readonly TestBlob[]
  readonly stateRoot: string
}

/** One collection `docs` with one segment of the given body sizes. */
export async function smallBundle(
  sizes: readonly number[] = [3000, 100],
  change: Partial<PackRequest> = {},
): Promise<SmallBundle> {
  const roles: readonly BlobRole[] = ['vectors', 'payload', 'ids', 'graph', 'fields', 'text']
  const blobs = await Promise.all(
    sizes.map((bytes, i) => makeBlob(bytes, `blob ${i}`, roles[i] ?? 'pack')),
  )
  const state = stateOf(...(blobs.length === 0 ? [] : [segmentOf(0, ...blobs)]))
  const collections = [collectionOf('docs', state.stateRoot)]
  const base = requestOf({ blobs: blobs.map(packBlob), states: [state], collections })
  const request = { ...base, ...change }
  return { bytes: await packToBytes(request), request, blobs, stateRoot: state.stateRoot }
}

export const TRUSTED: readonly PublicKey[] = [DEFAULT_SIGNER.key]

/** A member with its header and padding, or the end marker. */
export interface Part {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Cuts a sound bundle into its members; the last part is the end marker. Each part is a copy. */
export function partsOf(bundle: Uint8Array): Part[] {
  const view = Buffer.from(bundle)
  const parts: Part[] = []
  let at = 0
  while (view[at] !== 0) {
    const name = view.toString('latin1', at, at + 100).replace(/\0+$/, '')
    const size = Number.parseInt(view.toString('latin1', at + 124, at + 135), 8)
    const end = at + 512 + Math.ceil(size / 512) * 512
    parts.push({ name, bytes: Uint8Array.from(view.subarray(at, end)) })
    at = end
  }
  parts.push({ name: 'end', bytes: Uint8Array.from(view.subarray(at)) })
  return parts
}
