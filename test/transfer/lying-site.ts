import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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
} from '../../src/bundle/bundle-format.ts'
import type { BundleHead, HeadCollection } from '../../src/bundle/head.ts'
import { blobMembers } from '../../src/bundle/members.ts'
import { type PackBlob, packBlobs } from '../../src/bundle/pack-blobs.ts'
import { PackOutput } from '../../src/bundle/pack-output.ts'
import { ProgressSteps } from '../../src/bundle/progress.ts'
import { encodePages } from '../../src/bundle/records.ts'
import { VERIFY_TEXT } from '../../src/bundle/verify-text.ts'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { readBlob } from '../../src/db/states/blob-store.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { type BlobInput, blobKey, encodeBlob, section } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type {
  BlobRef,
  BlobRole,
  CollectionState,
  Manifest,
  SegmentEntry,
} from '../../src/format/manifest.ts'
import { signDetached } from '../../src/trust/dsse.ts'
import { LOG_KEY } from '../../src/trust/key-store.ts'
import { certifyLogKey } from '../../src/trust/log-key.ts'
import { encodePublicKey } from '../../src/trust/public-key-file.ts'

/** The newest state of a collection, and the means to lie about it. */
export interface Truth {
  readonly state: CollectionState
  readonly segment: SegmentEntry
  /** Makes a blob that the bundle can carry. */
  blob(input: BlobInput): Promise<BlobRef>
  /** The first segment with other sections in the blob of this role; undefined leaves one out. */
  with(
    role: BlobRole,
    change: Readonly<Record<string, Uint8Array | undefined>>,
  ): Promise<SegmentEntry>
  /** A section of the first segment. */
  section(name: string): Promise<Uint8Array>
}

/** What is signed instead: line 2, or its exact bytes, and what the head says of it. */
export interface Lie {
  readonly state: CollectionState | string
  readonly head?: Partial<HeadCollection>
}

export type Liar = (truth: Truth) => Lie | Promise<Lie>

type Blobs = Map<string, Uint8Array>

/**
 * Writes a bundle as a site would that has a trusted key and a log, and says what it likes: blobs,
 * pages, totals, head, signature and proof all fit the states, whatever those say.
 *
 * @returns its path
 */
export async function lyingBundle(
  store: OpenedStore,
  folder: string,
  lies: Readonly<Record<string, Liar>>,
): Promise<string> {
  const made: Blobs = new Map()
  const collections: HeadCollection[] = []
  const states = new Map<string, Uint8Array>()
  const refs = new Map<string, BlobRef>()
  for (const [name, liar] of Object.entries(lies)) {
    const manifest = await store.core(name).head()
    const truth = truthOf(store, manifest, made)
    const { state, head } = await liar(truth)
    const bytes = Buffer.from(typeof state === 'string' ? state : JSON.stringify(state))
    const stateRoot = sha256Hex(bytes)
    states.set(stateRoot, bytes)
    const closure = closureOf(typeof state === 'string' ? manifest : state)
    for (const [digest, ref] of closure) refs.set(digest, ref)
    const { collection: id, version, committedAt } = manifest.commit
    const rows = (await (await store.collection(name)).info()).count
    collections.push({ name, id, version, committedAt, stateRoot, rows, ...head })
  }
  const blobs = [...refs.values()].map((ref) => packBlobOf(store, ref, made))
  const bytes = await pack(store, { collections, states, blobs })
  const path = join(folder, `lie-${sha256Hex(bytes).slice(0, 12)}.akipkg`)
  await writeFile(path, bytes)
  return path
}

function truthOf(store: OpenedStore, { state }: Manifest, made: Blobs): Truth {
  const { store: objects } = store.environment
  const segment = state.segments[0]
  if (segment === undefined) throw new Error('there is a segment')
  const blob = async (input: BlobInput): Promise<BlobRef> => {
    const parts: Uint8Array[] = []
    const ref = await encodeBlob(input, async (bytes) => void parts.push(Uint8Array.from(bytes)))
    made.set(ref.digest, Buffer.concat(parts))
    return ref
  }
  const refOf = (role: BlobRole): BlobRef => {
    const { blobs } = segment
    const ref = blobs.find((item) => item.role === role) ?? blobs.find(isPack)
    if (ref === undefined) throw new Error(`there is no blob of role ${role}`)
    return ref
  }
  return {
    state,
    segment,
    blob,
    with: async (role, change) => {
      const old = refOf(role)
      const decoded = await readBlob(objects, old)
      const sections = new Map<string, Uint8Array | undefined>(decoded.sections)
      for (const [name, bytes] of Object.entries(change)) sections.set(name, bytes)
      const kept = [...sections].flatMap(([name, bytes]) => (bytes ? [section(name, bytes)] : []))
      const ref = await blob({ ...decoded, sections: kept })
      return { ...segment, blobs: segment.blobs.map((item) => (item === old ? ref : item)) }
    },
    section: async (name) => {
      for (const ref of segment.blobs) {
        const bytes = (await readBlob(objects, ref)).sections.get(name)
        if (bytes !== undefined) return bytes
      }
      throw new Error(`there is no section ${name}`)
    },
  }
}

const isPack = ({ role }: BlobRef): boolean => role === 'pack'

const packBlobOf = (store: OpenedStore, ref: BlobRef, made: Blobs): PackBlob => ({
  ref,
  open: async function* (offset) {
    const bytes = made.get(ref.digest)
    if (bytes === undefined) yield* store.environment.store.read(blobKey(ref.digest), { offset })
    else yield bytes.subarray(offset)
  },
})

interface Contents {
  readonly collections: readonly HeadCollection[]
  readonly states: ReadonlyMap<string, Uint8Array>
  readonly blobs: readonly PackBlob[]
}

/** As packBundle does, but looks at nothing that it is given. */
async function pack(store: OpenedStore, contents: Contents): Promise<Uint8Array> {
  const { environment } = store
  const audit = await environment.audit()
  const { actor } = environment
  const log = audit.position()
  const signer = await environment.keys.load('default')
  const blobs = contents.blobs.toSorted((a, b) => (a.ref.digest < b.ref.digest ? -1 : 1))
  const records = blobs.map(({ ref }) => ({ ref, carried: true }))
  const files = await filesOf(store, contents, [...encodePages(records)])
  const bytes = records.reduce((sum, { ref }) => sum + ref.bytes, 0)
  const head: BundleHead = {
    format: BUNDLE_FORMAT,
    requires: [],
    minimumReader: MINIMUM_READER,
    kind: 'full',
    origin: { logId: log.logId, epoch: 0 },
    sequence: log.size,
    previousHead: null,
    collections: contents.collections,
    log,
    trustVersion: 0,
    totals: {
      blobs: blobs.length,
      bytes,
      carriedBlobs: blobs.length,
      carriedBytes: bytes,
    },
    partBytes: limits.bundlePartBytesMax,
    files: files.map(([path, body]) => ({
      path,
      bytes: body.byteLength,
      sha256: sha256Hex(body),
    })),
  }
  const headBytes = Buffer.from(`${JSON.stringify(head)}\n`)
  const details = { headDigest: sha256Hex(headBytes) }
  const { seq } = await audit.append([{ act: 'export', phase: 'event', actor, details }])
  await audit.checkpoint()
  const parts: Uint8Array[] = []
  const output = new PackOutput(async (piece) => void parts.push(Uint8Array.from(piece)))
  await output.member(HEAD_NAME, headBytes)
  await output.member(SIGNATURE_NAME, signDetached(HEAD_PAYLOAD_TYPE, headBytes, [signer]))
  await output.member(PROOF_NAME, await audit.prove(seq))
  for (const [name, body] of files) await output.member(name, body)
  const members = blobMembers(records, limits.bundlePartBytesMax)
  await packBlobs(output, members, blobs, new ProgressSteps('pack', undefined))
  await output.end()
  return Buffer.concat(parts)
}

/** Everything between the proof and the blobs, in its order. */
async function filesOf(
  store: OpenedStore,
  { states }: Contents,
  pages: readonly Uint8Array[],
): Promise<[string, Uint8Array][]> {
  const { keys } = store.environment
  const logKey = await keys.publicKey(LOG_KEY)
  const signer = await keys.load('default')
  const keyFiles: [string, Uint8Array][] = [
    [certificateName(logKey.keyId), certifyLogKey(logKey, [signer])],
    ...[logKey, signer.key].map(({ keyId, raw }): [string, Uint8Array] => [
      keyName(keyId),
      Buffer.from(encodePublicKey({ keyId, raw })),
    ]),
  ]
  const byName = (a: [string, unknown], b: [string, unknown]): number => (a[0] < b[0] ? -1 : 1)
  return [
    ...keyFiles.sort(byName),
    [VERIFY_NAME, Buffer.from(VERIFY_TEXT)],
    ...[...states]
      .map(([root, bytes]): [string, Uint8Array] => [stateName(root), bytes])
      .sort(byName),
    ...pages.map((bytes, i): [string, Uint8Array] => [pageName(i), bytes]),
    [INVENTORY_NAME, Buffer.from('{}\n')],
  ]
}
