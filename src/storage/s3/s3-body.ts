import { runningSha256, sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { SealedBody } from '../object-store.ts'
import { base64OfHex } from './s3-answers.ts'

/** Whether a body goes in one request. */
export const isWhole = ({ bytes }: SealedBody): boolean => bytes <= limits.s3PutBytesMax

/**
 * A body's pieces. The last is given only when all of them are known to be what was promised: a
 * request with another body never becomes complete.
 *
 * @throws INTEGRITY where they are not
 */
export async function* checkedPieces(body: SealedBody): AsyncGenerator<Uint8Array> {
  const digest = runningSha256()
  let held: Uint8Array | undefined
  let bytes = 0
  for await (const piece of body.open(0)) {
    if (piece.length === 0) continue
    bytes += piece.length
    if (bytes > body.bytes) break
    digest.update(piece)
    if (held !== undefined) yield held
    held = piece
  }
  if (bytes !== body.bytes || digest.hex() !== body.sha256) throw otherBody(body)
  if (held !== undefined) yield held
}

/** One part of a body. */
export interface BodyPart {
  readonly content: Uint8Array
  readonly sha256: string
}

/**
 * The body in parts, each in memory of its own.
 *
 * @param spare contents of parts that nobody needs any more: they are filled again
 * @throws INTEGRITY where it is not what was promised, at the latest after the last part
 */
export async function* partsOf(body: SealedBody, spare: Uint8Array[]): AsyncGenerator<BodyPart> {
  const digest = runningSha256()
  let left = body.bytes
  let content = emptyPart(left, spare)
  let filled = 0
  for await (const piece of body.open(0, true)) {
    if (piece.length > left - filled) throw otherBody(body)
    digest.update(piece)
    for (let at = 0; at < piece.length; ) {
      const bytes = Math.min(piece.length - at, content.length - filled)
      content.set(piece.subarray(at, at + bytes), filled)
      filled += bytes
      at += bytes
      if (filled < content.length) continue
      left -= filled
      yield { content, sha256: sha256Hex(content) }
      content = emptyPart(left, spare)
      filled = 0
    }
  }
  if (left > 0 || digest.hex() !== body.sha256) throw otherBody(body)
}

/** All of it is overwritten before anybody sees it. */
function emptyPart(left: number, spare: Uint8Array[]): Uint8Array {
  if (left === 0) return new Uint8Array(0)
  const content = spare.pop() ?? Buffer.allocUnsafeSlow(limits.s3PartBytes)
  return content.subarray(0, left)
}

/** Checksum of a body as the server will give it: of the whole, or of its parts' digests. */
export async function checksumOf(body: SealedBody): Promise<string> {
  if (isWhole(body)) return base64OfHex(body.sha256)
  const digests: string[] = []
  const spare: Uint8Array[] = []
  for await (const { content, sha256 } of partsOf(body, spare)) {
    digests.push(sha256)
    spare.push(content)
  }
  return compositeOf(digests)
}

/** Source: Amazon S3 user guide, "Checking object integrity", composite checksums. */
export const compositeOf = (digests: readonly string[]): string =>
  `${base64OfHex(sha256Hex(...digests.map((hex) => Buffer.from(hex, 'hex'))))}-${digests.length}`

const otherBody = (body: SealedBody): AkidbError =>
  new AkidbError('INTEGRITY', `what was to be sent is not the ${body.bytes} bytes it should be`, {
    hint: 'Run akidb check --read-data.',
    details: { bytes: body.bytes, sha256: body.sha256 },
  })
