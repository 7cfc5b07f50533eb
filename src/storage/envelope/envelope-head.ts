import { sha256 } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'

/*
 * An envelope: bytes of any length, encrypted under a key of their own (docs/format.md has the
 * tables). Little endian.
 *
 *   head      112 bytes; bound to every chunk and to the wrapping, and never changed
 *   wrapping  how its payload key is kept; replaced where it is wrapped under another key
 *   chunks    chunkBytes of plaintext each, and a tag of 16 bytes; the last may be shorter
 *
 * Head:
 *
 *   offset bytes type   field
 *        0     4 ascii  magic       AKEV
 *        4     2 u16    version     1
 *        6     2 u16    kind        1 bundle, 2 blob
 *        8     4 u32    chunkBytes  plaintext of a chunk
 *       12     4 zero   free
 *       16    32 digest id          random; salt of the derivation
 *       48    32 digest subject     what it is; zero for a bundle
 *       80    32 digest commitment  to the payload key
 *
 * Wrapping: 8 bytes, then the name of the KES key, the data key as KES sealed it, the payload key
 * encrypted under that data key with AES-256-GCM (nonce zero: a data key wraps once), its tag.
 *
 *   offset bytes type   field
 *        0     2 u16    provider    1: MinIO KES
 *        2     2 u16    nameBytes
 *        4     4 u32    sealedBytes
 */
export const ENVELOPE_MAGIC = 'AKEV'
export const MAGIC_BYTES = 4
export const ENVELOPE_VERSION = 1
export const HEAD_BYTES = 112
export const WRAPPING_PREFIX_BYTES = 8
export const PAYLOAD_KEY_BYTES = 32
/** Of AES-GCM, over each chunk and over the wrapped payload key. */
export const TAG_BYTES = 16
/** Head and prefix of the wrapping: from them the rest's length follows. */
export const FIXED_BYTES = HEAD_BYTES + WRAPPING_PREFIX_BYTES

const KINDS = { bundle: 1, blob: 2 } as const
export type EnvelopeKind = keyof typeof KINDS

const PROVIDER_KES = 1

/** What an envelope says of itself before anything of it is decrypted. */
export interface EnvelopeHead {
  readonly kind: EnvelopeKind
  readonly chunkBytes: number
  /** 32 random bytes. */
  readonly id: Uint8Array
  /** 32 bytes: what it is the envelope of. */
  readonly subject: Uint8Array
  /** 32 bytes. */
  readonly commitment: Uint8Array
}

/** How the payload key is kept. */
export interface EnvelopeWrapping {
  /** Name of the KES key. */
  readonly keyId: string
  /** A data key of KES, sealed by that key. */
  readonly sealed: Uint8Array
  /** The payload key under that data key, and the tag: 48 bytes. */
  readonly wrapped: Uint8Array
}

/** Subject of the envelope of a blob: which blob, and in which sealed store. Both are hex. */
export const blobSubject = (storeId: string, digest: string): Uint8Array =>
  sha256(Buffer.from(storeId, 'hex'), Buffer.from(digest, 'hex'))

/** Length of an envelope, from those of what stands before its chunks and of what is in it. */
export const envelopeBytes = (openingBytes: number, bytes: number, chunkBytes: number): number =>
  openingBytes + bytes + Math.max(1, Math.ceil(bytes / chunkBytes)) * TAG_BYTES

/** Whether some bytes begin as an envelope does. */
export const isEnvelope = (bytes: Uint8Array): boolean =>
  bytes.length >= MAGIC_BYTES &&
  Buffer.from(bytes.subarray(0, MAGIC_BYTES)).toString('latin1') === ENVELOPE_MAGIC

export function encodeHead(head: EnvelopeHead): Uint8Array {
  const bytes = Buffer.alloc(HEAD_BYTES)
  bytes.write(ENVELOPE_MAGIC, 0, 'latin1')
  bytes.writeUInt16LE(ENVELOPE_VERSION, 4)
  bytes.writeUInt16LE(KINDS[head.kind], 6)
  bytes.writeUInt32LE(head.chunkBytes, 8)
  bytes.set(head.id, 16)
  bytes.set(head.subject, 48)
  bytes.set(head.commitment, 80)
  return bytes
}

/**
 * @param bytes HEAD_BYTES or more
 * @throws INTEGRITY for what is no head; FORMAT_VERSION for a newer one
 */
export function decodeHead(bytes: Uint8Array, where: string): EnvelopeHead {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (!isEnvelope(bytes)) throw malformed(where, 'it does not begin as an envelope does')
  if (view.length < HEAD_BYTES) throw malformed(where, 'it ends inside its head')
  const version = view.readUInt16LE(4)
  if (version !== ENVELOPE_VERSION) {
    throw new AkidbError('FORMAT_VERSION', `${where} is an envelope of version ${version}`, {
      hint: 'Read it with a newer akidb.',
      details: { version },
    })
  }
  const kind = (Object.keys(KINDS) as EnvelopeKind[]).find(
    (each) => KINDS[each] === view.readUInt16LE(6),
  )
  const chunkBytes = view.readUInt32LE(8)
  const isSized = chunkBytes >= 1 && chunkBytes <= limits.envelopeChunkBytesMax
  if (kind === undefined || !isSized || view.readUInt32LE(12) !== 0) {
    throw malformed(where, 'its head says what no envelope says')
  }
  const digestAt = (offset: number): Uint8Array =>
    Uint8Array.from(view.subarray(offset, offset + 32))
  return {
    ...{ kind, chunkBytes },
    ...{ id: digestAt(16), subject: digestAt(48), commitment: digestAt(80) },
  }
}

/** The wrapping without the wrapped key: what that is bound to, beside the head. */
export function encodeWrappingPrefix(keyId: string, sealed: Uint8Array): Uint8Array {
  const name = Buffer.from(keyId, 'latin1')
  const prefix = Buffer.alloc(WRAPPING_PREFIX_BYTES)
  prefix.writeUInt16LE(PROVIDER_KES, 0)
  prefix.writeUInt16LE(name.length, 2)
  prefix.writeUInt32LE(sealed.length, 4)
  return Buffer.concat([prefix, name, sealed])
}

/**
 * Bytes of the wrapping, from its prefix.
 *
 * @param prefix WRAPPING_PREFIX_BYTES
 * @throws INTEGRITY for lengths that no wrapping has; FORMAT_VERSION for another provider
 */
export function wrappingBytes(prefix: Uint8Array, where: string): number {
  const { nameBytes, sealedBytes } = readPrefix(prefix, where)
  return WRAPPING_PREFIX_BYTES + nameBytes + sealedBytes + PAYLOAD_KEY_BYTES + TAG_BYTES
}

/**
 * @param bytes the whole wrapping, and nothing else
 * @throws INTEGRITY, FORMAT_VERSION
 */
export function decodeWrapping(bytes: Uint8Array, where: string): EnvelopeWrapping {
  const { nameBytes, sealedBytes } = readPrefix(bytes, where)
  if (bytes.length !== wrappingBytes(bytes, where)) throw malformed(where, 'it ends in its head')
  const sealedAt = WRAPPING_PREFIX_BYTES + nameBytes
  const name = Buffer.from(bytes.subarray(WRAPPING_PREFIX_BYTES, sealedAt))
  const keyId = name.toString('latin1')
  if (!KEY_NAME.test(keyId)) throw malformed(where, 'the name of its key is none')
  return {
    keyId,
    sealed: Uint8Array.from(bytes.subarray(sealedAt, sealedAt + sealedBytes)),
    wrapped: Uint8Array.from(bytes.subarray(sealedAt + sealedBytes)),
  }
}

/** Names that fit into a path of KES as they are. */
const KEY_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

function readPrefix(bytes: Uint8Array, where: string): { nameBytes: number; sealedBytes: number } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.length < WRAPPING_PREFIX_BYTES) throw malformed(where, 'it ends inside its head')
  const provider = view.readUInt16LE(0)
  const [nameBytes, sealedBytes] = [view.readUInt16LE(2), view.readUInt32LE(4)]
  if (provider !== PROVIDER_KES) {
    throw new AkidbError('FORMAT_VERSION', `${where} is kept by key server number ${provider}`, {
      hint: 'Read it with a newer akidb.',
      details: { provider },
    })
  }
  const isSized = nameBytes >= 1 && nameBytes <= 128 && sealedBytes >= 1
  if (isSized && sealedBytes <= limits.kesSealedBytesMax) return { nameBytes, sealedBytes }
  throw malformed(where, 'the lengths in its head are those of no envelope')
}

const malformed = (where: string, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `${where} is no envelope of akidb, or damaged: ${what}`, {
    hint: 'Carry it over again, or ask its sender.',
  })
