import { createCipheriv, createDecipheriv, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { RandomBytes } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import {
  type EnvelopeHead,
  encodeHead,
  HEAD_BYTES,
  PAYLOAD_KEY_BYTES,
  TAG_BYTES,
} from './envelope-head.ts'

const CIPHER = 'aes-256-gcm'
const LABEL = Buffer.from('akidb-envelope/1', 'latin1')
const COMMITMENT_OFFSET = HEAD_BYTES - 32
const NONCE_BYTES = 12
const PREFIX_BYTES = 7
const TAGGED = { authTagLength: TAG_BYTES }

/** What chunks are encrypted and decrypted with. Ended by `wipe`. */
export interface EnvelopeKeys {
  /** Exact bytes of the head: bound to each chunk. */
  readonly head: Uint8Array
  readonly chunkBytes: number
  /** 32 bytes. */
  readonly payloadKey: Uint8Array
  /** 32 bytes, from the payload key. */
  readonly chunkKey: Uint8Array
  /** 7 bytes. */
  readonly noncePrefix: Uint8Array
}

/** A head for a new payload key, and its keys. */
export function newEnvelopeKeys(
  about: Pick<EnvelopeHead, 'kind' | 'chunkBytes' | 'subject'>,
  random: RandomBytes,
): EnvelopeKeys {
  const [id, payloadKey] = [random(32), random(PAYLOAD_KEY_BYTES)]
  const head = encodeHead({ ...about, id, commitment: new Uint8Array(32) })
  const { commitment, ...keys } = derive(head, id, payloadKey)
  head.set(commitment, COMMITMENT_OFFSET)
  return { head, chunkBytes: about.chunkBytes, payloadKey, ...keys }
}

/**
 * Keys of an envelope whose payload key is known.
 *
 * @returns undefined where the head commits to another payload key, or was altered
 */
export function envelopeKeysOf(
  head: EnvelopeHead,
  payloadKey: Uint8Array,
): EnvelopeKeys | undefined {
  const bytes = encodeHead(head)
  const { commitment, ...keys } = derive(bytes, head.id, payloadKey)
  if (!timingSafeEqual(commitment, head.commitment)) {
    keys.chunkKey.fill(0)
    return undefined
  }
  return { head: bytes, chunkBytes: head.chunkBytes, payloadKey, ...keys }
}

/** Overwrites the keys. What node's cipher objects copied goes with them. */
export function wipe({ payloadKey, chunkKey }: EnvelopeKeys): void {
  payloadKey.fill(0)
  chunkKey.fill(0)
}

/**
 * HKDF-SHA-256 (RFC 5869), salted with the envelope's id; the info is a label and the head up to
 * the commitment. The commitment makes the whole committing, which AES-GCM alone is not (Albertini
 * et al., USENIX Security 2022): an envelope has one payload key and no other.
 */
function derive(head: Uint8Array, id: Uint8Array, payloadKey: Uint8Array) {
  const info = Buffer.concat([LABEL, head.subarray(0, COMMITMENT_OFFSET)])
  const okm = new Uint8Array(hkdfSync('sha256', payloadKey, id, info, 64 + PREFIX_BYTES))
  const commitment = okm.slice(0, 32)
  const chunkKey = okm.slice(32, 64)
  const noncePrefix = okm.slice(64)
  okm.fill(0)
  return { commitment, chunkKey, noncePrefix }
}

/**
 * One chunk, encrypted. The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015)
 * as in Tink: nonce = prefix ‖ counter (u32, big endian) ‖ 1 for the last chunk, else 0. A counter
 * must be used once.
 *
 * @returns ciphertext and tag
 * @throws LIMIT for a counter over limits.envelopeChunksMax
 */
export function sealChunk(
  keys: EnvelopeKeys,
  index: number,
  { plaintext, isLast }: { readonly plaintext: Uint8Array; readonly isLast: boolean },
): Uint8Array {
  const cipher = createCipheriv(CIPHER, keys.chunkKey, nonceOf(keys, index, isLast), TAGGED)
  cipher.setAAD(keys.head)
  const text = cipher.update(plaintext)
  cipher.final()
  return Buffer.concat([text, cipher.getAuthTag()])
}

/**
 * @param sealed ciphertext and tag of chunk `index`
 * @returns its plaintext, or undefined where it is not that chunk of that envelope, or not (or
 *   yes) the last
 */
export function openChunk(
  keys: EnvelopeKeys,
  index: number,
  { sealed, isLast }: { readonly sealed: Uint8Array; readonly isLast: boolean },
): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES || index >= limits.envelopeChunksMax) return undefined
  const end = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(CIPHER, keys.chunkKey, nonceOf(keys, index, isLast), TAGGED)
  decipher.setAAD(keys.head)
  decipher.setAuthTag(sealed.subarray(end))
  const text = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
    return text
  } catch {
    return undefined
  }
}

function nonceOf({ noncePrefix }: EnvelopeKeys, index: number, isLast: boolean): Uint8Array {
  if (index >= limits.envelopeChunksMax) {
    const max = limits.envelopeChunksMax
    throw new AkidbError('LIMIT', `an envelope has at most ${max} chunks`, {
      hint: 'See docs/limits.md.',
      details: { limit: 'envelopeChunksMax', max },
    })
  }
  const nonce = Buffer.alloc(NONCE_BYTES)
  nonce.set(noncePrefix)
  nonce.writeUInt32BE(index, PREFIX_BYTES)
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0
  return nonce
}

/** A data key is used once, so its nonce may be fixed. */
const WRAP_NONCE = new Uint8Array(NONCE_BYTES)

/** The payload key under a data key that wraps nothing else: 48 bytes. */
export function wrapPayloadKey(
  dataKey: Uint8Array,
  payloadKey: Uint8Array,
  bound: readonly Uint8Array[],
): Uint8Array {
  const cipher = createCipheriv(CIPHER, dataKey, WRAP_NONCE, TAGGED).setAAD(Buffer.concat(bound))
  const text = cipher.update(payloadKey)
  cipher.final()
  return Buffer.concat([text, cipher.getAuthTag()])
}

/** @returns the payload key; undefined where data key, wrapped key or what binds it are others */
export function unwrapPayloadKey(
  dataKey: Uint8Array,
  wrapped: Uint8Array,
  bound: readonly Uint8Array[],
): Uint8Array | undefined {
  const decipher = createDecipheriv(CIPHER, dataKey, WRAP_NONCE, TAGGED).setAAD(
    Buffer.concat(bound),
  )
  decipher.setAuthTag(wrapped.subarray(PAYLOAD_KEY_BYTES))
  const key = decipher.update(wrapped.subarray(0, PAYLOAD_KEY_BYTES))
  try {
    decipher.final()
    return key
  } catch {
    key.fill(0)
    return undefined
  }
}
