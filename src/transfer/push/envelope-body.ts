import { ByteSource } from '../../bundle/byte-source.ts'
import type { RandomBytes } from '../../core/clock.ts'
import { runningSha256 } from '../../core/digest.ts'
import { AkidbError } from '../../errors/errors.ts'
import { type EnvelopeKeys, sealChunk, wipe } from '../../storage/envelope/envelope-cipher.ts'
import { blobSubject, envelopeBytes, TAG_BYTES } from '../../storage/envelope/envelope-head.ts'
import { type EnvelopeKeyServer, newEnvelope } from '../../storage/envelope/kes-envelope.ts'
import type { SealedBody } from '../../storage/object-store.ts'

/** Encrypts blobs before they are sealed. */
export interface EnvelopeSealing {
  /** Name of the key at the key server. */
  readonly keyId: string
  readonly server: EnvelopeKeyServer
  readonly random: RandomBytes
}

/** A blob in an envelope of its own, to be read as often as it must be sent. */
export interface EnvelopeBody {
  readonly body: SealedBody
  /** Wipes the keys. */
  end(): void
}

/**
 * Puts a blob into an envelope. It is read twice: once for the digest of the envelope, which must
 * be known before it is sent, and once to send it. Memory: a chunk, and 16 bytes for each.
 *
 * @param storeId of the sealed store
 * @throws INTEGRITY where the blob is not what its name says; what the key server throws
 */
export async function envelopeBody(
  { keyId, server, random }: EnvelopeSealing,
  plain: SealedBody,
  storeId: string,
  signal?: AbortSignal,
): Promise<EnvelopeBody> {
  const subject = blobSubject(storeId, plain.sha256)
  const stop = signal === undefined ? {} : { signal }
  const request = { keyId, kind: 'blob', subject, random, ...stop } as const
  const { opening, keys } = await newEnvelope(server, request)
  try {
    const tags: Uint8Array[] = []
    const parts = { opening, keys, plain, tags }
    const digest = runningSha256()
    const before = runningSha256()
    for await (const piece of sealedFrom(parts, 0, before.update)) digest.update(piece)
    if (before.hex() !== plain.sha256) throw changed(plain)
    const bytes = envelopeBytes(opening.length, plain.bytes, keys.chunkBytes)
    const open = (offset: number) => sealedFrom(parts, offset)
    return { body: { bytes, sha256: digest.hex(), open }, end: () => wipe(keys) }
  } catch (error) {
    wipe(keys)
    throw error
  }
}

interface Parts {
  readonly opening: Uint8Array
  readonly keys: EnvelopeKeys
  readonly plain: SealedBody
  /** Of the chunks, as they were encrypted first. */
  readonly tags: Uint8Array[]
}

/** The envelope from a byte on; the same bytes whenever it is asked. */
async function* sealedFrom(
  { opening, keys, plain, tags }: Parts,
  offset: number,
  onPlaintext?: (bytes: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  if (offset < opening.length) yield Uint8Array.from(opening.subarray(offset))
  const { chunkBytes } = keys
  const step = chunkBytes + TAG_BYTES
  const start = Math.max(0, offset - opening.length)
  const chunks = Math.max(1, Math.ceil(plain.bytes / chunkBytes))
  const first = Math.floor(start / step)
  if (first >= chunks) return
  const source = new ByteSource(plain.open(first * chunkBytes))
  try {
    for (let index = first; index < chunks; index++) {
      const plaintext = await source.take(Math.min(chunkBytes, plain.bytes - index * chunkBytes))
      onPlaintext?.(plaintext)
      const sealed = sealChunk(keys, index, { plaintext, isLast: index === chunks - 1 })
      // One nonce never encrypts two texts: a blob that changed on its disk in between is refused.
      const tag = sealed.subarray(sealed.length - TAG_BYTES)
      const known = tags[index]
      if (known === undefined) tags[index] = Uint8Array.from(tag)
      else if (Buffer.compare(known, tag) !== 0) throw changed(plain)
      yield index === first ? sealed.subarray(start % step) : sealed
    }
  } finally {
    await source.close()
  }
}

const changed = ({ sha256 }: SealedBody): AkidbError =>
  new AkidbError('INTEGRITY', `blob ${sha256} is damaged: its bytes are not those of its name`, {
    hint: 'Run akidb check, then akidb repair --from a bundle or store that holds it.',
    details: { digest: sha256 },
  })
