import { isSha256Hex } from '../core/digest.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeBase64, decodeUtf8, encodeBase64 } from './base64.ts'
import { SIGNATURE_BYTES, verifyEd25519 } from './ed25519.ts'
import type { PublicKey, Signer } from './signer.ts'

/** Longest envelope, and most signatures in one. */
export const DSSE_BYTES_MAX = 64 * 1024
export const DSSE_SIGNATURES_MAX = 64

/** Media types as RFC 6838 names them: nothing that JSON would have to escape. */
const PAYLOAD_TYPE = /^[A-Za-z0-9!#$&^_.+/-]{1,255}$/

export interface DsseSignature {
  readonly keyId: string
  /** 64 bytes. */
  readonly signature: Uint8Array
}

/** An envelope whose payload stands elsewhere. */
export interface Dsse {
  readonly payloadType: string
  /** In order of their key ids; each key once. */
  readonly signatures: readonly DsseSignature[]
}

export interface DsseVerdict {
  /** Known keys whose signature holds, each once: count these against a threshold. */
  readonly valid: readonly PublicKey[]
  /** Key ids of signers that are not among the given keys. */
  readonly unknown: readonly string[]
  /** Key ids of given keys whose signature does not hold. */
  readonly bad: readonly string[]
}

/**
 * The bytes that are signed: "DSSEv1", type and payload with their lengths. Source: DSSE
 * protocol.md, PAE.
 */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = Buffer.from(payloadType, 'utf8')
  const head = Buffer.from(`DSSEv1 ${type.length} `, 'utf8')
  const middle = Buffer.from(` ${payload.length} `, 'utf8')
  return new Uint8Array(Buffer.concat([head, type, middle, payload]))
}

/**
 * Signs a payload that stands elsewhere, with each signer. The bytes are the one encoding of their
 * content.
 * @throws INTERNAL where two signers share a key or there is none
 */
export function signDetached(
  payloadType: string,
  payload: Uint8Array,
  signers: readonly Signer[],
): Uint8Array {
  const message = pae(payloadType, payload)
  const signatures = signers
    .map((signer) => ({ keyId: signer.key.keyId, signature: signer.sign(message) }))
    .sort((a, b) => (a.keyId < b.keyId ? -1 : 1))
  const bytes = encodeDsse({ payloadType, signatures })
  if (problemOf({ payloadType, signatures }) !== undefined) {
    throw new AkidbError('INTERNAL', 'an envelope needs a media type and distinct keys')
  }
  return bytes
}

/**
 * Canonical bytes of an envelope: JSON without spaces, keys in fixed order, one newline at the
 * end.
 */
export function encodeDsse(dsse: Dsse): Uint8Array {
  const signatures = dsse.signatures.map(({ keyId, signature }) => ({
    keyid: keyId,
    sig: encodeBase64(signature),
  }))
  const text = JSON.stringify({ payloadType: dsse.payloadType, signatures })
  return new Uint8Array(Buffer.from(`${text}\n`, 'utf8'))
}

/**
 * Parses an envelope with a detached payload. No bit is free: bytes that are not the one encoding
 * of what they say are refused.
 * @throws SIGNATURE
 */
export function parseDsse(bytes: Uint8Array): Dsse {
  if (bytes.length > DSSE_BYTES_MAX) throw malformed(`it is longer than ${DSSE_BYTES_MAX} bytes`)
  const dsse = toDsse(parseJson(bytes))
  const problem = dsse === undefined ? 'its JSON has another shape' : problemOf(dsse)
  if (dsse === undefined || problem !== undefined) throw malformed(problem ?? '')
  if (!Buffer.from(encodeDsse(dsse)).equals(bytes)) throw malformed('it is not canonical')
  return dsse
}

/**
 * Checks each signature over a payload against the given keys. An envelope of another type has
 * none that holds.
 */
export function verifyDetached(
  dsse: Dsse,
  payloadType: string,
  payload: Uint8Array,
  keys: readonly PublicKey[],
): DsseVerdict {
  const message = pae(payloadType, payload)
  const known = new Map(keys.map((key) => [key.keyId, key]))
  const valid = new Map<string, PublicKey>()
  const unknown = new Set<string>()
  const bad = new Set<string>()
  for (const { keyId, signature } of dsse.signatures) {
    const key = known.get(keyId)
    if (key === undefined) unknown.add(keyId)
    else if (dsse.payloadType !== payloadType || !verifyEd25519(key.raw, message, signature)) {
      bad.add(keyId)
    } else valid.set(keyId, key)
  }
  for (const keyId of bad) valid.delete(keyId)
  return { valid: [...valid.values()], unknown: [...unknown], bad: [...bad] }
}

function problemOf({ payloadType, signatures }: Dsse): string | undefined {
  if (!PAYLOAD_TYPE.test(payloadType)) return 'its payload type is no media type'
  if (signatures.length === 0) return 'it has no signature'
  if (signatures.length > DSSE_SIGNATURES_MAX) return 'it has too many signatures'
  for (const [i, { keyId, signature }] of signatures.entries()) {
    if (!isSha256Hex(keyId)) return 'a key id is no fingerprint'
    if (signature.length !== SIGNATURE_BYTES) return 'a signature has another length'
    const before = signatures[i - 1]
    if (before !== undefined && before.keyId >= keyId) return 'its keys are not in order, each once'
  }
  return undefined
}

function parseJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw malformed('it is not UTF-8')
  try {
    return JSON.parse(text)
  } catch {
    throw malformed('it is not JSON')
  }
}

function toDsse(value: unknown): Dsse | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { payloadType, signatures } = value as Record<string, unknown>
  if (typeof payloadType !== 'string' || !Array.isArray(signatures)) return undefined
  const parsed: DsseSignature[] = []
  for (const entry of signatures) {
    if (typeof entry !== 'object' || entry === null) return undefined
    const { keyid, sig } = entry as Record<string, unknown>
    const signature = typeof sig === 'string' ? decodeBase64(sig) : undefined
    if (typeof keyid !== 'string' || signature === undefined) return undefined
    parsed.push({ keyId: keyid, signature })
  }
  return { payloadType, signatures: parsed }
}

const malformed = (why: string): AkidbError =>
  new AkidbError('SIGNATURE', `the signature envelope does not check out: ${why}`, {
    hint: 'It was altered or torn; get it again from where it was made.',
  })
