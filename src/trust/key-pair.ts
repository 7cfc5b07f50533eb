import type { RandomBytes } from '../core/clock.ts'
import { sha256Hex } from '../core/digest.ts'
import { AkidbError } from '../errors/errors.ts'
import {
  assertSeed,
  fastSigner,
  isSafePoint,
  publicKeyOfSeed,
  SEED_BYTES,
  signPortable,
  spkiOf,
  verifyEd25519,
} from './ed25519.ts'
import type { PublicKey, Signer } from './signer.ts'

/** An Ed25519 key with its private half. */
export interface KeyPair {
  readonly key: PublicKey
  /** 32 bytes; secret. */
  readonly seed: Uint8Array
}

/** A fresh key pair from 32 random bytes. */
export const generateKeyPair = (random: RandomBytes, name?: string): KeyPair =>
  keyPairOfSeed(random(SEED_BYTES), name)

/** The key pair of a seed (RFC 8032 §5.1.5). */
export function keyPairOfSeed(seed: Uint8Array, name?: string): KeyPair {
  assertSeed(seed)
  return { key: publicKeyOf(publicKeyOfSeed(seed), name), seed }
}

/**
 * A public key of 32 raw bytes.
 * @throws BAD_INPUT for bytes that are no safe key (wrong length, not canonical, of small order)
 */
export function publicKeyOf(raw: Uint8Array, name?: string): PublicKey {
  if (!isSafePoint(raw)) {
    throw new AkidbError('BAD_INPUT', 'these bytes are no Ed25519 public key', {
      hint: 'Export the key again with "akidb keys export".',
    })
  }
  return { keyId: keyIdOf(raw), raw, ...(name === undefined ? {} : { name }) }
}

/**
 * Fingerprint of a raw public key: SHA-256 of its SubjectPublicKeyInfo (RFC 8410), 64 hexadecimal
 * digits.
 */
export const keyIdOf = (raw: Uint8Array): string => sha256Hex(spkiOf(raw))

/** The first 16 digits of a fingerprint in groups of four, for people to compare at a glance. */
export const shortKeyId = (keyId: string): string =>
  (keyId.slice(0, 16).match(/.{4}/g) ?? []).join(' ')

export interface SignerOptions {
  /**
   * 'tweetnacl' (default) signs heads and roots, and checks each signature with node:crypto before
   * it leaves: two implementations must agree. 'node' is for the log, which signs often. Both make
   * the same bytes.
   */
  readonly implementation?: 'tweetnacl' | 'node'
}

/** Signs with a key pair; the seed stays inside. */
export function createSigner(pair: KeyPair, options: SignerOptions = {}): Signer {
  const seed = pair.seed.slice()
  if (options.implementation === 'node') return { key: pair.key, sign: fastSigner(seed) }
  return {
    key: pair.key,
    sign: (message) => {
      const signature = signPortable(seed, message)
      if (verifyEd25519(pair.key.raw, message, signature)) return signature
      throw new Error('a fresh Ed25519 signature does not hold: memory or processor fault')
    },
  }
}
