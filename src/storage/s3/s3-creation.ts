import { AkidbError } from '../../errors/errors.ts'
import type { SealedBody, SealOptions } from '../object-store.ts'
import type { Headers } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { meaningOf, notS3, wrongBytes } from './s3-errors.ts'
import { headOf } from './s3-read.ts'

/** One object to create. */
export interface Upload {
  readonly bucket: Bucket
  /** Whole key in the bucket. */
  readonly key: string
  readonly body: SealedBody
  readonly options: SealOptions
  /** Replace what is there. */
  readonly replace?: boolean
  /** See PutOptions. */
  readonly notAfterMs?: number | undefined
  readonly what: string
}

/** What a listing calls the one version of an object where the bucket keeps no versions. */
export const NO_VERSIONS = 'null'

/** Marks which call made an object, so that a lost answer is no riddle. */
const TOKEN_HEADER = 'x-amz-meta-akidb-put'

/** What an object is born with. */
export function birthHeaders({ options }: Upload, token: string): Record<string, string> {
  const { retention, legalHold, encryption } = options
  const headers: Record<string, string> = {
    'content-type': 'application/octet-stream',
    [TOKEN_HEADER]: token,
  }
  if (retention !== undefined) {
    headers['x-amz-object-lock-mode'] = retention.mode
    headers['x-amz-object-lock-retain-until-date'] = new Date(retention.untilMs).toISOString()
  }
  if (legalHold === true) headers['x-amz-object-lock-legal-hold'] = 'ON'
  if (encryption !== undefined) {
    const context = Buffer.from(JSON.stringify(encryption.context)).toString('base64')
    headers['x-amz-server-side-encryption'] = 'aws:kms'
    headers['x-amz-server-side-encryption-aws-kms-key-id'] = encryption.keyId
    headers['x-amz-server-side-encryption-context'] = context
  }
  return headers
}

/** Nothing is replaced unless that was asked for. */
export const conditionOf = ({ replace }: Upload): Headers =>
  replace === true ? {} : { 'if-none-match': '*' }

/** @returns the id of the newest version where this very call made it */
export async function ownVersion(
  { bucket, key, what, options }: Upload,
  token: string,
): Promise<string | undefined> {
  const head = await headOf({ bucket, key, what, signal: options.signal })
  if (head?.headers[TOKEN_HEADER] !== token) return undefined
  return head.headers['x-amz-version-id'] ?? NO_VERSIONS
}

/**
 * Whether a server did what it says it did.
 *
 * @throws S3Failure where no S3 server answers so; INTEGRITY where it did something else
 */
export function checkTaken({ options, what }: Upload, headers: Headers, checksum: string): void {
  if ((headers.etag ?? '') === '') throw notS3('it tells no ETag')
  const found = headers['x-amz-checksum-sha256']
  if (found !== undefined && found !== checksum) {
    throw meaningOf(wrongBytes(`their checksum is ${found}, not ${checksum}`), what)
  }
  const { encryption } = options
  if (encryption === undefined) return
  if (headers['x-amz-server-side-encryption']?.startsWith('aws:kms') === true) return
  throw new AkidbError('INTEGRITY', `${what}: the server took it and did not encrypt it`, {
    hint: `It was to do so under the key ${encryption.keyId}. Is what answers an S3 server?`,
  })
}
