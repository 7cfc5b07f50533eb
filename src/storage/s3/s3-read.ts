import type { IncomingMessage } from 'node:http'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { tooLong } from '../bounded-get.ts'
import type { ByteRange } from '../object-store.ts'
import {
  base64OfHex,
  type Headers,
  headersOf,
  headersOnly,
  lengthIn,
  readExactly,
} from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { isAbsent, notS3, type S3Failure, wrongBytes } from './s3-errors.ts'
import { giveBack } from './s3-memory.ts'

const PIECE_BYTES = 1024 * 1024
/** The protocol's largest object. */
const OBJECT_BYTES_MAX = 5 * 1024 ** 4

/** An object, or one version of it. */
export interface Readable {
  readonly bucket: Bucket
  /** Whole key in the bucket. */
  readonly key: string
  readonly versionId?: string
  /** "cannot read s3://bucket/key" */
  readonly what: string
  readonly signal?: AbortSignal | undefined
  /** See DeleteOptions. */
  readonly tidies?: boolean
}

/** What the server says of an object. */
export interface Head {
  readonly headers: Headers
  readonly bytes: number
  readonly modifiedMs: number
}

/** @returns undefined where it is not there, or is a delete marker */
export async function headOf(at: Readable): Promise<Head | undefined> {
  return await at.bucket.call<Head | undefined>({
    ...callOf(at),
    method: 'HEAD',
    headers: { 'x-amz-checksum-mode': 'ENABLED' },
    read: async (response) => {
      const headers = ofVersion(at, await headersOnly(response))
      const modifiedMs = Date.parse(headers['last-modified'] ?? '') || 0
      return { headers, bytes: lengthIn(headers, OBJECT_BYTES_MAX), modifiedMs }
    },
    expected: (failure) => (isGone(at, failure) ? Promise.resolve(undefined) : undefined),
  })
}

/** A version may be a delete marker (405), or have an id that is none of this server's. */
const isGone = ({ versionId }: Readable, failure: S3Failure): boolean =>
  isAbsent(failure) ||
  (versionId !== undefined &&
    (failure.status === 405 ||
      (failure.code === 'InvalidArgument' && /version id/i.test(failure.message))))

export const callOf = ({ key, versionId, what, signal, tidies = false }: Readable) => ({
  key,
  what,
  signal,
  tidies,
  query: versionId === undefined ? {} : { versionId },
})

/** A server that knows no versions answers with the newest. @throws S3Failure */
export function ofVersion({ versionId }: Readable, headers: Headers): Headers {
  const found = headers['x-amz-version-id'] ?? 'null'
  if (versionId !== undefined && found !== versionId) {
    throw notS3(`it gives version ${found} in place of ${versionId}`)
  }
  return headers
}

/** The whole. @throws INTEGRITY where it is longer */
export async function readWhole(
  at: Readable,
  bytesMax: number = limits.blobBytesMax,
): Promise<Uint8Array> {
  return await at.bucket.call({
    ...callOf(at),
    method: 'GET',
    headers: { 'x-amz-checksum-mode': 'ENABLED' },
    read: async (response) => {
      const headers = ofVersion(at, headersOf(response))
      if (response.statusCode !== 200) throw notS3(`${response.statusCode} for a whole object`)
      const bytes = lengthIn(headers, limits.blobBytesMax)
      if (bytes > bytesMax) throw tooLong(at.key, bytes, bytesMax)
      const body = await readExactly(response, bytes)
      const checksum = headers['x-amz-checksum-sha256'] ?? ''
      // Of an object that came in parts it is not that of the whole.
      const isOfWhole = checksum !== '' && !checksum.includes('-')
      if (isOfWhole && base64OfHex(sha256Hex(body)) !== checksum) {
        throw wrongBytes(`${body.length} bytes came`)
      }
      return body
    },
  })
}

/** @throws INTEGRITY where the object ends before the range does */
export async function readRange(at: Readable, range: ByteRange): Promise<Uint8Array> {
  const { offset, bytes } = range
  if (!Number.isSafeInteger(offset + bytes) || offset < 0 || bytes < 0) {
    throw new AkidbError('INTERNAL', `bad range ${offset}+${bytes}: ${at.what}`)
  }
  if (bytes > 0) return await readPart(at, range)
  // A range without bytes cannot be asked for: only whether the object reaches so far.
  const head = await headOf(at)
  if (head === undefined) throw notFoundError(at)
  if (offset > head.bytes) throw rangeError(at, offset, head.bytes)
  return new Uint8Array(0)
}

async function readPart(
  at: Readable,
  range: ByteRange,
  headers: Headers = {},
  room?: Uint8Array,
): Promise<Uint8Array> {
  const { offset, bytes } = range
  return await at.bucket.call({
    ...callOf(at),
    method: 'GET',
    headers: { ...headers, range: `bytes=${offset}-${offset + bytes - 1}` },
    read: async (response) => {
      ofVersion(at, headersOf(response))
      checkRange(at, response, range)
      return await readExactly(response, bytes, room)
    },
    expected: (failure) =>
      failure.status === 416 ? Promise.reject(rangeError(at, offset + bytes)) : undefined,
  })
}

/**
 * @param whole length that the object must have; absent: enough for the range
 * @throws INTEGRITY where the object is of another length; S3Failure where another range came
 */
export function checkRange(
  at: Readable,
  response: IncomingMessage,
  { offset, bytes }: ByteRange,
  whole?: number,
): void {
  const said = response.headers['content-range'] ?? ''
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(said) ?? []
  if (response.statusCode !== 206 || Number(from) !== offset) {
    throw notS3(`"${said}" came for bytes ${offset}-${offset + bytes - 1}`)
  }
  const isOther = whole === undefined ? Number(total) < offset + bytes : Number(total) !== whole
  if (isOther) throw rangeError(at, offset + bytes, Number(total))
  if (Number(to) !== offset + bytes - 1) throw notS3(`"${said}" came for ${bytes} bytes`)
}

/**
 * The object in pieces. Its parts are asked for one by one, so that a cut one is asked for again,
 * and no more; the next is on its way while one is given out. All are of the same object, even
 * where it is replaced meanwhile.
 *
 * Memory is used again: a piece is valid until the next is asked for. What is left to the garbage
 * collector comes back late, and a large object would take as much as it is long.
 *
 * @throws CONFLICT where it was replaced
 */
export async function* readPieces(
  at: Readable,
  {
    offset = 0,
    pieceBytes = PIECE_BYTES,
  }: { readonly offset?: number; readonly pieceBytes?: number },
): AsyncGenerator<Uint8Array> {
  const head = await headOf(at)
  if (head === undefined) throw notFoundError(at)
  if (offset > head.bytes) throw rangeError(at, offset, head.bytes)
  const stop = new AbortController()
  const step = Math.max(1, pieceBytes)
  const partBytes = Math.min(limits.s3ReadBytes, head.bytes - offset)
  const rooms = [0, 1].map(() => Buffer.allocUnsafeSlow(partBytes)) as [Buffer, Buffer]
  try {
    let next = beginPart({ ...at, signal: stop.signal }, head, offset, rooms[0])
    for (let end = offset, number = 1; next !== undefined; number++) {
      const part = await next
      end += part.length
      // Of the part before nothing is needed any more: its reader asked for this one.
      next = beginPart({ ...at, signal: stop.signal }, head, end, rooms[number % 2] as Buffer)
      for (let i = 0; i < part.length; i += step) yield part.subarray(i, i + step)
    }
    // Its reader asked for more than there was: it needs none of them any more.
    for (const room of rooms) giveBack(room)
  } finally {
    // Nobody wants what is on its way.
    stop.abort()
  }
}

/** @returns undefined at the end */
function beginPart(
  at: Readable,
  head: Head,
  offset: number,
  room: Uint8Array,
): Promise<Uint8Array> | undefined {
  if (offset >= head.bytes) return undefined
  const bytes = Math.min(limits.s3ReadBytes, head.bytes - offset)
  const { etag } = head.headers
  const headers: Headers = etag === undefined ? {} : { 'if-match': etag }
  const part = at.bucket.downloads.run(() => readPart(at, { offset, bytes }, headers, room))
  // Its failure is that of the stream, when it comes to it.
  part.catch(() => undefined)
  return part
}

export const notFoundError = ({ what }: Readable): AkidbError =>
  new AkidbError('NOT_FOUND', `${what}: there is no such object`)

export const rangeError = ({ what, key }: Readable, wanted: number, found?: number): AkidbError =>
  new AkidbError(
    'INTEGRITY',
    found === undefined
      ? `${what}: it is shorter than the ${wanted} bytes that were promised`
      : `${what}: it is ${found} bytes long, ${wanted} were promised`,
    {
      hint: 'The object was cut or replaced; run "akidb check".',
      details: { key, expected: wanted, ...(found === undefined ? {} : { found }) },
    },
  )
