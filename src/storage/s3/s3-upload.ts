import { randomUUID } from 'node:crypto'
import { base64OfHex, headersOnly } from './s3-answers.ts'
import { checkedPieces, isWhole } from './s3-body.ts'
import {
  birthHeaders,
  checkTaken,
  conditionOf,
  NO_VERSIONS,
  ownVersion,
  type Upload,
} from './s3-creation.ts'
import { isPresent } from './s3-errors.ts'
import { putInParts } from './s3-parts.ts'

/**
 * Creates an object in one request, or in parts where it is large; either way nothing is visible
 * before all of it is there, with its lock, its key and its checksum.
 *
 * @returns its version id ('null' where the bucket keeps none); undefined where one is there
 * @throws INTEGRITY where the body is not what it says
 */
export async function upload(request: Upload): Promise<string | undefined> {
  if (!isWhole(request.body)) return await putInParts(request, randomUUID())
  return await request.bucket.uploads.run(() => putWhole(request, randomUUID()))
}

async function putWhole(request: Upload, token: string): Promise<string | undefined> {
  const { bucket, key, body, options, what } = request
  const checksum = base64OfHex(body.sha256)
  return await bucket.call<string | undefined>({
    method: 'PUT',
    key,
    headers: {
      ...birthHeaders(request, token),
      ...conditionOf(request),
      'x-amz-checksum-sha256': checksum,
    },
    body: { bytes: body.bytes, sha256: body.sha256, open: () => checkedPieces(body) },
    signal: options.signal,
    notAfterMs: request.notAfterMs,
    what,
    read: async (response) => {
      const headers = await headersOnly(response)
      checkTaken(request, headers, checksum)
      return headers['x-amz-version-id'] ?? NO_VERSIONS
    },
    expected: (failure, doubtful) => {
      if (!isPresent(failure)) return undefined
      return doubtful ? ownVersion(request, token) : Promise.resolve(undefined)
    },
  })
}
