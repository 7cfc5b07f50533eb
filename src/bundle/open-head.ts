import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { parseDsse, verifyDetached } from '../trust/dsse.ts'
import type { PublicKey } from '../trust/signer.ts'
import { HEAD_NAME, HEAD_PAYLOAD_TYPE, PROOF_NAME, SIGNATURE_NAME } from './bundle-format.ts'
import type { ByteSource } from './byte-source.ts'
import type { ProblemList } from './problems.ts'
import { BLOCK_BYTES, claimedBytes, paddingBytes, tarHeader } from './tar-header.ts'

/** Who signed a head. `trusted`: the signature holds, by a key that the reader trusts. */
export interface BundleSigner {
  readonly keyId: string
  readonly name?: string
  readonly trusted: boolean
}

/** The first three members, as they were read. */
export interface HeadPart {
  readonly head: Uint8Array
  readonly headDigest: string
  readonly signatures: Uint8Array
  readonly proof: Uint8Array
}

/**
 * Reads the members that stand before anything is signed for: fixed names, hard limits. Of a header
 * only the size is taken, and the whole header must then be the one that this size gives.
 *
 * @returns undefined, with the problem noted, where what follows has no place
 */
export async function readHeadPart(
  source: ByteSource,
  problems: ProblemList,
): Promise<HeadPart | undefined> {
  const read = (name: string, max: number) => readUnsigned(source, problems, { name, max })
  const head = await read(HEAD_NAME, limits.headBytesMax)
  if (head === undefined) return undefined
  const signatures = await read(SIGNATURE_NAME, limits.bundleSignatureBytesMax)
  if (signatures === undefined) return undefined
  const proof = await read(PROOF_NAME, limits.bundleProofBytesMax)
  if (proof === undefined) return undefined
  return { head, headDigest: sha256Hex(head), signatures, proof }
}

async function readUnsigned(
  source: ByteSource,
  problems: ProblemList,
  { name, max }: { readonly name: string; readonly max: number },
): Promise<Uint8Array | undefined> {
  const offset = source.offset
  const bad = (message: string): void => problems.add('INTEGRITY', name, offset, message)
  const header = await source.take(BLOCK_BYTES)
  const bytes = header.byteLength === BLOCK_BYTES ? claimedBytes(header) : undefined
  if (bytes === undefined || bytes === 0 || bytes > max) {
    bad(`no ${name} of 1 to ${max} bytes stands here: this is not a bundle, or it is damaged`)
    return undefined
  }
  if (Buffer.compare(header, tarHeader(name, bytes)) !== 0) {
    bad('its header is not the one that it must have')
  }
  const content = await source.take(bytes)
  const padding = await source.take(paddingBytes(bytes))
  if (content.byteLength < bytes || padding.byteLength < paddingBytes(bytes)) {
    bad(`the file is truncated: it ends at byte ${source.offset}, inside ${name}`)
    return undefined
  }
  if (!padding.every((byte) => byte === 0)) bad('the bytes after it are not zeros')
  return content
}

/**
 * Who signed the head, and whether that is somebody trusted. Without a trusted signature that holds
 * there is a problem.
 *
 * @returns the signers; empty where the signatures cannot be read
 */
export function checkSigners(
  part: HeadPart,
  keys: readonly PublicKey[],
  problems: ProblemList,
): readonly BundleSigner[] {
  const bad = (code: 'SIGNATURE' | 'UNTRUSTED', message: string): void =>
    problems.add(code, SIGNATURE_NAME, 0, message)
  try {
    const dsse = parseDsse(part.signatures)
    const verdict = verifyDetached(dsse, HEAD_PAYLOAD_TYPE, part.head, keys)
    for (const keyId of verdict.bad) {
      bad('SIGNATURE', `the signature of key ${keyId} over HEAD.json does not hold`)
    }
    if (verdict.valid.length === 0 && verdict.bad.length === 0) {
      bad('UNTRUSTED', `no trusted key signed it, only ${verdict.unknown.join(', ')}`)
    }
    const nameOf = new Map(keys.map((key) => [key.keyId, key.name]))
    const valid = new Set(verdict.valid.map((key) => key.keyId))
    return dsse.signatures.map(({ keyId }) => {
      const name = nameOf.get(keyId)
      return { keyId, ...(name === undefined ? {} : { name }), trusted: valid.has(keyId) }
    })
  } catch (error) {
    problems.addError(error, SIGNATURE_NAME, 0)
    return []
  }
}
