import { decryptChunks, readOpening } from '../../bundle/bundle-envelope.ts'
import { ByteSource } from '../../bundle/byte-source.ts'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import type { OnProgress } from '../../db/api/api.ts'
import type { Ledger, SealedState } from '../../db/sealed/ledger.ts'
import type { SealedObject } from '../../db/sealed/seal-record.ts'
import { type ArrivedBlob, BlobIntake, type IntakeHelp } from '../../db/states/blob-intake.ts'
import { hasWholeBlob } from '../../db/states/blob-store.ts'
import type { BeginLook } from '../../db/states/look-thread.ts'
import { manifestKey } from '../../db/states/manifest-store.ts'
import type { WriterPin } from '../../db/states/pins.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { closureOf } from '../../format/closure.ts'
import type { BlobRef, Manifest } from '../../format/manifest.ts'
import { decodeManifest } from '../../format/manifest-codec.ts'
import { wipe } from '../../storage/envelope/envelope-cipher.ts'
import { blobSubject } from '../../storage/envelope/envelope-head.ts'
import {
  type EnvelopeKeyServer,
  openEnvelope,
  requireBlob,
} from '../../storage/envelope/kes-envelope.ts'
import type { ObjectStore, PieceSink, SealedStore } from '../../storage/object-store.ts'

/** The version that was sealed under a key. @throws INTEGRITY where no seal speaks of it */
export function sealedObject(ledger: Ledger, key: string): SealedObject {
  const found = ledger.expected.get(key)
  if (found !== undefined) return found.object
  throw new AkidbError('INTEGRITY', `no seal speaks of ${key}, which a sealed state names`, {
    hint: 'The push was not ended; run it again at its origin.',
    details: { key },
  })
}

/**
 * The manifest of a sealed state, by its version id: whatever lies above it now.
 * @throws INTEGRITY where its bytes are not those that were sealed
 */
export async function sealedManifest(
  target: SealedStore,
  ledger: Ledger,
  { name, version, manifest: digest, stateRoot }: SealedState,
): Promise<Manifest> {
  const key = manifestKey(name, version)
  const object = sealedObject(ledger, key)
  if (object.bytes > limits.manifestBytesMax || object.sha256 !== digest) throw altered(key)
  const pieces: Uint8Array[] = []
  for await (const piece of sealedBytes(target, object)) pieces.push(piece.slice())
  const bytes = Buffer.concat(pieces)
  if (sha256Hex(bytes) !== digest) throw altered(key)
  const manifest = decodeManifest(bytes, key)
  if (manifest.commit.stateRoot !== stateRoot) throw altered(key)
  return manifest
}

async function* sealedBytes(
  target: SealedStore,
  { key, versionId }: SealedObject,
): AsyncGenerator<Uint8Array> {
  try {
    yield* target.readVersion(key, versionId)
  } catch (error) {
    throw goneOr(error, { key, versionId })
  }
}

async function streamSealed(
  target: SealedStore,
  { key, versionId, bytes }: SealedObject,
  sink: PieceSink,
): Promise<void> {
  try {
    await target.streamVersion(key, versionId, bytes, sink)
  } catch (error) {
    throw goneOr(error, { key, versionId })
  }
}

/** It was there: that it is not is no question of names. */
function goneOr(error: unknown, version: Pick<SealedObject, 'key' | 'versionId'>): unknown {
  if (!hasCode(error, 'NOT_FOUND')) return error
  return new AkidbError('INTEGRITY', `the sealed version is gone: ${error.message}`, {
    hint: 'See: akidb worm verify',
    details: { ...version },
    cause: error,
  })
}

const altered = (key: string): AkidbError =>
  new AkidbError('INTEGRITY', `${key} is not what was sealed`, {
    hint: 'See: akidb worm verify',
    details: { key },
  })

export interface ReceiveOptions {
  readonly ledger: Ledger
  readonly pin: WriterPin
  /** Who looks at what comes. */
  readonly beginLook: BeginLook
  /** Told of every blob that is there. */
  readonly onArrived: (ref: BlobRef, arrived?: ArrivedBlob) => void
  /** Opens blobs that were sealed in envelopes. */
  readonly keyServer?: EnvelopeKeyServer | undefined
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/** Counts of what was there, and what came. */
export interface ReceivedBlobs {
  readonly present: number
  readonly copied: number
  readonly bytes: number
}

/** A state that is to come, and where its blobs lie. */
export interface ComingState {
  readonly manifest: Manifest
  readonly domain: string
}

/**
 * Brings the blobs of some states into a store. Each gets its name when all its bytes have been
 * checked; one that is there and intact is not read again. Nothing names them yet.
 *
 * @throws INTEGRITY where a version is not what was sealed; NO_SPACE, UNREACHABLE
 */
export async function receiveSealed(
  target: SealedStore,
  store: ObjectStore,
  states: readonly ComingState[],
  options: ReceiveOptions,
): Promise<ReceivedBlobs> {
  const wanted = new Map<string, { readonly ref: BlobRef; readonly key: string }>()
  for (const { manifest, domain } of states) {
    for (const ref of closureOf(manifest).values()) {
      wanted.set(ref.digest, { ref, key: blobKey(ref.digest, domain) })
    }
  }
  // Pinned before the presence of any of them is tested (design §5).
  await options.pin.add([...wanted.keys()])
  const total = [...wanted.values()].reduce((sum, { ref }) => sum + ref.bytes, 0)
  const counts = { present: 0, copied: 0, bytes: 0 }
  let done = 0
  const help: IntakeHelp = { beginLook: options.beginLook, spare: [] }
  await eachAtOnce(wanted.values(), limits.s3TransfersMax, async ({ ref, key }) => {
    options.signal?.throwIfAborted()
    if (await hasWholeBlob(store, ref.digest)) {
      counts.present++
      options.onArrived(ref)
    } else {
      const object = sealedObject(options.ledger, key)
      options.onArrived(ref, await copyBlob(target, store, { ref, key, object, help }, options))
      counts.copied++
      counts.bytes += ref.bytes
    }
    done += ref.bytes
    options.onProgress?.({ stage: 'pull', done, total, unit: 'bytes', item: key })
  })
  return counts
}

/** A smaller blob is no burden to the machine's memory. */
const COLD_BYTES_MIN = 16 * 2 ** 20

interface CopiedBlob {
  readonly ref: BlobRef
  readonly key: string
  readonly object: SealedObject
  readonly help: IntakeHelp
}

async function copyBlob(
  target: SealedStore,
  store: ObjectStore,
  { ref, key, object, help }: CopiedBlob,
  options: ReceiveOptions,
): Promise<ArrivedBlob> {
  const { envelope } = object
  const isPlain = envelope === undefined && object.sha256 === ref.digest
  if (!isPlain && envelope === undefined) throw altered(key)
  if ((envelope ?? object).bytes !== ref.bytes) throw altered(key)
  // Rows that are looked at as they come are not read again here.
  const cold = ref.role === 'vectors' && ref.bytes >= COLD_BYTES_MIN
  const staged = await store.stage({ cold })
  const intake = new BlobIntake(ref, staged, help)
  try {
    const take: PieceSink = (piece) => {
      options.signal?.throwIfAborted()
      return intake.write(piece)
    }
    if (isPlain) await streamSealed(target, object, take)
    else for await (const piece of opened(target, { ref, object }, options)) await take(piece)
    const arrived = await intake.finish()
    if (arrived === undefined) throw altered(key)
    await staged.commit(blobKey(ref.digest))
    return arrived
  } catch (error) {
    await intake.end()
    await staged.abort().catch(() => undefined)
    throw error
  } finally {
    await intake.end()
  }
}

/** A blob out of its envelope, which must be that of this very blob. */
async function* opened(
  target: SealedStore,
  { ref, object }: { ref: BlobRef; object: SealedObject },
  { ledger, keyServer, signal }: ReceiveOptions,
): AsyncGenerator<Uint8Array> {
  const source = new ByteSource(sealedBytes(target, object), signal)
  try {
    const opening = await readOpening(source, object.key)
    if (opening === undefined) throw altered(object.key)
    requireBlob(opening, blobSubject(ledger.file.id, ref.digest))
    const keys = await openEnvelope(keyServer, opening, signal)
    try {
      yield* decryptChunks(source, keys, object.key)
    } finally {
      wipe(keys)
    }
  } finally {
    await source.close()
  }
}

/** What a pull would copy. */
export async function countMissing(store: ObjectStore, manifest: Manifest): Promise<ReceivedBlobs> {
  const counts = { present: 0, copied: 0, bytes: 0 }
  for (const ref of closureOf(manifest).values()) {
    const isThere = (await store.head(blobKey(ref.digest))) !== undefined
    counts.present += isThere ? 1 : 0
    counts.copied += isThere ? 0 : 1
    counts.bytes += isThere ? 0 : ref.bytes
  }
  return counts
}
