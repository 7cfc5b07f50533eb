import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream/promises'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { cut, notS3, S3Failure } from './s3-errors.ts'
import { giveBack } from './s3-memory.ts'

/** Headers of an answer that came once. */
export type Headers = Readonly<Record<string, string>>

/** A whole answer as text. @throws S3Failure where it is longer than anything we ask for, or cut */
export async function readText(response: IncomingMessage, bytesMax: number): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  // Listeners: an iterator over each of many small answers takes as long as all else of reading it.
  await new Promise<void>((resolve, reject) => {
    const fail = (): void => reject(response.errored ?? cut('its answer has no end'))
    if (response.destroyed) fail()
    response.on('data', (piece: Buffer) => {
      bytes += piece.length
      if (bytes > bytesMax) response.destroy(notS3(`its answer is over ${bytesMax} bytes`))
      else pieces.push(piece)
    })
    response.on('end', resolve).on('error', reject)
    response.on('close', () => response.readableEnded || fail())
  })
  return pieces.length === 0 ? '' : Buffer.concat(pieces).toString('utf8')
}

/** Reads nothing but the headers. */
export async function headersOnly(response: IncomingMessage): Promise<Headers> {
  await readText(response, limits.s3ErrorBytesMax)
  return headersOf(response)
}

/** Without a copy: all are text but `set-cookie`, which nobody reads. */
export const headersOf = (response: IncomingMessage): Headers => response.headers as Headers

/**
 * A body that must have exactly so many bytes.
 *
 * @param room memory to fill, of at least so many bytes; absent: memory of its own
 * @throws S3Failure where it is shorter or longer
 */
export async function readExactly(
  response: IncomingMessage,
  bytes: number,
  room?: Uint8Array,
): Promise<Uint8Array> {
  // Nobody sees what lay there: it is given away full, or not at all.
  const body = room ?? Buffer.allocUnsafeSlow(bytes)
  let at = 0
  response.on('data', (piece: Buffer) => {
    if (at + piece.length > bytes) response.destroy(notS3(`more than ${bytes} bytes came`))
    else piece.copy(body, at)
    at += piece.length
    giveBack(piece)
  })
  await finished(response)
  if (at < bytes) throw cut(`${at} of ${bytes} bytes came`)
  return new Uint8Array(body.buffer, body.byteOffset, bytes)
}

/** Length of what is told of. @throws S3Failure where nothing plausible is said */
export function lengthIn(headers: Headers, bytesMax: number): number {
  const said = headers['content-length'] ?? ''
  const bytes = /^\d{1,16}$/.test(said) ? Number(said) : Number.NaN
  if (!(bytes <= bytesMax)) throw notS3(`the length it tells is "${said}"`)
  return bytes
}

/**
 * What went wrong in a try, as an S3Failure; what did not come from the network or the server comes
 * back as it is.
 */
export function failureOf(error: unknown): unknown {
  if (error instanceof AkidbError || error instanceof S3Failure) return error
  if (!(error instanceof Error)) return error
  const { code, message } = error as { readonly code?: unknown; readonly message: string }
  if (typeof code !== 'string') return error
  return new S3Failure(0, code, message === '' ? firstMessage(error) : message, error)
}

/** Of several addresses of one name each fails for itself. */
const firstMessage = (error: Error): string =>
  error instanceof AggregateError ? String((error.errors[0] as Error | undefined)?.message) : ''

/** Base64 of a SHA-256 in hex, as the checksum headers want it. */
export const base64OfHex = (hex: string): string => Buffer.from(hex, 'hex').toString('base64')

/** RFC 1864: some servers want it for requests that change a lock. */
export const contentMd5 = (body: Uint8Array): string =>
  createHash('md5').update(body).digest('base64')
