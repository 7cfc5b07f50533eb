import { decryptChunks, readOpening } from '../../bundle/bundle-envelope.ts'
import { ByteSource } from '../../bundle/byte-source.ts'
import { runningSha256 } from '../../core/digest.ts'
import type { SealedObject } from '../../db/sealed/seal-record.ts'
import { byKey } from '../../db/sealed/target.ts'
import { hasCode } from '../../errors/errors.ts'
import { wipe } from '../../storage/envelope/envelope-cipher.ts'
import { blobSubject } from '../../storage/envelope/envelope-head.ts'
import { openEnvelope, requireBlob } from '../../storage/envelope/kes-envelope.ts'
import type {
  SealedBody,
  SealedInfo,
  SealedStore,
  SealOptions,
} from '../../storage/object-store.ts'
import { type EnvelopeSealing, envelopeBody } from './envelope-body.ts'
import { isInParts, keep, LOOK_BYTES_MIN, otherBytes, type Placed, uploaded } from './placed.ts'

/** An object that is to be sealed in an envelope, and by whom. */
export interface EnvelopedWanted {
  readonly key: string
  /** The blob itself. */
  readonly body: SealedBody
  /** Set: see EnvelopeSealing. */
  readonly envelope?: EnvelopeSealing & { readonly storeId: string }
}

/**
 * Sees to it that a blob that no seal speaks of is in the target, in an envelope. One that a push
 * which was killed left there is taken if it opens to this blob: two envelopes of a blob are never
 * the same, so that it must be read for that.
 *
 * @throws CONFLICT where something else lies there; what the key server throws
 */
export async function placeEnvelope(
  target: SealedStore,
  wanted: EnvelopedWanted,
  options: SealOptions & { readonly dryRun?: boolean },
): Promise<Placed> {
  const { key, body, envelope } = wanted
  if (envelope === undefined) throw new Error('it is to be sealed in an envelope')
  const { keyId, storeId } = envelope
  const objectOf = (versionId: string, sealed: Pick<SealedObject, 'sha256' | 'bytes'>) => ({
    ...{ key, versionId, sha256: sealed.sha256, bytes: sealed.bytes },
    envelope: { keyId, bytes: body.bytes },
  })
  if (options.dryRun === true) return await uploaded(target, objectOf('', body), options)
  const keepOrphan = async (): Promise<Placed | undefined> => {
    const orphan = await findEnvelope(target, wanted, options.signal)
    if (orphan === undefined) return undefined
    const { info, sha256 } = orphan
    const { checksum, versionId } = info
    const object = objectOf(versionId, { sha256, bytes: info.bytes })
    const inParts = checksum !== undefined && isInParts(object) ? { checksum } : {}
    return await keep(target, { ...object, ...inParts }, info, { ...options, news: true })
  }
  const before = body.bytes < LOOK_BYTES_MIN ? undefined : await keepOrphan()
  if (before !== undefined) return before
  const { body: sealed, end } = await envelopeBody(envelope, body, storeId, options.signal)
  try {
    const versionId = await target.seal(key, sealed, options)
    if (versionId !== undefined) {
      return await uploaded(target, objectOf(versionId, sealed), options)
    }
  } finally {
    end()
  }
  const orphan = await keepOrphan()
  if (orphan === undefined) throw otherBytes(target, key)
  return orphan
}

/** The oldest version under the key that opens to the blob, and the digest of its envelope. */
async function findEnvelope(
  target: SealedStore,
  wanted: EnvelopedWanted,
  signal: AbortSignal | undefined,
): Promise<{ readonly info: SealedInfo; readonly sha256: string } | undefined> {
  for await (const { key, versions } of byKey(target.versions(wanted.key))) {
    if (key !== wanted.key) continue
    for (const { versionId, isDeleteMarker } of versions) {
      const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
      if (info === undefined || info.bytes < wanted.body.bytes) continue
      const sha256 = await digestIfSame(target, wanted, versionId, signal)
      if (sha256 !== undefined) return { info, sha256 }
    }
  }
  return undefined
}

/** SHA-256 of an envelope; undefined where it is not one of the blob. */
async function digestIfSame(
  target: SealedStore,
  { key, body, envelope }: EnvelopedWanted,
  versionId: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const [digest, plain] = [runningSha256(), runningSha256()]
  const counted = async function* () {
    for await (const piece of target.readVersion(key, versionId)) {
      digest.update(piece)
      yield piece
    }
  }
  const source = new ByteSource(counted(), signal)
  try {
    const opening = await readOpening(source, key)
    if (opening === undefined || opening.wrapping.keyId !== envelope?.keyId) return undefined
    requireBlob(opening, blobSubject(envelope.storeId, body.sha256))
    const keys = await openEnvelope(envelope.server, opening, signal)
    try {
      for await (const piece of decryptChunks(source, keys, key)) plain.update(piece)
    } finally {
      wipe(keys)
    }
    return plain.hex() === body.sha256 ? digest.hex() : undefined
  } catch (error) {
    // It is not what we would have written; a key server that does not answer is another matter.
    if (hasCode(error, 'INTEGRITY', 'FORMAT_VERSION')) return undefined
    throw error
  } finally {
    await source.close()
  }
}
