import type { IncomingMessage } from 'node:http'
import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { SealedBody } from '../object-store.ts'
import { base64OfHex, headersOf, headersOnly, readText } from './s3-answers.ts'
import { type BodyPart, compositeOf, partsOf } from './s3-body.ts'
import type { Bucket } from './s3-bucket.ts'
import {
  birthHeaders,
  checkTaken,
  conditionOf,
  NO_VERSIONS,
  ownVersion,
  type Upload,
} from './s3-creation.ts'
import { isAbsent, isPresent, meaningOf, notS3, S3Failure, wrongBytes } from './s3-errors.ts'
import { headOf } from './s3-read.ts'
import { childrenOf, escapeXml, parseXml, textOf } from './s3-xml.ts'

/** How long a server is given to drop what was sent in vain; later it does so by itself. */
const ABORT_MS_MAX = 10_000

/** A part that the server has. */
interface SentPart {
  readonly etag: string
  /** SHA-256, hex. */
  readonly sha256: string
}

/** An upload that was begun. */
interface Begun {
  readonly request: Upload
  readonly id: string
  readonly token: string
}

/**
 * Creates an object in parts, several of them on their way at once. The server sees to it at the
 * end that nothing is replaced; what is there already is not sent at all.
 *
 * @returns see upload()
 */
export async function putInParts(request: Upload, token: string): Promise<string | undefined> {
  const { body, bucket, key, what, options } = request
  const count = partCount(body)
  if (count > limits.s3PartsMax) {
    throw new AkidbError('LIMIT', `${what}: ${count} parts are more than ${limits.s3PartsMax}`)
  }
  const isThere = async () =>
    (await headOf({ bucket, key, what, signal: options.signal })) !== undefined
  if (request.replace !== true && (await isThere())) return undefined
  const begun = { request, id: await beginUpload(request, token), token }
  try {
    const version = await completeUpload(begun, await sendParts(begun))
    if (version === undefined) await abortUpload(begun)
    return version
  } catch (error) {
    await abortUpload(begun)
    throw error
  }
}

async function beginUpload(request: Upload, token: string): Promise<string> {
  const { bucket, key, what, options } = request
  const root = 'InitiateMultipartUploadResult'
  const read = async (response: IncomingMessage): Promise<string> => {
    const text = await readText(response, limits.s3ErrorBytesMax)
    const id = textOf(parseXml(text, root), 'UploadId')
    if (id === '') throw notS3('it begins an upload without an id')
    return id
  }
  const headers = { ...birthHeaders(request, token), 'x-amz-checksum-algorithm': 'SHA256' }
  const { signal } = options
  const query = { uploads: '' }
  return await bucket.call({ method: 'POST', key, query, headers, what, signal, read })
}

/** The first part that fails ends all of them: none is tried on for minutes in vain. */
async function sendParts(begun: Begun): Promise<readonly SentPart[]> {
  const { bucket, body, options } = begun.request
  const stop = new AbortController()
  const signals = options.signal === undefined ? [] : [options.signal]
  const signal = AbortSignal.any([stop.signal, ...signals])
  const sending: Promise<SentPart>[] = []
  const { uploads, spareParts } = bucket
  const parts = partsOf(body, spareParts)
  try {
    for (let number = 1; number <= partCount(body); number++) {
      // Before the part is read: of many bodies at once each would hold one that waits.
      const release = await uploads.acquire()
      const part = await nextPart(parts, release)
      const sent = sendPart(begun, part, { number, signal }).finally(release)
      sending.push(sent)
      sent.then(
        () => keepSpare(spareParts, part.content),
        (error: unknown) => stop.abort(error),
      )
      signal.throwIfAborted()
    }
    // Only now it is known that all of them were what was promised.
    await parts.next()
    return await Promise.all(sending)
  } catch (error) {
    stop.abort(error)
    await Promise.allSettled(sending)
    throw error
  } finally {
    await parts.return(undefined)
  }
}

const partCount = ({ bytes }: SealedBody): number => Math.ceil(bytes / limits.s3PartBytes)

/** There is one; where it cannot be read the slot is given back. */
async function nextPart(
  parts: AsyncGenerator<BodyPart, undefined>,
  release: () => void,
): Promise<BodyPart> {
  try {
    const { value } = await parts.next()
    if (value !== undefined) return value
    throw new Error('a body has as many parts as its length says')
  } catch (error) {
    release()
    throw error
  }
}

/** The last part of a body is shorter, and its memory as long as that of the others. */
function keepSpare(spare: Uint8Array[], { buffer }: Uint8Array): void {
  const isFull = buffer.byteLength === limits.s3PartBytes && spare.length < limits.s3TransfersMax
  if (isFull) spare.push(new Uint8Array(buffer))
}

async function sendPart(
  { request, id }: Begun,
  part: BodyPart,
  { number, signal }: { readonly number: number; readonly signal: AbortSignal },
): Promise<SentPart> {
  const checksum = base64OfHex(part.sha256)
  const { bucket, key, what } = request
  return await bucket.call({
    method: 'PUT',
    key,
    query: { partNumber: String(number), uploadId: id },
    headers: { 'x-amz-checksum-sha256': checksum },
    body: part,
    what,
    signal,
    read: async (response) => {
      const headers = await headersOnly(response)
      checkTaken(request, headers, checksum)
      return { etag: headers.etag ?? '', sha256: part.sha256 }
    },
  })
}

async function completeUpload(
  { request, id, token }: Begun,
  parts: readonly SentPart[],
): Promise<string | undefined> {
  const { bucket, key, what, options } = request
  const checksum = compositeOf(parts.map(({ sha256 }) => sha256))
  const content = completion(parts)
  const found = await bucket.call<string | undefined>({
    method: 'POST',
    key,
    query: { uploadId: id },
    headers: { ...conditionOf(request), 'content-type': 'application/xml' },
    body: { content, sha256: sha256Hex(content) },
    what,
    signal: options.signal,
    read: (response) => completedVersion(request, response, checksum),
    expected: (failure, doubtful) => {
      // An earlier try may have completed it: then its id is gone.
      if (doubtful && (isPresent(failure) || isAbsent(failure))) return ownVersion(request, token)
      return isPresent(failure) ? Promise.resolve(undefined) : undefined
    },
  })
  // A server that answers before it is done tells no version.
  return found === '' ? ((await ownVersion(request, token)) ?? NO_VERSIONS) : found
}

function completion(parts: readonly SentPart[]): Buffer {
  const items = parts.map(
    ({ etag, sha256 }, i) =>
      `<Part><PartNumber>${i + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag>` +
      `<ChecksumSHA256>${base64OfHex(sha256)}</ChecksumSHA256></Part>`,
  )
  return Buffer.from(`<CompleteMultipartUpload>${items.join('')}</CompleteMultipartUpload>`)
}

/** What answers with success may still tell of a failure. @returns '' where it tells no version */
async function completedVersion(
  { what }: Upload,
  response: IncomingMessage,
  checksum: string,
): Promise<string> {
  const text = await readText(response, limits.s3ErrorBytesMax)
  if (/<Error[\s>]/.test(text)) {
    const error = parseXml(text, 'Error')
    throw new S3Failure(0, textOf(error, 'Code'), textOf(error, 'Message'))
  }
  const found = textOf(parseXml(text, 'CompleteMultipartUploadResult'), 'ChecksumSHA256')
  if (found !== '' && found !== checksum) {
    throw meaningOf(wrongBytes(`their checksum is ${found}, not ${checksum}`), what)
  }
  return headersOf(response)['x-amz-version-id'] ?? ''
}

/** What was sent takes room until then; failing to is no failure. */
async function abortUpload({ request, id }: Begun): Promise<void> {
  const { bucket, key, what } = request
  const signal = AbortSignal.timeout(ABORT_MS_MAX)
  const query = { uploadId: id }
  await bucket
    .call({
      ...{ method: 'DELETE', key, query, what, signal, retryForMs: 0, tidies: true },
      read: headersOnly,
    })
    .catch(() => undefined)
}

/**
 * Gives up uploads below `prefix` that were begun before `beforeMs` and not finished: what they
 * sent takes room, and nobody sees it. MinIO lists none by a prefix, and does so itself.
 */
export async function abortOldUploads(
  bucket: Bucket,
  { prefix, beforeMs, what }: { prefix: string; beforeMs: number; what: string },
): Promise<number> {
  const call = { method: 'GET', query: { uploads: '', prefix }, what } as const
  const page = await bucket.xml(call, 'ListMultipartUploadsResult', limits.s3ListBytesMax)
  let count = 0
  for (const each of childrenOf(page, 'Upload')) {
    const [key, uploadId] = [textOf(each, 'Key'), textOf(each, 'UploadId')]
    const isOld = Date.parse(textOf(each, 'Initiated')) < beforeMs
    if (!isOld || uploadId === '' || key === '' || !key.startsWith(prefix)) continue
    await bucket.call<unknown>({
      method: 'DELETE',
      key,
      query: { uploadId },
      what,
      read: headersOnly,
      expected: (failure) => (isAbsent(failure) ? Promise.resolve(undefined) : undefined),
    })
    count++
  }
  return count
}
