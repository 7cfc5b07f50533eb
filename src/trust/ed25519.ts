import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import nacl from 'tweetnacl'
import { AkidbError } from '../errors/errors.ts'

/** Lengths of RFC 8032 §5.1: seed (private key), public key, signature. */
export const SEED_BYTES = 32
export const PUBLIC_KEY_BYTES = 32
export const SIGNATURE_BYTES = 64

/** Lengths of NaCl's secretbox (XSalsa20-Poly1305). */
export const BOX_KEY_BYTES = 32
export const BOX_NONCE_BYTES = 24
export const BOX_OVERHEAD_BYTES = 16

/** DER before the 32 bytes of a public key (RFC 8410 §4) and of a private one (§7). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Order of the base point, little endian (RFC 8032 §5.1). */
const ORDER = Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex')
/** The field's prime 2²⁵⁵ − 19, little endian. */
const PRIME = Buffer.from('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex')
/** y of all points of order 1, 2, 4 and 8, little endian, sign bit clear. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]

/** Public key of a seed, 32 bytes. Source: RFC 8032 §5.1.5. */
export function publicKeyOfSeed(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' })
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length))
}

/**
 * Signs with tweetnacl: plain JavaScript, constant in time, the same bytes as any other RFC 8032
 * signer.
 */
export function signPortable(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey)
}

/**
 * A signing function over node:crypto, about a hundred times as fast as tweetnacl, with the same
 * bytes.
 */
export function fastSigner(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const key = privateKeyOf(seed)
  return (message) => new Uint8Array(sign(null, message, key))
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, seed])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

/**
 * Whether a signature holds. Never throws: what is malformed does not hold.
 *
 * Strict, so that a message and key have the one signature that RFC 8032 makes: S is below the
 * group's order, A and R are canonical encodings and not of small order, and the equation is
 * checked without the cofactor (as OpenSSL does).
 */
export function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES || !isSafePoint(publicKey)) return false
  if (!isSafePoint(signature.subarray(0, 32))) return false
  if (!isBelow(signature.subarray(32), ORDER)) return false
  try {
    return verify(null, message, keyObject(publicKey), signature)
  } catch {
    return false
  }
}

/**
 * Whether 32 bytes are a canonical encoding (y below the prime) of a point that is not of small
 * order.
 */
export function isSafePoint(encoded: Uint8Array): boolean {
  if (encoded.length !== PUBLIC_KEY_BYTES) return false
  const y = Buffer.from(encoded)
  y[31] = (y[31] ?? 0) & 0x7f
  return isBelow(y, PRIME) && !SMALL_ORDER.includes(y.toString('hex'))
}

/** SubjectPublicKeyInfo DER of a public key, 44 bytes. Source: RFC 8410 §4. */
export const spkiOf = (publicKey: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([SPKI_PREFIX, publicKey]))

/**
 * The public key in a SubjectPublicKeyInfo; undefined for anything but 44 bytes of an Ed25519 key.
 */
export function publicKeyOfSpki(der: Uint8Array): Uint8Array | undefined {
  if (der.length !== SPKI_PREFIX.length + PUBLIC_KEY_BYTES) return undefined
  if (!SPKI_PREFIX.equals(der.subarray(0, SPKI_PREFIX.length))) return undefined
  return der.slice(SPKI_PREFIX.length)
}

/** Encrypts and authenticates with NaCl's secretbox. Never use a key and nonce twice. */
export function sealBox(plain: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array {
  return nacl.secretbox(plain, nonce, key)
}

/** The plain text of a secretbox; undefined where key or bytes are not what they were. */
export function openBox(
  box: Uint8Array,
  nonce: Uint8Array,
  key: Uint8Array,
): Uint8Array | undefined {
  return nacl.secretbox.open(box, nonce, key) ?? undefined
}

function keyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spkiOf(publicKey)), format: 'der', type: 'spki' })
}

/** Compares two numbers of 32 little endian bytes; public values only, so time may differ. */
function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

/** @throws INTERNAL: a seed of another length is our own mistake */
export function assertSeed(seed: Uint8Array): void {
  if (seed.length !== SEED_BYTES) {
    throw new AkidbError('INTERNAL', `an Ed25519 seed is ${SEED_BYTES} bytes, not ${seed.length}`)
  }
}
